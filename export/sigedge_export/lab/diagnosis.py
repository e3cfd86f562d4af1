"""What kind of fault makes one tensor differ from its reference: the usual suspects, tried in turn.

Each hypothesis undoes one fault. The first after which the two tensors agree names the kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sigedge_export.lab.noise import sqnr

Values = NDArray[np.float64]
Kind = Literal["not_finite", "dead_range", "lost_norm", "layout", "normalisation", "resize", "unknown"]

AGREED_DB = 25.0
"""A fault is understood when undoing it leaves less noise than this."""

_SORTED_DB = 60.0  # sorting brings unrelated values of one distribution close to each other
_CLIPPED_DB = 15.0  # quantization noise stays where nothing is clipped
_GAIN_DB = 8.0
_RESIZED_DB, _BLOCK = 12.0, 8
_FEW = 8
_BYTE = 255.0
_FACTOR_TOLERANCE = 0.02


@dataclass(frozen=True)
class Diagnosis:
    """A kind of fault, and a clause that says what the two tensors have in common."""

    kind: Kind
    clause: str


def diagnose(
    reference: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]], shape: tuple[int, ...] | None = None
) -> Diagnosis:
    """Name the kind of fault between two tensors that should be equal.

    Args:
        reference: [N, ...], channels last.
        found: of the same shape.
        shape: sides [C, H, W] of the image that a flat `reference` [N, C*H*W] was made of; None when it was none.
    """
    if not np.isfinite(found).all():
        return Diagnosis("not_finite", "it holds NaN or infinity")
    expected, given = reference.astype(np.float64), found.astype(np.float64)
    suspects: tuple[Callable[[Values, Values], Diagnosis | None], ...] = (
        _constant,
        _lost_norm,
        lambda one, other: _layout(one, other, shape),
        _scaled,
        _shifted,
        _clipped,
        _coarse,
        _resized,
        _reordered,
    )
    named = (diagnosis for suspect in suspects if (diagnosis := suspect(expected, given)) is not None)
    return next(named, Diagnosis("unknown", "no simple relation to the reference was found"))


def _constant(reference: Values, found: Values) -> Diagnosis | None:
    if np.ptp(found) > 0 or np.ptp(reference) == 0:
        return None
    return Diagnosis("dead_range", "the output is constant: its quantization range is dead")


def _coarse(reference: Values, found: Values) -> Diagnosis | None:
    levels, rich = (len(np.unique(values.astype(np.float32))) for values in (found, reference))
    if levels * _FEW > rich or levels > _FEW:
        return None
    return Diagnosis("dead_range", f"the output takes {levels} values only: its quantization range is far too wide")


def _clipped(reference: Values, found: Values) -> Diagnosis | None:
    clipped = np.clip(reference, found.min(), found.max())
    share = float((clipped != reference).mean())
    if share == 0 or sqnr(clipped, found) < max(_CLIPPED_DB, sqnr(reference, found) + _GAIN_DB):
        return None
    clause = f"{100 * share:.2g} % of the values are clipped: its quantization range is far too narrow"
    return Diagnosis("dead_range", clause)


def _lost_norm(reference: Values, found: Values) -> Diagnosis | None:
    one, other = (np.linalg.norm(values.reshape(len(values), -1), axis=1) for values in (reference, found))
    if reference.ndim == 2 and np.allclose(one, 1, atol=1e-3) and not np.allclose(other, 1, atol=1e-2):
        return Diagnosis(
            "lost_norm", f"the embedding's norm is 1 in the reference and {other.mean():.3g} here: the L2 norm is lost"
        )
    return None


def _layout(reference: Values, found: Values, shape: tuple[int, ...] | None) -> Diagnosis | None:
    if shape is not None and reference[0].size == np.prod(shape) and reference.ndim == 2:
        reference, found = (values.reshape(len(values), *shape) for values in (reference, found))
    for order in list(permutations(range(1, reference.ndim)))[1:]:
        axes = (0, *order)
        there, back = reference.transpose(axes).reshape(found.shape), found.transpose(axes).reshape(reference.shape)
        if max(sqnr(there, found), sqnr(reference, back)) > AGREED_DB:
            return Diagnosis("layout", "it agrees after transposing: rows, columns and channels are swapped")
    for axis in range(1, reference.ndim):
        if sqnr(np.flip(reference, axis), found) > AGREED_DB:
            return Diagnosis("layout", f"it agrees after mirroring axis {axis}: it is read backwards")
    return None


def _scaled(reference: Values, found: Values) -> Diagnosis | None:
    factor = _slope(reference, found)
    if abs(factor - 1) < _FACTOR_TOLERANCE or sqnr(factor * reference, found) < AGREED_DB:
        return None
    return Diagnosis("normalisation", f"the values agree once scaled by {_number(factor)}: {_meaning(factor)}")


def _shifted(reference: Values, found: Values) -> Diagnosis | None:
    """As `_scaled`, with an offset for each channel: what a bias or a mean makes of a fault of the input."""
    if reference.ndim < 3:
        return None
    if reference.ndim == 3:  # a canvas, whose one channel has no axis
        reference, found = reference[..., None], found[..., None]
    # ReLU cuts both off at zero, where nothing can be told.
    seen = (reference > 0) & (found > 0) if min(reference.min(), found.min()) >= 0 else np.ones(found.shape, np.bool_)
    one, other = _centred(reference, seen), _centred(found, seen)
    factor = _slope(one, other)
    if not one.any() or sqnr(factor * one, other) < AGREED_DB:
        return None
    if abs(factor - 1) < _FACTOR_TOLERANCE:
        return Diagnosis(
            "normalisation", "the values agree but for an offset of each channel: another mean is subtracted"
        )
    clause = f"the values agree once scaled by {_number(factor)}, but for an offset of each channel: {_meaning(factor)}"
    return Diagnosis("normalisation", clause)


def _centred(values: Values, seen: NDArray[np.bool_]) -> Values:
    """Each channel less its mean over what is seen; zero where nothing is seen."""
    axes = tuple(range(values.ndim - 1))
    count = np.maximum(seen.sum(axis=axes), 1)
    centred: Values = np.where(seen, values - (values * seen).sum(axis=axes) / count, 0)
    return centred


def _slope(reference: Values, found: Values) -> float:
    power = float(np.square(reference).sum())
    return float((reference * found).sum()) / power if power > 0 else 1.0


def _number(factor: float) -> str:
    return f"1/{1 / factor:.4g}" if 0 < factor < 0.1 else f"{factor:.4g}"


def _meaning(factor: float) -> str:
    if abs(factor / _BYTE - 1) < _FACTOR_TOLERANCE:
        return "the normalisation by 1/255 is not applied"
    if abs(factor * _BYTE - 1) < _FACTOR_TOLERANCE:
        return "the normalisation by 1/255 is applied twice"
    return "another normalisation than the reference's"


def _resized(reference: Values, found: Values) -> Diagnosis | None:
    if reference.ndim < 3 or min(reference.shape[1:3]) < 2 * _BLOCK:
        return None
    coarse = sqnr(_blocks(reference), _blocks(found))
    if coarse < max(_RESIZED_DB, sqnr(reference, found) + _GAIN_DB):
        return None
    return Diagnosis(
        "resize", f"averages over {_BLOCK}x{_BLOCK} agree and details do not: another size or interpolation of a resize"
    )


def _blocks(values: Values) -> Values:
    height, width = (side // _BLOCK * _BLOCK for side in values.shape[1:3])
    cut = values[:, :height, :width].reshape(len(values), height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, -1)
    averages: Values = cut.mean(axis=(2, 4))
    return averages


def _reordered(reference: Values, found: Values) -> Diagnosis | None:
    one, other = (np.sort(values.reshape(len(values), -1), axis=1) for values in (reference, found))
    if sqnr(one, other) < _SORTED_DB:
        return None
    return Diagnosis("layout", "it holds the same values in another order: rows, columns or channels are mixed up")
