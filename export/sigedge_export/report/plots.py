"""Parity plots as inline SVG that follows the page's colours: drawn by matplotlib, coloured by the style sheet."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sigedge_export.inputs import GENUINE, RANDOM, SKILLED

Scores = NDArray[np.float64]

# matplotlib writes these; the page's style sheet gives them their colours, light and dark.
INK, SOFT, LINE, ACCENT = "#010101", "#020202", "#030303", "#040404"
KINDS = {
    RANDOM: ("random forgery", "#050505", "s"),
    SKILLED: ("skilled forgery", "#060606", "^"),
    GENUINE: ("genuine", "#070707", "o"),
}
_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    LINE: "--line",
    ACCENT: "--accent",
    "#050505": "--random",
    "#060606": "--skilled",
    "#070707": "--genuine",
}
_ID = re.compile(r'(\bid="|xlink:href="#|url\(#)')
_REPAIRS = (
    (re.compile(r'(<svg[^>]*?) width="[^"]*"'), r"\1"),
    (re.compile(r'(<svg[^>]*?) height="[^"]*"'), r"\1"),
    (re.compile(r"<metadata>.*?</metadata>", re.DOTALL), ""),
    (re.compile(r"<style.*?</style>", re.DOTALL), ""),  # would hold for the whole page
    (re.compile(r"font: ([\d.]+px) [^;\"]*"), r"font-size: \1"),
    (re.compile(r"font-family: [^;\"]*;?"), ""),
    (re.compile(r"(\d\.\d\d)\d+(?=[^<\d])"), r"\1"),  # places, not the numbers on the axes
)

SIZE = (4.4, 3.7)  # inches at 72 points
PLACE = (0.125, 0.125, 0.855, 0.745)  # of the axes in the figure; above them is room for the legend
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
    figure, axes = _axes("score of the PyTorch model", "score of the artefact")
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
    _legend(figure, 3)
    return _svg(figure, name)


def histogram(name: str, reference: Scores, scores: Scores) -> str:
    """Signed score differences with a logarithmic count, so that single pairs far out are seen.

    Args:
        name: prefix of the element ids, unique on the page.
        reference: float64 [P].
        scores: float64 [P].

    Returns:
        An ``<svg>`` element.
    """
    figure, axes = _axes("artefact minus PyTorch model", "pairs")
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
    _legend(figure, 1)
    return _svg(figure, name)


def _axes(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE)
    axes = figure.add_axes(PLACE)
    axes.set_xlabel(x_label, color=SOFT, fontsize=9)
    axes.set_ylabel(y_label, color=SOFT, fontsize=9)
    axes.tick_params(which="both", colors=SOFT, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(LINE)
    for part in (figure.patch, axes.patch):
        part.set_visible(False)
    return figure, axes


def _legend(figure: Figure, columns: int) -> None:
    """Above the axes, where no point can be."""
    figure.legend(
        loc="upper left",
        ncols=columns,
        frameon=False,
        labelcolor=INK,
        fontsize=8,
        markerscale=1.6,
        handlelength=1.4,
        columnspacing=1.2,
    )


def _thinned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """One point of each cell of a grid over -1 to 1: what covers another on the page need not be in the file."""
    _, first = np.unique(np.round(points * GRID).astype(np.int64), axis=0, return_index=True)
    kept: NDArray[np.float64] = points[np.sort(first)]
    return kept


def _svg(figure: Figure, name: str) -> str:
    """The figure as an element of the page: scalable, with ids of its own, and with the page's colours and font."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sigedge"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for pattern, replacement in _REPAIRS:
        svg = pattern.sub(replacement, svg)
    svg = _ID.sub(rf"\g<1>{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
