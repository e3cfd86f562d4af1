"""Plots of a bench as inline SVG: distributions, stages, and times or sizes against error rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from sigedge.bench.contestants import FLOOR, OURS, PEER, STAGES
from sigedge_export.report import drawing
from sigedge_export.report.drawing import ACCENT, INK, LINE, SOFT, legend_above, new_axes, to_svg

Row = Mapping[str, Any]

COLOURS = {OURS: ACCENT, FLOOR: SOFT, PEER: drawing.SKILLED}
KINDS = {OURS: "sigedge", FLOOR: "bare calls", PEER: "peers"}
STAGE_COLOURS = dict(zip(STAGES, (drawing.RANDOM, drawing.GENUINE, drawing.SKILLED, ACCENT), strict=True))
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.")
BAR_INCHES, LABEL_INCHES = 0.24, 3.4


@dataclass(frozen=True)
class Point:
    """Something with an error rate, 0 to 1, at a place on a logarithmic axis."""

    name: str
    kind: str
    x: float
    error: float


def distributions(name: str, rows: Sequence[Row]) -> str:
    """The share of verifications that took no longer than so many milliseconds, one line a contestant.

    Args:
        name: prefix of the element ids, unique on the page.
        rows: of a result file, at least one.

    Returns:
        An ``<svg>`` element; the time is on a logarithmic axis, a steep line is a steady contestant.
    """
    figure, axes = new_axes(
        "milliseconds, image in memory to verdict", "verifications, %", (9.6, 4.2), (0.07, 0.12, 0.91, 0.78)
    )
    for dash, row in zip(cycle(DASHES), rows, strict=False):
        axes.plot(row["percentiles_ms"], np.arange(101), color=COLOURS[row["kind"]], linestyle=dash, linewidth=1.2)
    for kind, label in KINDS.items():
        axes.plot([], [], color=COLOURS[kind], label=label)
    for share in (50, 99):
        axes.axhline(share, color=LINE, linewidth=0.8)
    _logarithmic(axes)
    axes.set_ylim(0, 100)
    legend_above(figure, 3)
    return to_svg(figure, name)


def stage_bars(name: str, rows: Sequence[Row]) -> str:
    """Median milliseconds of each stage end to end, a bar for each contestant, the fastest on top.

    Args:
        name: prefix of the element ids, unique on the page.
        rows: of a result file, at least one.

    Returns:
        An ``<svg>`` element.
    """
    ordered = sorted(rows, key=lambda row: -row["stages_ms"]["total"]["p50"])
    height = 1.1 + BAR_INCHES * len(ordered)
    width = 9.6
    left, bottom = LABEL_INCHES / width, 0.5 / height
    figure, axes = new_axes(
        "milliseconds, medians", "", (width, height), (left, bottom, 0.98 - left, 1 - bottom - 0.45 / height)
    )
    starts = np.zeros(len(ordered))
    for stage, colour in STAGE_COLOURS.items():
        lengths = np.array([row["stages_ms"][stage]["p50"] for row in ordered])
        axes.barh(np.arange(len(ordered)), lengths, left=starts, color=colour, height=0.7, label=stage)
        starts += lengths
    longest = max(starts)
    for place, (row, end) in enumerate(zip(ordered, starts, strict=True)):
        axes.text(
            end + 0.006 * longest, place, f"{row['stages_ms']['total']['p50']:.2f}", color=INK, fontsize=7, va="center"
        )
    axes.set_yticks(np.arange(len(ordered)), [row["contestant"] for row in ordered], fontsize=7)
    axes.set_xlim(0, 1.08 * longest)
    legend_above(figure, 4)
    return to_svg(figure, name)


def against_errors(name: str, points: Sequence[Point], label: str) -> str:
    """Error rates over a logarithmic axis, each point with its name; lower left is better.

    Args:
        name: prefix of the element ids, unique on the page.
        points: at least one.
        label: of the axis.

    Returns:
        An ``<svg>`` element.
    """
    figure, axes = new_axes(label, "EER against skilled forgeries, %", (4.8, 3.9), (0.115, 0.13, 0.86, 0.76))
    for kind in sorted({point.kind for point in points}):
        places = [(point.x, 100 * point.error) for point in points if point.kind == kind]
        axes.plot(*np.transpose(places), "o", color=COLOURS[kind], markersize=4.5, label=KINDS[kind])
    for point in points:
        axes.annotate(
            point.name,
            (point.x, 100 * point.error),
            (4, 4),
            textcoords="offset points",
            fontsize=6.5,
            color=INK,
            annotation_clip=False,
        )
    _logarithmic(axes)
    low, high = axes.get_xlim()
    axes.set_xlim(low / 1.2, high * 2.5)  # room for the names
    axes.set_ylim(bottom=0)
    legend_above(figure, 3)
    return to_svg(figure, name)


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
