"""Groups of pen strokes on a page, and what they look like in numbers: the candidates of `localisation`.

Ink is found as in `preprocessing`, ruled lines are taken out by morphology, and what stays is cut into connected
pieces. Pieces are grouped over gaps of several sizes, so that a name of two words and a single monogram are each whole
in one of them. Everything is counted in integers; a feature is a quotient of counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.preprocessing import Image, _as_image, _to_grey, paper_darkness

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# All lengths are pixels of a page whose longer side is WORKING_SIDE; a smaller page has proportionally smaller ones.
WORKING_SIDE = 1600
MINIMUM_DARKNESS = 24
# A ruled line holds straight runs of this length and is at least twice as long.
RULED_RUN = 80
# Reach across and down over which pieces belong together: letters, words, words far apart in one line.
REACHES = ((2, 2), (4, 4), (10, 6), (16, 10), (24, 16), (26, 6), (44, 8))
MINIMUM_SIZE = (24, 16)
SMALLEST_PIECE = 16

FEATURES = (
    "height",
    "width",
    "aspect",
    "density",
    "stroke_width",
    "stroke_length",
    "largest_area",
    "largest_width",
    "piece_height",
    "piece_height_spread",
    "baseline_spread",
    "fill",
    "level",
    "upright",
    "slanted",
    "ring",
)


class Candidates(NamedTuple):
    """Groups of strokes that may be signatures.

    Attributes:
        boxes: int64 [M, 4], left, top, right, bottom in pixels of the source image, right and bottom exclusive.
        features: float64 [M, len(FEATURES)].
    """

    boxes: Ints
    features: Floats


@dataclass(frozen=True)
class Pieces:
    """Connected pieces of ink, an entry each.

    Attributes:
        boxes: int64 [C, 4], left, top, right, bottom.
        area: pixels.
        outline: pixels with paper above, below, left or right.
        level, upright, slanted: pairs of ink pixels side by side, one above the other, and corner to corner.
        row, column: one pixel of the piece.
    """

    boxes: Ints
    area: Ints
    outline: Ints
    level: Ints
    upright: Ints
    slanted: Ints
    row: Ints
    column: Ints


def find_candidates(image: Image) -> Candidates:
    """Candidates on a page.

    Args:
        image: uint8, grey [H, W], BGR [H, W, 3] or BGRA [H, W, 4]; dark ink on lighter paper.

    Raises:
        ImageError: the array is not uint8 or has another number of dimensions or channels.
    """
    grey = _shrink(_to_grey(image), WORKING_SIDE)
    side = max(grey.shape)
    ink = pen_strokes(grey)
    pieces = cut_pieces(ink)
    nothing = Candidates(np.empty((0, 4), np.int64), np.empty((0, len(FEATURES))))
    if pieces.area.size == 0:
        return nothing
    table = _summed(ink)
    coarse = _halved(ink)
    found = [_candidates_at(reach, coarse, pieces, table, side) for reach in REACHES]
    boxes = np.concatenate([candidates.boxes for candidates in found])
    boxes, first = np.unique(boxes, axis=0, return_index=True)
    features = np.concatenate([candidates.features for candidates in found])[first]
    return Candidates(_enlarge(boxes, grey.shape, image.shape), features)


def _shrink(grey: Image, side: int) -> Image:
    height, width = grey.shape
    longest = max(height, width)
    if longest <= side:
        return grey
    size = (max(1, width * side // longest), max(1, height * side // longest))
    return _as_image(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))


def pen_strokes(grey: Image) -> Image:
    """Mask of the ink of a grey page without its ruled lines, uint8 0 or 255 [H, W]."""
    darkness = cv2.GaussianBlur(paper_darkness(grey), (3, 3), 0)
    _, mask = cv2.threshold(darkness, MINIMUM_DARKNESS, 255, cv2.THRESH_BINARY)
    run = _scaled(RULED_RUN, max(grey.shape))
    ruled = np.zeros_like(_halved(_as_image(mask)))
    for size in ((run, 1), (1, run)):
        straight = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_RECT, size))
        # A line that is not quite level comes in steps, which touch at half the size.
        ruled |= _long_only(_halved(_as_image(straight)), run)
    whole = cv2.resize(ruled, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)[: grey.shape[0], : grey.shape[1]]
    # The neighbourhood takes the ragged edges of a line along.
    return _as_image(cv2.subtract(mask, cv2.dilate(whole, np.ones((3, 3), np.uint8))))


def _long_only(mask: Image, length: int) -> Image:
    """Connected pieces that are at least `length` pixels wide or high."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    long = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1) >= length
    long[0] = False
    lookup = np.where(long, 255, 0).astype(np.uint8)
    return _as_image(lookup[labels])


def _halved(mask: Image) -> Image:
    """A mask at half the size in which every pixel with some ink is ink; an odd row or column counts twice."""
    height, width = mask.shape
    even = cv2.copyMakeBorder(mask, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    small = cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return _as_image(cv2.threshold(small, 0, 255, cv2.THRESH_BINARY)[1])


def cut_pieces(ink: Image) -> Pieces:
    """Connected pieces of a mask, specks left out, with the counts that describe their strokes."""
    # A frame of paper: no neighbour lies outside, and none is the end of the row above.
    framed = cv2.copyMakeBorder(ink, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(framed, connectivity=8, ltype=cv2.CV_32S)
    flat, below = framed.ravel() > 0, framed.shape[1]
    at = np.flatnonzero(flat)
    label = labels.ravel()[at]
    right, down = flat[at + 1], flat[at + below]
    inside = right & down & flat[at - 1] & flat[at - below]

    def counted(chosen: NDArray[np.bool_]) -> Ints:
        return np.bincount(label[chosen], minlength=count)

    left_top = stats[:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]].astype(np.int64) - 1
    size = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    some_pixel = np.zeros(count, np.int64)
    some_pixel[label] = at
    keep = stats[:, cv2.CC_STAT_AREA] >= SMALLEST_PIECE
    keep[0] = False
    return Pieces(
        boxes=np.concatenate([left_top, left_top + size], axis=1)[keep],
        area=stats[keep, cv2.CC_STAT_AREA].astype(np.int64),
        outline=counted(~inside)[keep],
        level=counted(right)[keep],
        upright=counted(down)[keep],
        slanted=(counted(flat[at + below + 1]) + counted(flat[at + below - 1]))[keep],
        row=some_pixel[keep] // below - 1,
        column=some_pixel[keep] % below - 1,
    )


def _candidates_at(reach: tuple[int, int], coarse: Image, pieces: Pieces, table: Ints, side: int) -> Candidates:
    """Candidates of one reach, of a size that a signature may have; boxes in pixels of the working image."""
    across, down = (_scaled(length, side) for length in reach)
    group = _group(coarse, pieces, across, down)
    boxes, features = _describe(pieces, group, table, side)
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    least_width, least_height = (_scaled(length, side) for length in MINIMUM_SIZE)
    fits = (width >= least_width) & (height >= least_height)
    fits &= (width * 3 <= coarse.shape[1] * 4) & (height <= coarse.shape[0])
    return Candidates(boxes[fits], features[fits])


def _group(coarse: Image, pieces: Pieces, across: int, down: int) -> Ints:
    """Number of the group of each piece, 0, 1, 2, ...: pieces that meet when ink, at half the size, spreads."""
    kernel = np.ones((2 * max(1, down // 2) + 1, 2 * max(1, across // 2) + 1), np.uint8)
    _, labels = cv2.connectedComponents(cv2.dilate(coarse, kernel), connectivity=8, ltype=cv2.CV_32S)
    return np.asarray(np.unique(labels[pieces.row // 2, pieces.column // 2], return_inverse=True)[1], np.int64)


def _describe(pieces: Pieces, group: Ints, table: Ints, side: int) -> tuple[Ints, Floats]:
    """Boxes and features of groups; `table` is the summed-area table of the strokes."""
    count = int(group.max()) + 1
    boxes = _group_boxes(pieces, group, count)
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    area, outline = (_total(counts, group, count) for counts in (pieces.area, pieces.outline))
    pairs = np.stack([_total(counts, group, count) for counts in (pieces.level, pieces.upright, pieces.slanted)])
    stroke_width = 2 * area / np.maximum(1, outline)
    columns = [
        height / side,
        width / side,
        width / height,
        area / (width * height),
        stroke_width / height,
        area / stroke_width / (width + height),
        *_of_pieces(pieces, group, count, width, height),
        *(pairs / np.maximum(1, pairs.sum(axis=0))),
        _ring(table, boxes),
    ]
    return boxes, np.stack(columns, axis=1).astype(np.float64)


def _of_pieces(pieces: Pieces, group: Ints, count: int, width: Ints, height: Ints) -> list[Floats]:
    """The largest piece, and means and spreads over all pieces of a group, each weighing as much as its ink."""
    area = _total(pieces.area, group, count)
    piece_width, piece_height = (pieces.boxes[:, 2:] - pieces.boxes[:, :2]).T
    largest = np.empty(count, np.int64)
    order = np.lexsort((pieces.area, group))
    largest[group[order]] = order

    def mean(values: NDArray[Any]) -> Floats:
        return _total(pieces.area * values, group, count) / area

    def spread(values: Ints) -> Floats:
        return np.asarray(np.sqrt(np.maximum(0.0, mean(values * values) - mean(values) ** 2)))

    return [
        pieces.area[largest] / area,
        piece_width[largest] / width,
        mean(piece_height) / height,
        spread(piece_height) / mean(piece_height),
        spread(pieces.boxes[:, 3]) / height,
        mean(pieces.area / (piece_width * piece_height)),
    ]


def _group_boxes(pieces: Pieces, group: Ints, count: int) -> Ints:
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(count))
    corners = pieces.boxes[order]
    lows, highs = np.minimum.reduceat(corners[:, :2], starts), np.maximum.reduceat(corners[:, 2:], starts)
    return np.concatenate([lows, highs], axis=1)


def _total(values: NDArray[Any], group: Ints, count: int) -> Floats:
    return np.asarray(np.bincount(group, weights=values, minlength=count), np.float64)


def _ring(ink: Ints, boxes: Ints) -> Floats:
    """Share of ink in a frame around each box, a third of its height wide: text has text around it."""
    bottom, right = np.array(ink.shape) - 1
    margin = ((boxes[:, 3] - boxes[:, 1]) // 3 + 4)[:, None]
    outer = np.clip(np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1), 0, [right, bottom] * 2)
    extent = np.prod(outer[:, 2:] - outer[:, :2], axis=1) - np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray((_inside(ink, outer) - _inside(ink, boxes)) / np.maximum(1, extent))


def _summed(mask: Image) -> Ints:
    """Summed-area table of a mask counted in pixels: int32 [H + 1, W + 1]."""
    return np.asarray(cv2.integral(cv2.threshold(mask, 0, 1, cv2.THRESH_BINARY)[1], sdepth=cv2.CV_32S))


def _inside(table: Ints, boxes: Ints) -> Ints:
    left, top, right, bottom = boxes.T
    return np.asarray(table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left], dtype=np.int64)


def _scaled(length: int, side: int) -> int:
    return max(1, length * side // WORKING_SIDE)


def _enlarge(boxes: Ints, small: tuple[int, ...], large: tuple[int, ...]) -> Ints:
    """Boxes of the working image in pixels of the source image, rounded outwards."""
    (height, width), (full_height, full_width) = small[:2], large[:2]
    full, part = np.array([full_width, full_height]), np.array([width, height])
    return np.concatenate([boxes[:, :2] * full // part, -(-boxes[:, 2:] * full // part)], axis=1)
