"""Drawing for the pages: SVG that follows the page's colours, drawn by matplotlib and coloured by the style sheet."""

from __future__ import annotations

import io
import re

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# matplotlib writes these; the page's style sheet gives them their colours, light and dark.
INK, SOFT, LINE, ACCENT = "#010101", "#020202", "#030303", "#040404"
RANDOM, SKILLED, GENUINE = "#050505", "#060606", "#070707"
_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    LINE: "--line",
    ACCENT: "--accent",
    RANDOM: "--random",
    SKILLED: "--skilled",
    GENUINE: "--genuine",
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


def new_axes(
    x_label: str,
    y_label: str,
    size: tuple[float, float] = SIZE,
    place: tuple[float, float, float, float] = PLACE,
) -> tuple[Figure, Axes]:
    """A figure with one pair of axes in the page's colours.

    Args:
        x_label: below the axes.
        y_label: beside them.
        size: of the figure, inches at 72 points.
        place: of the axes in it: left, bottom, width and height as shares.
    """
    figure = Figure(figsize=size)
    axes = figure.add_axes(place)
    axes.set_xlabel(x_label, color=SOFT, fontsize=9)
    axes.set_ylabel(y_label, color=SOFT, fontsize=9)
    axes.tick_params(which="both", colors=SOFT, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(LINE)
    for part in (figure.patch, axes.patch):
        part.set_visible(False)
    return figure, axes


def legend_above(figure: Figure, columns: int) -> None:
    """A legend above the axes, where no point can be."""
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


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an element of the page: scalable, with ids of its own, and with the page's colours and font.

    Args:
        figure: drawn in the colours above.
        name: prefix of the element ids, unique on the page.

    Returns:
        An ``<svg>`` element.
    """
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
