"""The chain as a picture: boxes for what was made, arrows for the steps, laid out from left to right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sigedge_export.chain import Hop
from sigedge_export.plan import RECIPES
from sigedge_export.report.data import ReportData, Row

BOX_WIDTH, BOX_HEIGHT = 196, 46
ROW, COLUMN = 58, 260

CHECKPOINT = "checkpoint"
_NAMES = {"onnx": "ONNX", "saved_model": "SavedModel", "tflite": "TFLite", "torch_program": "torch.export"}

MADE, BETWEEN, LATER, FAILED = "made", "between", "later", "failed"


@dataclass(frozen=True)
class Box:
    """One thing that the chain makes.

    Attributes:
        key: e.g. ``int8-tflite``.
        parent: key of what it is made from; empty for the checkpoint.
        title: first line.
        detail: second line.
        state: `MADE`, `BETWEEN` (a stage that is not kept), `LATER` (made on the device) or `FAILED`.
        step: label of the arrow that leads here.
    """

    key: str
    parent: str
    title: str
    detail: str
    state: str
    step: str = ""


@dataclass(frozen=True)
class Placed:
    """A box with the place of its top left corner."""

    box: Box
    x: float
    y: float


@dataclass(frozen=True)
class Arrow:
    """A line as an SVG path, with its label and the label's place."""

    path: str
    label: str
    x: float
    y: float


@dataclass(frozen=True)
class Picture:
    """Everything that the template draws, and the same in words for those who cannot see it."""

    width: float
    height: float
    boxes: tuple[Placed, ...]
    arrows: tuple[Arrow, ...]
    alt: str


def draw_chain(data: ReportData, rows: Sequence[Row]) -> Picture:
    """Lay the chain of a report's bundle out."""
    boxes = _boxes(data, rows)
    places = _places(boxes)
    return Picture(
        width=max(x for x, _ in places.values()) + BOX_WIDTH,
        height=max(y for _, y in places.values()) + BOX_HEIGHT,
        boxes=tuple(Placed(box, *places[box.key]) for box in boxes),
        arrows=tuple(_arrow(box, places[box.parent], places[box.key]) for box in boxes if box.parent),
        alt="; ".join(_words(box, boxes) for box in boxes),
    )


def _boxes(data: ReportData, rows: Sequence[Row]) -> list[Box]:
    """Parents before children, so that each is laid out once."""
    model = data.manifest.model
    steps = _labels(data.hops)
    faults = {row.parity.artifact: row.faults for row in rows if row.faults}
    boxes = {CHECKPOINT: Box(CHECKPOINT, "", "PyTorch checkpoint", f"{model.parameters:,} weights", MADE)}
    for artifact in data.manifest.artifacts:
        key = f"{artifact.precision}-{artifact.format}"
        _add_stages(boxes, _source(key), steps)
        detail = "decides otherwise" if artifact.name in faults else kilobytes(artifact.size)
        state = FAILED if artifact.name in faults else MADE
        boxes[key] = _box(key, detail, state, steps)
    for key in [key for key in boxes if key.endswith("-onnx")]:
        later = f"{key}-tensorrt"
        boxes[later] = Box(later, key, f"TensorRT {_precision(key)}", "built on the device", LATER)
    return list(boxes.values())


def _add_stages(boxes: dict[str, Box], key: str, steps: Mapping[str, str]) -> None:
    """The stages on the way to an artefact that the bundle does not hold."""
    if key not in boxes:
        _add_stages(boxes, _source(key), steps)
        boxes[key] = _box(key, "not kept", BETWEEN, steps)


def _box(key: str, detail: str, state: str, steps: Mapping[str, str]) -> Box:
    title = f"{_NAMES[key.partition('-')[2]]} {_precision(key)}"
    return Box(key, _source(key), title, detail, state, steps.get(key, ""))


def _source(key: str) -> str:
    return RECIPES[key].source or CHECKPOINT


def _precision(key: str) -> str:
    return key.partition("-")[0].replace("_", " ")


def _labels(hops: Iterable[Hop]) -> dict[str, str]:
    return {hop.name: "reused" if hop.cached else f"{hop.seconds:.1f} s" for hop in hops}


def _places(boxes: Sequence[Box]) -> dict[str, tuple[float, float]]:
    """Column by distance from the checkpoint; a row for each leaf, and parents in the middle of their children."""
    children: dict[str, list[str]] = {}
    for box in boxes:
        children.setdefault(box.parent, []).append(box.key)
    places: dict[str, tuple[float, float]] = {}
    leaves = 0

    def place(key: str, depth: int) -> float:
        nonlocal leaves
        below = [place(child, depth + 1) for child in children.get(key, ())]
        if not below:
            below = [leaves * ROW]
            leaves += 1
        y = (below[0] + below[-1]) / 2
        places[key] = (depth * COLUMN, y)
        return y

    place(CHECKPOINT, 0)
    return places


def _arrow(box: Box, source: tuple[float, float], target: tuple[float, float]) -> Arrow:
    x1, y1 = source[0] + BOX_WIDTH, source[1] + BOX_HEIGHT / 2
    x2, y2 = target[0], target[1] + BOX_HEIGHT / 2
    bend = x1 + 11
    path = f"M{x1:g} {y1:g} C{bend:g} {y1:g} {bend:g} {y2:g} {bend + 11:g} {y2:g} L{x2 - 2:g} {y2:g}"
    return Arrow(path, box.step, x2 - 6, y2 - 5)


def _words(box: Box, boxes: Sequence[Box]) -> str:
    titles = {other.key: other.title for other in boxes}
    made_from = f" from {titles[box.parent]}" if box.parent else ""
    failed = ", failed" if box.state == FAILED else ""
    return f"{box.title}{made_from}{failed}, {box.detail}"


def kilobytes(size: int) -> str:
    """Bytes as kB, or as MB from a million on."""
    return f"{size / 1e6:,.1f} MB" if size >= 1_000_000 else f"{size / 1e3:,.0f} kB"
