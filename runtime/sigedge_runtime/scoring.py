"""From similarities to scores and probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.decision import FUSIONS, Calibration, Decision
from sigedge_runtime.errors import BundleError
from sigedge_runtime.matching import Arranged, Vector, relative_similarities

# Each reduces groups of similarities: group i is similarities[starts[i]:starts[i + 1]].
_FUSE: dict[str, Callable[[Vector, NDArray[np.intp], NDArray[np.intp]], NDArray[np.float64]]] = {
    "mean": lambda s, starts, sizes: np.add.reduceat(s.astype(np.float64), starts) / sizes,
    "max": lambda s, starts, sizes: np.maximum.reduceat(s.astype(np.float64), starts),
    "mean_max": lambda s, starts, sizes: (_FUSE["mean"](s, starts, sizes) + _FUSE["max"](s, starts, sizes)) / 2,
}


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


def scores(
    query: Vector,
    references: Vector | Arranged,
    sizes: NDArray[np.intp],
    decision: Decision,
    consistencies: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Scores of one query for many users at once.

    A score is the fused similarity, relative to what the references demand, less what `ScoreRule.expected` expects of
    the user, whose own consistency is relative likewise: who always signs alike is held to it, who varies is forgiven.
    It needs nobody's signatures but the user's (target-centric normalisation in J. Fierrez-Aguilar et al., "Target
    dependent score normalization techniques and their application to signature verification", IEEE Trans. SMC-C
    35(3), 2005).

    Args:
        query: float32 [D], prepared by the decision's matching.
        references: float32 [K, D], likewise, laid out or not; those of the first user, then of the second, and so on.
        sizes: number of references of each user, each at least 1, with sum K.
        decision: matching and score rule.
        consistencies: float64 [users], of the references, where they are known already.

    Returns:
        float64 [users], -2 to 2.

    Raises:
        BundleError: there is nothing to compare with.
    """
    matching = decision.similarity
    fused = fuse_groups(relative_similarities(matching, query[None], references)[0], sizes, decision.fusion)
    if not decision.consistency_weight:
        return fused
    vectors = references.vectors if isinstance(references, Arranged) else references
    known = matching.consistencies(vectors, sizes) if consistencies is None else consistencies
    return fused - decision.rule.expected(known, sizes)


def score(query: NDArray[np.floating[Any]], references: NDArray[np.floating[Any]], decision: Decision) -> float:
    """Score of a query against all references of one signer; see `scores`.

    Args:
        query: float [D], as the network gives it.
        references: float [K, D], likewise; K at least 1.
        decision: matching and score rule.

    Returns:
        -2 to 2; with a consistency weight of 0 a similarity, -1 (opposite) to 1 (equal).

    Raises:
        EngineError: an embedding is zero or not finite.
        BundleError: there are no references.
    """
    sizes = np.array([len(references)], np.intp)
    prepare = decision.similarity.prepare
    return float(scores(prepare(query), prepare(references), sizes, decision)[0])


def scores_among(references: Vector, decision: Decision) -> tuple[float, NDArray[np.float64]]:
    """How alike a user's references are, and the score of each against all others.

    The scores are those of `scores` with one reference as the query, but no two references are compared twice.

    Args:
        references: float32 [K, D], prepared by the decision's matching; K at least 2.
        decision: matching and score rule.

    Returns:
        The consistency of all references, -1 to 1, and float64 [K], -2 to 2.
    """
    count, matching = len(references), decision.similarity
    alike = np.zeros((count, count), np.float32)
    for row in range(count - 1):
        found = matching.similarities(references[row : row + 1], references[row + 1 :])[0]
        alike[row, row + 1 :] = alike[row + 1 :, row] = found
    relative = alike - matching.demands(references)
    np.fill_diagonal(relative, 0)
    others = ~np.eye(count, dtype=bool)
    fused = fuse_groups(np.clip(relative[others], -1, 1), np.full(count, count - 1, np.intp), decision.fusion)
    own = relative.sum(axis=0, dtype=np.float64) + relative.sum(axis=1, dtype=np.float64)
    everything = own.sum() / 2
    of_others = np.clip((everything - own) / max(1, (count - 1) * (count - 2)), -1, 1)
    consistency = min(1.0, max(-1.0, float(everything) / (count * (count - 1))))
    return consistency, fused - decision.rule.expected(of_others, np.full(count, count - 1, np.intp))


def log_likelihood_ratio(score: float, calibration: Calibration) -> float:
    """Natural logarithm of how many times likelier the score is for a genuine signature than for a skilled forgery.

    A logistic regression with both classes weighted alike has this for its logit (N. Brümmer and J. du Preez,
    "Application-independent evaluation of speaker detection", Computer Speech & Language 20, 2006). Added to the
    logarithm of the prior odds, it gives that of the posterior odds. It is a straight line in the score: beyond the
    scores of the validation signers it is extrapolated.
    """
    return calibration.slope * score + calibration.intercept


def probability(score: float, calibration: Calibration) -> float:
    """Probability that the query is genuine, 0 to 1, where both are equally likely beforehand (Platt 1999)."""
    logit = log_likelihood_ratio(score, calibration)
    # exp of a large positive number overflows; both branches keep its argument at or below zero.
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))
