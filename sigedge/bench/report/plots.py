"""Plots of a bench as inline SVG: distributions, stages, and times or sizes against error rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sigedge.bench.contestants import FLOOR, OURS, PEER, STAGES
from sigedge_export.report import drawing
from sigedge_export.report.drawing import ACCENT, INK, SOFT, legend_above, new_axes, to_svg

Row = Mapping[str, Any]

COLOURS = {OURS: ACCENT, FLOOR: SOFT, PEER: drawing.SKILLED}
KINDS = {OURS: "sigedge", FLOOR: "bare calls", PEER: "peers"}
STAGE_COLOURS = dict(zip(STAGES, (drawing.RANDOM, drawing.GENUINE, drawing.SKILLED, ACCENT), strict=True))
WIDE, ROW_INCHES, LABEL_INCHES = 9.6, 0.24, 3.4
FITTING = 1.6
OFFSETS = ((4, 4), (4, -9), (4, 13), (4, -18))
"""Of names beside points, in turn, so that those of neighbours do not lie on one another."""


@dataclass(frozen=True)
class Point:
    """Something with an error rate, 0 to 1, at a place on a logarithmic axis."""

    name: str
    kind: str
    x: float
    error: float


def distributions(name: str, rows: Sequence[Row]) -> str:
    """How single verifications spread: a line from the 1st to the 99th percentile, a bar over the middle half, the
    median as a gap in it, and the slowest as a dot; logarithmic, a row for each contestant, the fastest on top.

    Args:
        name: prefix of the element ids, unique on the page.
        rows: of a result file, at least one.

    Returns:
        An ``<svg>`` element.
    """
    ordered = sorted(rows, key=lambda row: -row["stages_ms"]["total"]["p50"])
    figure, axes = _named_rows("milliseconds, image in memory to verdict", ordered)
    for place, row in enumerate(ordered):
        spread, colour = row["percentiles_ms"], COLOURS[row["kind"]]
        axes.plot((spread[1], spread[99]), (place, place), color=colour, linewidth=1.3)
        axes.plot((spread[25], spread[75]), (place, place), color=colour, linewidth=6, solid_capstyle="butt")
        axes.plot(spread[50], place, "|", color=INK, markersize=9, markeredgewidth=1.4)
        axes.plot(spread[100], place, "o", color=colour, markersize=2.6)
    for kind, label in KINDS.items():
        axes.plot([], [], color=COLOURS[kind], linewidth=6, label=label)
    _logarithmic(axes)
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
    figure, axes = _named_rows("milliseconds, medians; what does not fit is cut", ordered)
    starts = np.zeros(len(ordered))
    for stage, colour in STAGE_COLOURS.items():
        lengths = np.array([row["stages_ms"][stage]["p50"] for row in ordered])
        axes.barh(np.arange(len(ordered)), lengths, left=starts, color=colour, height=0.7, label=stage)
        starts += lengths
    # One slow peer would leave no room to see the stages of everybody else.
    room = min(float(starts.max()), FITTING * float(np.percentile(starts, 75)))
    for place, (row, end) in enumerate(zip(ordered, starts, strict=True)):
        label, place_x = f"{row['stages_ms']['total']['p50']:.2f}", min(end, room) + 0.006 * room
        axes.text(place_x, place, label, color=INK, fontsize=7, va="center")
    axes.set_xlim(0, 1.08 * room)
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
    for offset, point in zip(cycle(OFFSETS), sorted(points, key=lambda point: point.x), strict=False):
        axes.annotate(
            point.name,
            (point.x, 100 * point.error),
            offset,
            textcoords="offset points",
            fontsize=6.5,
            color=INK,
            annotation_clip=False,
        )
    _logarithmic(axes)
    low, high = axes.get_xlim()
    axes.set_xlim(low / 1.2, high * 2.5)  # room for the names
    axes.set_ylim(0, 115 * max(point.error for point in points))
    legend_above(figure, 3)
    return to_svg(figure, name)


def _named_rows(label: str, rows: Sequence[Row]) -> tuple[Figure, Axes]:
    """Axes with the name of a contestant at each row, as high as they need."""
    width, height = WIDE, 1.1 + ROW_INCHES * len(rows)
    left, bottom = LABEL_INCHES / width, 0.5 / height
    place = (left, bottom, 0.98 - left, 1 - bottom - 0.45 / height)
    figure, axes = new_axes(label, "", (width, height), place)
    axes.set_yticks(np.arange(len(rows)), [row["contestant"] for row in rows], fontsize=7)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    return figure, axes


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
