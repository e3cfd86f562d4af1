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


def consistencies(references: Vector, sizes: NDArray[np.intp]) -> NDArray[np.float64]:
    """How alike the references of each user are: the mean cosine between two different ones.

    Args:
        references: unit float32 [K, D], the references of the first user, then of the second, and so on.
        sizes: number of references of each user, each at least 1, with sum K.

    Returns:
        float64 [users], -1 to 1; 0 for a user with one reference, about whom nothing is known.
    """
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    sums = np.add.reduceat(references, starts, axis=0, dtype=np.float64)
    # The squared length of the sum is the sum of all K * K cosines; K of them are of vectors with themselves.
    pairs = np.maximum(sizes * (sizes - 1), 1)
    return np.where(sizes > 1, (np.einsum("ud,ud->u", sums, sums) - sizes) / pairs, 0.0)


def scores(
    query: Vector, references: Vector, sizes: NDArray[np.intp], fusion: str, consistency_weight: float
) -> NDArray[np.float64]:
    """Scores of one query for many users at once.

    A score is the fused similarity less `consistency_weight` times the user's own consistency: who always signs alike
    is held to it, who varies is forgiven. It needs nobody's signatures but the user's (target-centric normalisation in
    J. Fierrez-Aguilar et al., "Target dependent score normalization techniques and their application to signature
    verification", IEEE Trans. SMC-C 35(3), 2005).

    Args:
        query: unit float32 [D].
        references: unit float32 [K, D], the references of the first user, then of the second, and so on.
        sizes: number of references of each user, each at least 1, with sum K.
        fusion: ``mean``, ``max`` or ``mean_max``.
        consistency_weight: 0 to 1.

    Returns:
        float64 [users], -2 to 2.

    Raises:
        BundleError: the fusion is unknown, or there is nothing to compare with.
    """
    fused = fuse_groups(similarities(query, references), sizes, fusion)
    return fused - consistency_weight * consistencies(references, sizes) if consistency_weight else fused


def similarities(query: Vector, references: Vector) -> Vector:
    """Cosines of a unit query [D] to unit references [K, D], in -1 to 1: one matrix product, float32 [K]."""
    cosines: Vector = np.clip(references @ query, -1, 1)
    return cosines


def score(
    query: NDArray[np.floating[Any]],
    references: NDArray[np.floating[Any]],
    fusion: str,
    consistency_weight: float = 0.0,
) -> float:
    """Score of a query against all references of one signer; see `scores`.

    Args:
        query: float [D], of any length but zero.
        references: float [K, D], K at least 1.
        fusion: ``mean``, ``max`` or ``mean_max``.
        consistency_weight: 0 to 1.

    Returns:
        -2 to 2; with a weight of 0 a cosine, -1 (opposite) to 1 (equal direction).

    Raises:
        EngineError: an embedding is zero or not finite.
        BundleError: the fusion is unknown, or there are no references.
    """
    sizes = np.array([len(references)], np.intp)
    return float(scores(normalise(query), normalise(references), sizes, fusion, consistency_weight)[0])


def probability(score: float, calibration: Calibration) -> float:
    """Calibrated probability that the query is genuine, 0 to 1 (Platt 1999: a logistic of the score)."""
    logit = calibration.slope * score + calibration.intercept
    # exp of a large positive number overflows; both branches keep its argument at or below zero.
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))
