"""Parity plots as inline SVG."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.inputs import GENUINE, RANDOM, SKILLED
from sigedge_export.report import drawing
from sigedge_export.report.drawing import ACCENT, INK, SOFT, legend_above, new_axes, to_svg

Scores = NDArray[np.float64]

KINDS = {
    RANDOM: ("random forgery", drawing.RANDOM, "s"),
    SKILLED: ("skilled forgery", drawing.SKILLED, "^"),
    GENUINE: ("genuine", drawing.GENUINE, "o"),
}
GRID = 160  # points within the same 160th of the score are one mark
BINS = 61
TINY = 1e-12  # reach of the axis where nothing differs
LEAST = 0.7  # where the logarithmic count begins, so that one pair has a height


def scatter(name: str, kind: NDArray[np.int8], reference: Scores, scores: Scores, threshold: float) -> str:
    """Scores of the artefact over those of the reference, by kind, with the threshold on both axes.

    Args:
        name: prefix of the element ids, unique on the page.
        kind: int8 [P], see `sigedge_export.inputs`.
        reference: float64 [P], -1 to 1.
        scores: float64 [P], -1 to 1.
        threshold: of the operating point.

    Returns:
        An ``<svg>`` element.
    """
    figure, axes = new_axes("score of the PyTorch model", "score of the artefact")
    points = np.stack([reference, scores], axis=1)
    for number, (label, colour, marker) in KINDS.items():
        axes.plot(
            *_thinned(points[kind == number]).T,
            marker,
            color=colour,
            markersize=2.6,
            markeredgewidth=0,
            alpha=0.65,
            label=label,
        )
    flipped = (reference >= threshold) != (scores >= threshold)
    if flipped.any():
        ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": INK, "label": "decided otherwise"}
        axes.plot(*_thinned(points[flipped]).T, "o", markersize=6, markeredgewidth=0.7, **ring)
    for line in (axes.axvline, axes.axhline):
        line(threshold, color=ACCENT, linestyle="--", linewidth=0.9)
    axes.plot([], [], "--", color=ACCENT, linewidth=0.9, label="threshold")
    legend_above(figure, 3)
    return to_svg(figure, name)


def histogram(name: str, reference: Scores, scores: Scores) -> str:
    """Signed score differences with a logarithmic count, so that single pairs far out are seen.

    Args:
        name: prefix of the element ids, unique on the page.
        reference: float64 [P].
        scores: float64 [P].

    Returns:
        An ``<svg>`` element.
    """
    figure, axes = new_axes("artefact minus PyTorch model", "pairs")
    differences = scores - reference
    reach = 1.05 * max(float(np.abs(differences).max()), TINY)
    counts, edges = np.histogram(differences, bins=BINS, range=(-reach, reach))
    axes.stairs(counts, edges, baseline=LEAST, fill=True, color=ACCENT, alpha=0.75)
    axes.set_yscale("log")
    axes.set_ylim(LEAST, 1.5 * counts.max())
    axes.axvline(0, color=SOFT, linewidth=0.8)
    limit = float(np.percentile(np.abs(differences), 99))
    for side in (-limit, limit):
        axes.axvline(side, color=INK, linestyle=":", linewidth=1)
    axes.plot([], [], ":", color=INK, linewidth=1, label="99 % of pairs lie between")
    legend_above(figure, 1)
    return to_svg(figure, name)


def _thinned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """One point of each cell of a grid over -1 to 1: what covers another on the page need not be in the file."""
    _, first = np.unique(np.round(points * GRID).astype(np.int64), axis=0, return_index=True)
    kept: NDArray[np.float64] = points[np.sort(first)]
    return kept
