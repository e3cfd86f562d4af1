"""Plots of an evaluation as inline SVG: error trade-off, scores, signers, reliability and robustness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from statistics import NormalDist
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from sigedge.evaluation.metrics import Floats, equal_error_rate, error_curve
from sigedge.evaluation.reliability import ReliabilityBin
from sigedge.evaluation.trials import GENUINE, RANDOM, SKILLED, TrialScores
from sigedge_export.report import drawing
from sigedge_export.report.drawing import ACCENT, INK, LINE, SOFT, legend_above, new_axes, to_svg

KINDS = {
    RANDOM: ("random forgeries", drawing.RANDOM),
    SKILLED: ("skilled forgeries", drawing.SKILLED),
    GENUINE: ("genuine", drawing.GENUINE),
}
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))
"""One for each number of references, or for each operating point, in their order."""

DET_SIZE, DET_PLACE = (5.2, 5.1), (0.12, 0.105, 0.86, 0.79)
DET_LIMITS = (0.0005, 0.6)
DET_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
DET_GRID = 60  # points within the same 60th of a standard deviation are one
BARS_SIZE, BARS_PLACE = (5.2, 4.2), (0.105, 0.115, 0.875, 0.79)
SCORES_SIZE, SCORES_PLACE = (5.6, 3.4), (0.105, 0.14, 0.875, 0.715)
PANEL_SIZE, PANEL_PLACE = (3.1, 2.5), (0.15, 0.205, 0.83, 0.765)
RATE_TICKS = (0, 1, 5, 10, 20, 40, 60, 100)
HISTOGRAM_BINS = 48


def error_tradeoff(name: str, trials: Mapping[int, TrialScores]) -> str:
    """DET curves on normal-deviate axes, skilled and random, one of each for every number of references.

    A. Martin et al., "The DET curve in assessment of detection task performance", 1997.

    Args:
        name: prefix of the element ids, unique on the page.
        trials: scores by number of references.

    Returns:
        An ``<svg>`` element; a point on a curve marks where it meets the diagonal of equal errors.
    """
    figure, axes = new_axes("forgeries accepted (FAR), %", "genuine rejected (FRR), %", DET_SIZE, DET_PLACE)
    ends = _deviates(np.array(DET_LIMITS))
    axes.plot(ends, ends, color=LINE, linewidth=1.6, label="equal errors")
    for kind in (RANDOM, SKILLED):
        label, colour = KINDS[kind]
        axes.plot([], [], color=colour, linewidth=2, label=label)
        for dash, scored in zip(cycle(DASHES), trials.values(), strict=False):
            _error_curve(axes, scored.of(GENUINE), scored.of(kind), colour, dash)
    for dash, count in zip(cycle(DASHES), trials, strict=False):
        axes.plot([], [], color=INK, linestyle=dash, linewidth=1.2, label=in_words(count))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(_deviates(np.array(DET_TICKS)), [f"{100 * rate:g}" for rate in DET_TICKS])
    axes.grid(color=LINE, linewidth=0.6)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    legend_above(figure, 3)
    return to_svg(figure, name)


def score_histogram(name: str, trials: TrialScores, thresholds: Mapping[str, float]) -> str:
    """Scores by kind, each kind with an area of 100 %, and the thresholds fixed beforehand.

    Args:
        name: prefix of the element ids, unique on the page.
        trials: at least one.
        thresholds: by name of the operating point.

    Returns:
        An ``<svg>`` element.
    """
    figure, axes = new_axes("score", "share of the kind, %", SCORES_SIZE, SCORES_PLACE)
    edges = np.histogram_bin_edges(trials.scores, HISTOGRAM_BINS)
    for kind, (label, colour) in KINDS.items():
        scores = trials.of(kind)
        if len(scores):
            shares = 100 * np.histogram(scores, edges)[0] / len(scores)
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.3)
            axes.stairs(shares, edges, color=colour, linewidth=1.1, label=label)
    for dash, (point, threshold) in zip(cycle(DASHES), thresholds.items(), strict=False):
        axes.axvline(threshold, color=INK, linestyle=dash, linewidth=0.9, label=f"{point}, {threshold:.3f}")
    axes.set_ylim(bottom=0)
    legend_above(figure, 3)
    return to_svg(figure, name)


def signer_bars(name: str, rates: Sequence[float], mean: float) -> str:
    """EER of every signer at a threshold of its own, the worst first, and their mean.

    Args:
        name: prefix of the element ids, unique on the page.
        rates: 0 to 1, at least one.
        mean: 0 to 1.

    Returns:
        An ``<svg>`` element.
    """
    figure, axes = new_axes("signers, the worst first", "EER of the signer, %", BARS_SIZE, BARS_PLACE)
    heights = 100 * np.sort(np.asarray(rates))[::-1]
    axes.bar(np.arange(1, len(heights) + 1), heights, width=0.8, color=drawing.SKILLED, alpha=0.75)
    # A signer without errors would leave a gap that looks like nobody.
    faultless = np.flatnonzero(heights == 0)
    axes.plot(faultless + 1, np.zeros(len(faultless)), "o", color=drawing.SKILLED, markersize=2.5)
    axes.axhline(100 * mean, color=INK, linestyle="--", linewidth=0.9, label=f"mean {100 * mean:.1f} %")
    axes.set_xlim(0.2, len(heights) + 0.8)
    axes.set_ylim(bottom=0 if heights.any() else -0.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(figure, 1)
    return to_svg(figure, name)


def reliability_plot(name: str, bins: Sequence[ReliabilityBin]) -> str:
    """Share of genuine signatures over the probability that was given, with intervals; the diagonal is honest.

    Args:
        name: prefix of the element ids, unique on the page.
        bins: at least one.

    Returns:
        An ``<svg>`` element; the area of a point follows its share of the trials.
    """
    figure, axes = new_axes("probability given", "share that is genuine", SCORES_SIZE, SCORES_PLACE)
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, label="honest")
    predicted = [entry.predicted for entry in bins]
    for entry in bins:
        if entry.interval:
            axes.plot([entry.predicted] * 2, entry.interval, color=ACCENT, linewidth=1.2, alpha=0.6)
    axes.plot(predicted, [entry.observed for entry in bins], color=ACCENT, linewidth=0.8, alpha=0.5)
    areas = [12 + 150 * entry.share for entry in bins]
    observed = [entry.observed for entry in bins]
    axes.scatter(predicted, observed, s=areas, color=ACCENT, linewidths=0, label="a tenth of the scale, 95 % interval")
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    legend_above(figure, 2)
    return to_svg(figure, name)


def robustness_panel(name: str, distortion: Mapping[str, Any], top: float) -> str:
    """Error rates over the steps of one distortion; the page explains the colours once for all panels.

    Args:
        name: prefix of the element ids, unique on the page.
        distortion: of the result's ``robustness``.
        top: upper end of the axis, 0 to 1, the same for all panels.

    Returns:
        An ``<svg>`` element.
    """
    figure, axes = new_axes(distortion["unit"], "", PANEL_SIZE, PANEL_PLACE)
    levels = distortion["levels"]
    places = np.arange(len(levels))
    for place in places[[not level["distorted"] for level in levels]]:
        axes.axvline(place, color=LINE, linewidth=1.6)
    rates = {key: _percentages(levels, key) for key in ("eer_skilled", "far_skilled", "frr", "not_acquired")}
    axes.bar(places, rates["not_acquired"], width=0.6, color=drawing.RANDOM, alpha=0.4)
    axes.plot(places, rates["far_skilled"], "^-", color=drawing.SKILLED, linewidth=0.9, markersize=3)
    axes.plot(places, rates["frr"], "s-", color=drawing.GENUINE, linewidth=0.9, markersize=2.8)
    axes.plot(places, rates["eer_skilled"], "o-", color=INK, linewidth=1.6, markersize=3.4)
    for place, level in zip(places, levels, strict=True):
        if level["eer_skilled_ci95"]:
            axes.plot([place] * 2, 100 * np.array(level["eer_skilled_ci95"]), color=INK, linewidth=1, alpha=0.5)
    axes.set_xticks(places, [level["level"] for level in levels])
    # Rates of one and of twenty percent shall both be read: the scale is the square root.
    axes.set_yscale("function", functions=(lambda rate: np.sqrt(np.maximum(rate, 0)), np.square))
    axes.set_yticks(RATE_TICKS, [f"{rate:g}" for rate in RATE_TICKS])
    axes.set_ylim(0, 100 * top)
    return to_svg(figure, name)


def in_words(references: int) -> str:
    """A number of references, for a legend."""
    return "1 reference" if references == 1 else f"{references} references"


def _error_curve(axes: Axes, genuine: Floats, forged: Floats, colour: str, dash: Any) -> None:
    if not len(genuine) or not len(forged):
        return
    curve = error_curve(genuine, forged)
    points = np.stack([_deviates(curve.far), _deviates(curve.frr)], axis=1)
    _, first = np.unique(np.round(points * DET_GRID).astype(np.int64), axis=0, return_index=True)
    axes.plot(*points[np.sort(first)].T, color=colour, linestyle=dash, linewidth=1.4)
    meeting = _deviates(np.array([equal_error_rate(genuine, forged)]))
    axes.plot(meeting, meeting, "o", color=colour, markersize=4)


def _deviates(rates: Floats) -> Floats:
    """Normal deviates of rates 0 to 1; 0 and 1 lie far outside the axes instead of at infinity."""
    return np.array([NormalDist().inv_cdf(rate) for rate in np.clip(rates, 1e-6, 1 - 1e-6)])


def _percentages(levels: Sequence[Mapping[str, Any]], key: str) -> Floats:
    """A rate of every level in percent; NaN, which leaves a gap, where there is none."""
    return np.array([np.nan if level[key] is None else 100 * level[key] for level in levels])
