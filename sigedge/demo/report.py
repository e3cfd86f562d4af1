"""The demo's report: one HTML file with every picture inside, readable without a network."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
from jinja2 import Environment, PackageLoader, StrictUndefined

from sigedge.demo.result import Case, DemoResult, Image

LONGEST_SIDE = 640


@dataclass(frozen=True)
class Mark:
    """A query's place on the score axis; `left` in percent of the axis, `row` keeps labels apart."""

    title: str
    left: float
    accepted: bool
    row: int


def render_report(result: DemoResult) -> str:
    """The report as HTML text."""
    environment = Environment(
        loader=PackageLoader("sigedge.demo"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(picture=picture_uri, kib=kib)
    low, high = _axis(result)
    return environment.get_template("report.html.j2").render(
        result=result,
        marks=[_mark(case, row, low, high) for row, case in enumerate(result.cases)],
        threshold_left=_percent(result.cases[0].verdict.threshold, low, high),
        axis=(low, high),
    )


def picture_uri(image: Image) -> str:
    """A PNG data URI of `image`, scaled down to at most 640 pixels on its longest side."""
    scale = LONGEST_SIDE / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    _, encoded = cv2.imencode(".png", image)
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def kib(size: int) -> str:
    """Bytes as whole KiB."""
    return f"{size / 1024:,.0f} KiB"


def _axis(result: DemoResult) -> tuple[float, float]:
    """Ends of the score axis: round tenths with room on both sides."""
    values = [case.verdict.score for case in result.cases] + [case.verdict.threshold for case in result.cases]
    return max(-1.0, int(min(values) * 10 - 1.5) / 10), min(1.0, int(max(values) * 10 + 1.5) / 10)


def _percent(value: float, low: float, high: float) -> float:
    return round(100 * (value - low) / (high - low), 2)


def _mark(case: Case, row: int, low: float, high: float) -> Mark:
    return Mark(case.title, _percent(case.verdict.score, low, high), case.verdict.accepted, row)
