"""Scores of a protocol's trials from embeddings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sigedge.evaluation.metrics import Floats, auc
from sigedge.evaluation.protocol import Draw, Protocol
from sigedge_runtime.decision import ScoreRule
from sigedge_runtime.errors import DataError
from sigedge_runtime.matching import COSINE, Matching, relative_similarities
from sigedge_runtime.scoring import fuse_groups

GENUINE, SKILLED, RANDOM = 0, 1, 2
Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class TrialScores:
    """One score a trial.

    Attributes:
        scores: float64 [T], -2 to 2.
        kinds: uint8 [T], `GENUINE`, `SKILLED` or `RANDOM`.
        signers: int64 [T], index into `names` of whose signature is claimed.
        names: identities of the enrolled signers.
    """

    scores: Floats
    kinds: NDArray[np.uint8]
    signers: NDArray[np.int64]
    names: tuple[str, ...]

    def of(self, kind: int, signer: int | None = None) -> Floats:
        """Scores of one kind, of one signer or of all."""
        wanted = self.kinds == kind
        if signer is not None:
            wanted &= self.signers == signer
        chosen: Floats = self.scores[wanted]
        return chosen

    def against(self, kind: int) -> TrialScores:
        """Only the genuine trials and the forgeries of one kind."""
        return self._only((self.kinds == GENUINE) | (self.kinds == kind))

    def claiming(self, signers: Collection[str]) -> TrialScores:
        """Only the trials that claim to be of some of the signers."""
        return self._only(np.array([name in signers for name in self.names], np.bool_)[self.signers])

    def _only(self, wanted: NDArray[np.bool_]) -> TrialScores:
        return TrialScores(self.scores[wanted], self.kinds[wanted], self.signers[wanted], self.names)


def score_trials(
    protocol: Protocol, embeddings: Embeddings, rule: ScoreRule, matching: Matching = COSINE
) -> TrialScores:
    """Score every trial as `sigedge_runtime.scoring.score` does, all queries of a draw at once.

    Args:
        protocol: the trials.
        embeddings: float32 [N, D], unnormalised, row i for item i of the protocol.
        rule: how similarities become scores.
        matching: how embeddings are compared.

    Raises:
        DataError: the number of rows differs.
        EngineError: an embedding is zero or not finite.
        BundleError: the fusion is unknown.
    """
    (trials,) = score_trials_by_rule(protocol, embeddings, [rule], matching)
    return trials


def score_trials_by_rule(
    protocol: Protocol, embeddings: Embeddings, rules: Sequence[ScoreRule], matching: Matching = COSINE
) -> list[TrialScores]:
    """`score_trials` by several rules, for little more than the time of one.

    Raises:
        DataError, EngineError, BundleError: as `score_trials`.
    """
    prepared = _prepared(protocol, embeddings, matching)
    names = protocol.signers
    number = {name: index for index, name in enumerate(names)}
    fusions = list(dict.fromkeys(rule.fusion for rule in rules))
    fused, alike = {fusion: [np.empty(0)] for fusion in fusions}, [np.empty(0)]
    kinds, signers = [np.empty(0, np.uint8)], [np.empty(0, np.int64)]
    for draw in protocol.draws:
        queries, sizes = queries_of(draw)
        references = prepared[list(draw.references)]
        found = relative_similarities(matching, prepared[queries], references)
        for fusion in fusions:
            fused[fusion].append(_fused(found, fusion))
        one_user = np.array([len(references)], np.intp)
        alike.append(np.repeat(matching.consistencies(references, one_user), len(queries)))
        kinds.append(np.repeat(np.array([GENUINE, SKILLED, RANDOM], np.uint8), sizes))
        signers.append(np.full(len(queries), number[draw.signer]))
    similar = {fusion: np.concatenate(parts) for fusion, parts in fused.items()}
    consistent = np.concatenate(alike)
    references_each = np.full(len(consistent), protocol.references)
    described = (np.concatenate(kinds), np.concatenate(signers), names)
    expected = (rule.expected(consistent, references_each) for rule in rules)
    return [TrialScores(similar[rule.fusion] - one, *described) for rule, one in zip(rules, expected, strict=True)]


def reference_swap_auc(
    protocol: Protocol, embeddings: Embeddings, fusion: str, matching: Matching = COSINE
) -> float | None:
    """AUC of genuine over forged queries when scored against another signer's references.

    Every signer's genuine samples and skilled forgeries are scored against the first enrolment of every
    other signer; the AUC is averaged over the pairs. A verifier that looks at the signature finds nothing to
    tell them apart (0.5); one that looks at the scan, or at how fluent the hand is, does.

    Returns:
        The mean AUC, 0 to 1, or None when no signer has both kinds or there is only one signer.

    Raises:
        DataError, EngineError, BundleError: as `score_trials`.
    """
    prepared = _prepared(protocol, embeddings, matching)
    first = {draw.signer: draw for draw in reversed(protocol.draws)}
    areas = []
    for draw in first.values():
        genuine, skilled = [*draw.references, *draw.genuine], list(draw.skilled)
        for other in first.values():
            if other.signer == draw.signer or not skilled:
                continue
            references = prepared[list(other.references)]
            # One enrolment at a time: its own consistency would shift all scores alike.
            alike = (relative_similarities(matching, prepared[rows], references) for rows in (genuine, skilled))
            areas.append(auc(*(_fused(found, fusion) for found in alike)))
    return float(np.mean(areas)) if areas else None


def _prepared(protocol: Protocol, embeddings: Embeddings, matching: Matching) -> Embeddings:
    if embeddings.ndim != 2 or len(embeddings) != len(protocol.items):
        raise DataError(
            f"Embeddings of shape {list(embeddings.shape)} do not fit {len(protocol.items)} records; "
            "embed the records again."
        )
    return matching.prepare(embeddings)


def _fused(similarities: Embeddings, fusion: str) -> Floats:
    """Similarities float32 [Q, K] of queries to references, fused to float64 [Q]."""
    queries, references = similarities.shape
    return fuse_groups(similarities.ravel(), np.full(queries, references, np.intp), fusion)


def queries_of(draw: Draw) -> tuple[list[int], list[int]]:
    """Rows of all queries of a draw, and how many are genuine, skilled and random, in this order."""
    parts = (draw.genuine, draw.skilled, draw.random)
    return [row for part in parts for row in part], [len(part) for part in parts]
