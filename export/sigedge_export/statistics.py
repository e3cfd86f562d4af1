"""The few statistics of the parity gate: changed scores, error rates, a paired bootstrap over signers, and collapse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.inputs import Pairs
from sigedge_runtime.decision import ScoreRule
from sigedge_runtime.matching import COSINE, Matching, relative_similarities

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]
Embeddings = NDArray[np.floating[Any]]

REPLICATES = 2000
_AS_THEY_ARE = ScoreRule("mean")
_CHUNK = 100


@dataclass(frozen=True)
class ScoreChange:
    """How far the scores of pairs of signatures are from the reference's, and what that decides.

    Attributes:
        max_score_difference: largest absolute difference of a pair's score.
        p99_score_difference: 99th percentile of those differences.
        flipped: pairs decided otherwise at the threshold.
        flipped_decisions: the same as a share of all pairs.
    """

    max_score_difference: float
    p99_score_difference: float
    flipped: int
    flipped_decisions: float


def pair_scores(
    embeddings: Embeddings, pairs: Pairs, matching: Matching = COSINE, rule: ScoreRule = _AS_THEY_ARE
) -> Scores:
    """Scores float64 [P] of pairs of embeddings [N, D], each a query against one reference.

    Args:
        embeddings: [N, D]; one that is zero has a similarity of 0 to all others.
        pairs: which are compared.
        matching: how.
        rule: what similarities to one reference are relative to.
    """
    # Prepared without the zeros, whose comparison a device refuses and a report on collapse must survive.
    alive = (np.isfinite(embeddings) & (embeddings != 0)).any(axis=1) & np.isfinite(embeddings).all(axis=1)
    prepared = np.zeros(embeddings.shape, np.float32)
    if alive.any():
        prepared[alive] = matching.prepare(embeddings[alive])
    scores = np.empty(len(pairs))
    order = np.argsort(pairs.reference, kind="stable")
    references, starts = np.unique(pairs.reference[order], return_index=True)
    for reference, rows in zip(references, np.split(order, starts[1:]), strict=True):
        found = relative_similarities(matching, prepared[pairs.query[rows]], prepared[reference][None])
        scores[rows] = found[:, 0]
    one_reference = rule.expected(np.zeros(1), np.ones(1, np.intp))
    return np.asarray(scores - one_reference)


def score_change(reference: Scores, candidate: Scores, threshold: float) -> ScoreChange:
    """What `candidate` changed of the scores `reference` of the same pairs, [P] each with P at least 1.

    Args:
        reference: scores of the model that is right.
        candidate: scores of the one that is measured.
        threshold: a score at or above it is accepted.
    """
    differences = np.abs(candidate - reference)
    flipped = (candidate >= threshold) != (reference >= threshold)
    return ScoreChange(
        max_score_difference=float(differences.max()),
        p99_score_difference=float(np.percentile(differences, 99)),
        flipped=int(flipped.sum()),
        flipped_decisions=float(flipped.mean()),
    )


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % percentile bootstrap interval."""

    estimate: float
    low: float
    high: float


def equal_error_rate(scores: Scores, genuine: Flags, weights: Scores | None = None) -> NDArray[np.float64]:
    """Equal error rate of accepting scores at or above a threshold, interpolated where the two curves cross.

    Args:
        scores: [P], higher is more alike.
        genuine: [P].
        weights: [B, P], how often each pair counts in each of B replicates; None counts every pair once.

    Returns:
        [B] (or [1]), 0 to 1; NaN for a replicate without genuine pairs or without impostor pairs.
    """
    order = np.argsort(scores, kind="stable")
    ordered, kinds = scores[order], genuine[order]
    counts = np.ones((1, len(scores))) if weights is None else weights[:, order]
    # Thresholds lie between distinct scores only: equal scores are accepted or rejected together.
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    rejected = np.cumsum(counts * kinds, axis=1)[:, last]
    refused = np.cumsum(counts * ~kinds, axis=1)[:, last]
    with np.errstate(invalid="ignore", divide="ignore"):
        missed = _from_zero(rejected / rejected[:, -1:])
        falsely = 1 - _from_zero(refused / refused[:, -1:])
    return _crossing(missed, falsely)


def _from_zero(curve: Scores) -> Scores:
    return np.concatenate([np.zeros((len(curve), 1)), curve], axis=1)


def _crossing(rising: Scores, falling: Scores) -> Scores:
    gap = rising - falling
    after = np.argmax(gap >= 0, axis=1)
    rows = np.arange(len(gap))
    before = np.maximum(after - 1, 0)
    step = gap[rows, after] - gap[rows, before]
    share = np.where(step > 0, -gap[rows, before] / np.where(step > 0, step, 1), 0.0)
    rates = rising[rows, before] + share * (rising[rows, after] - rising[rows, before])
    return np.where(np.isnan(gap).any(axis=1), np.nan, rates)


def eer_difference(
    reference: Scores, candidate: Scores, genuine: Flags, signers: NDArray[np.intp], seed: int = 0
) -> Interval:
    """EER of `candidate` minus EER of `reference` on the same pairs, by a paired bootstrap over signers.

    Whole signers are drawn with replacement, and both score sets see the same draw, so that what is common to
    them cancels (Bolle et al. 2004, "Error analysis of pattern recognition systems: the subsets bootstrap").

    Args:
        reference: scores [P].
        candidate: scores [P].
        genuine: bool [P].
        signers: int [P], numbered from 0.
        seed: of the draws.
    """
    estimate = float((equal_error_rate(candidate, genuine) - equal_error_rate(reference, genuine))[0])
    count = int(signers.max()) + 1
    generator = np.random.default_rng(seed)
    differences: list[Scores] = []
    for _ in range(REPLICATES // _CHUNK):
        draws = generator.multinomial(count, np.full(count, 1 / count), size=_CHUNK)
        weights = draws[:, signers].astype(np.float64)
        both = (equal_error_rate(scores, genuine, weights) for scores in (candidate, reference))
        differences.append(np.subtract(*both))
    low, high = np.nanpercentile(np.concatenate(differences), [2.5, 97.5])
    return Interval(estimate, float(low), float(high))


def share_at_or_above(scores: Scores, threshold: float) -> float:
    """Share of scores [P] that the threshold accepts, 0 to 1; 0 of none."""
    return float((scores >= threshold).mean()) if len(scores) else 0.0


def variance(embeddings: Embeddings) -> float:
    """Mean variance of a dimension of the unit-length embeddings [N, D]; near 0 when all point one way."""
    return float(unit_rows(embeddings).var(axis=0).mean())


def effective_rank(embeddings: Embeddings) -> float:
    """Number of directions that the centred unit-length embeddings [N, D] fill, 1 to D.

    The exponential of the entropy of the normalised singular values (Roy and Vetterli 2007, "The
    effective rank"). Zero when all embeddings are equal.
    """
    unit = unit_rows(embeddings)
    values = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    if values.sum() <= 1e-12:
        return 0.0
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def unit_rows(embeddings: Embeddings) -> NDArray[np.float64]:
    """Rows scaled to length 1, float64; a row of zeros stays zero."""
    rows = embeddings.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = rows / np.where(lengths > 0, lengths, 1)
    return scaled
