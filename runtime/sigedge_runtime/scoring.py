"""From embeddings to scores and probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.decision import FUSIONS, Calibration
from sigedge_runtime.errors import BundleError, EngineError

Vector = NDArray[np.float32]

# Each reduces groups of similarities: group i is similarities[starts[i]:starts[i + 1]].
_FUSE: dict[str, Callable[[Vector, NDArray[np.intp], NDArray[np.intp]], NDArray[np.float64]]] = {
    "mean": lambda s, starts, sizes: np.add.reduceat(s.astype(np.float64), starts) / sizes,
    "max": lambda s, starts, sizes: np.maximum.reduceat(s.astype(np.float64), starts),
    "mean_max": lambda s, starts, sizes: (_FUSE["mean"](s, starts, sizes) + _FUSE["max"](s, starts, sizes)) / 2,
}


def normalise(embedding: NDArray[np.floating[Any]]) -> Vector:
    """Scale embeddings to unit length.

    Args:
        embedding: float [D] or [N, D], finite and not all zero.

    Returns:
        float32 of the same shape; the norm is taken in float64.

    Raises:
        EngineError: an embedding is all zero or not finite, so it has no direction.
    """
    wide = embedding.astype(np.float64)
    norm = np.linalg.norm(wide, axis=-1, keepdims=True)
    if not np.all(np.isfinite(norm)) or np.any(norm == 0):
        raise EngineError("An embedding is zero or not finite; run the self-test, or export the model again.")
    unit: Vector = (wide / norm).astype(np.float32)
    return unit


def fuse_groups(similarities: Vector, sizes: NDArray[np.intp], fusion: str) -> NDArray[np.float64]:
    """Fuse the similarities of many users at once.

    Args:
        similarities: float32 [K], the references of the first user, then of the second, and so on.
        sizes: number of references of each user, each at least 1, with sum K.
        fusion: ``mean``, ``max`` or ``mean_max`` (the average of both).

    Returns:
        float64 [users], one score each.

    Raises:
        BundleError: the fusion is unknown, or there is nothing to fuse.
    """
    if fusion not in FUSIONS:
        raise BundleError(f"The fusion {fusion!r} is unknown; use one of {', '.join(FUSIONS)}.")
    if len(sizes) == 0 or np.any(sizes < 1) or sizes.sum() != len(similarities):
        raise BundleError("There are no references to compare with; give at least one for each user.")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    return _FUSE[fusion](similarities, starts, sizes)


def fuse(similarities: Vector, fusion: str) -> float:
    """Fuse the similarities float32 [K] of one query to K references into one score; see `fuse_groups`."""
    return float(fuse_groups(similarities, np.array([len(similarities)], np.intp), fusion)[0])


def similarities(query: Vector, references: Vector) -> Vector:
    """Cosines of a unit query [D] to unit references [K, D], in -1 to 1: one matrix product, float32 [K]."""
    cosines: Vector = np.clip(references @ query, -1, 1)
    return cosines


def score(query: NDArray[np.floating[Any]], references: NDArray[np.floating[Any]], fusion: str) -> float:
    """Similarity of a query to all references of one signer.

    Args:
        query: float [D], of any length but zero.
        references: float [K, D], K at least 1.
        fusion: ``mean``, ``max`` or ``mean_max``.

    Returns:
        -1 (opposite) to 1 (equal direction).

    Raises:
        EngineError: an embedding is zero or not finite.
        BundleError: the fusion is unknown, or there are no references.
    """
    return fuse(similarities(normalise(query), normalise(references)), fusion)


def probability(score: float, calibration: Calibration) -> float:
    """Calibrated probability that the query is genuine, 0 to 1 (Platt 1999: a logistic of the score)."""
    logit = calibration.slope * score + calibration.intercept
    # exp of a large positive number overflows; both branches keep its argument at or below zero.
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))
