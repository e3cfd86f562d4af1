"""Which layer of one network corresponds to which of another, when both should compute the same.

Names and numbers of layers differ between formats: a converter fuses, splits, pads and transposes. The order of
execution stays, so that the alignment is monotone, as that of two strings (Needleman and Wunsch 1970, "A general
method applicable to the search for similarities in the amino acid sequence of two proteins").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.lab.noise import sqnr
from sigedge_export.lab.operators import ACTIVATIONS, LINEAR, MOVED, NORMALISED, kinds
from sigedge_export.lab.trace import INPUT, Layer, Trace

Tensor = NDArray[np.float32]

CLOSE_DB = 25.0
"""Two tensors nearer than this, noise below 6 % of the signal, are taken for the same whatever computed them."""

_CLOSE, _ANCHORS, _ENDS = 4.0, 2.0, 100.0  # bonuses; a correlation counts 1 at most
_SAMPLES = 12


@dataclass(frozen=True)
class Match:
    """Two layers that correspond, as places in their traces."""

    reference: int
    candidate: int


def align(reference: Trace, candidate: Trace) -> list[Match]:
    """The monotone alignment of greatest likeness; layers that only move values take no part in it.

    Likeness is decided by shape first (free of layout and of sides of length one), then by closeness of the values,
    then by the kind of operator with the activation fused into it. Canvas and embedding always correspond.
    """
    rows, columns = _taking_part(reference), _taking_part(candidate)
    likeness = np.array([[_likeness(row, column) for column in columns] for row in rows])
    pairs = _best_path(likeness)
    return [Match(rows[row].place, columns[column].place) for row, column in pairs]


def view(layer: Layer, trace: Trace) -> Tensor:
    """A layer's values, channels last and without sides of length one: float32 [N, ...], of two axes at least."""
    values = layer.values
    if trace.layout == "NCHW" and values.ndim == 5:
        values = np.moveaxis(values, 2, 4)
    sides = [side for side in values.shape[1:] if side != 1]
    return values.reshape(len(values), *(sides or [1]))


def turn(found: Tensor, reference: Tensor) -> Tensor | None:
    """`found` with its axes in the order of `reference`'s; None when they cannot be brought together.

    Equal shapes are left as they are. Otherwise the order that comes nearest is taken: token sequences and attention
    maps have no layout that a format prescribes.
    """
    if found.shape == reference.shape:
        return found
    if sorted(found.shape) != sorted(reference.shape) or len(found) != len(reference):
        return None
    orders = ((0, *order) for order in permutations(range(1, found.ndim)))
    turned = [moved for order in orders if (moved := found.transpose(order)).shape == reference.shape]
    return max(turned, key=lambda moved: sqnr(reference, moved))


@dataclass(frozen=True, eq=False)
class _Entry:
    """A layer that takes part: its place, a coarse sample of its values, and what it is made of."""

    place: int
    sample: Tensor
    kinds: frozenset[str]
    end: str


def _taking_part(trace: Trace) -> list[_Entry]:
    made = _made_of(trace)
    entries = []
    for place, layer in enumerate(trace.layers):
        end = INPUT if place == 0 else "output" if place == trace.output else ""
        if end or MOVED not in kinds(layer.operator):
            entries.append(_Entry(place, _thin(view(layer, trace)), made[place], end))
    return entries


def _thin(values: Tensor) -> Tensor:
    """A few samples along each axis, the same ones for sides of the same length."""
    strides = [max(1, side // _SAMPLES) for side in values.shape[1:]]
    return values[tuple([slice(1), *(slice(None, None, stride) for stride in strides)])]


def _made_of(trace: Trace) -> list[frozenset[str]]:
    """Of each layer its kind, and that of a convolution with what may be fused into it."""
    made: list[frozenset[str]] = []
    for layer in trace.layers:
        own = kinds(layer.operator)
        before = made[layer.inputs[0]] if len(layer.inputs) == 1 else frozenset()
        if before and (own == {MOVED} or (LINEAR in before and own <= {NORMALISED, "add", "mul"})):
            made.append(before)
        else:
            made.append(before | own if LINEAR in before and own <= ACTIVATIONS else own)
    return made


def _likeness(reference: _Entry, candidate: _Entry) -> float:
    if reference.end or candidate.end:
        return _ENDS if reference.end == candidate.end else 0.0
    found = turn(candidate.sample, reference.sample)
    if found is None:
        return 0.0
    score = _correlation(reference.sample, found)
    if reference.kinds == candidate.kinds:
        score += _ANCHORS if LINEAR in reference.kinds else 1.0
    elif sqnr(reference.sample, found) <= CLOSE_DB:
        return 0.0
    return score + (_CLOSE if sqnr(reference.sample, found) > CLOSE_DB else 0.0)


def _correlation(one: Tensor, other: Tensor) -> float:
    """Positive part of the correlation, 0 for what is constant or not finite."""
    first, second = (values.ravel().astype(np.float64) - values.mean() for values in (one, other))
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return max(0.0, float(first @ second) / length) if length > 0 and np.isfinite(length) else 0.0


def _best_path(likeness: NDArray[Any]) -> Sequence[tuple[int, int]]:
    """Pairs of rows and columns, both rising, of greatest total likeness; later layers win a tie."""
    height, width = likeness.shape
    total = np.zeros((height + 1, width + 1))
    for row in range(height):
        for column in range(width):
            paired = total[row, column] + likeness[row, column]
            total[row + 1, column + 1] = max(paired, total[row, column + 1], total[row + 1, column])
    pairs: list[tuple[int, int]] = []
    row, column = height, width
    while row and column:
        if likeness[row - 1, column - 1] > 0 and (
            total[row, column] == total[row - 1, column - 1] + likeness[row - 1, column - 1]
        ):
            row, column = row - 1, column - 1
            pairs.append((row, column))
        elif total[row, column] == total[row - 1, column]:
            row -= 1
        else:
            column -= 1
    return pairs[::-1]
