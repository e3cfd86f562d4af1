"""Scores of a protocol's trials from embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sigedge.evaluation.metrics import Floats, auc
from sigedge.evaluation.protocol import Draw, Protocol
from sigedge_runtime.errors import DataError
from sigedge_runtime.scoring import consistencies, fuse_groups, normalise

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
        wanted = (self.kinds == GENUINE) | (self.kinds == kind)
        return TrialScores(self.scores[wanted], self.kinds[wanted], self.signers[wanted], self.names)


def score_trials(
    protocol: Protocol, embeddings: Embeddings, fusion: str, consistency_weight: float = 0.0
) -> TrialScores:
    """Score every trial as `sigedge_runtime.scoring.score` does, all queries of a draw at once.

    Args:
        protocol: the trials.
        embeddings: float32 [N, D], unnormalised, row i for item i of the protocol.
        fusion: ``"mean"``, ``"max"`` or ``"mean_max"`` over the references.
        consistency_weight: 0 to 1.

    Raises:
        DataError: the number of rows differs.
        EngineError: an embedding is zero or not finite.
        BundleError: the fusion is unknown.
    """
    (trials,) = score_trials_by_weight(protocol, embeddings, fusion, [consistency_weight])
    return trials


def score_trials_by_weight(
    protocol: Protocol, embeddings: Embeddings, fusion: str, consistency_weights: Sequence[float]
) -> list[TrialScores]:
    """`score_trials` with each of some consistency weights, for little more than the time of one.

    Raises:
        DataError, EngineError, BundleError: as `score_trials`.
    """
    unit = _unit_rows(protocol, embeddings)
    names = protocol.signers
    number = {name: index for index, name in enumerate(names)}
    fused, alike = [np.empty(0)], [np.empty(0)]
    kinds, signers = [np.empty(0, np.uint8)], [np.empty(0, np.int64)]
    for draw in protocol.draws:
        queries, sizes = queries_of(draw)
        references = unit[list(draw.references)]
        fused.append(_fused(references, unit[queries], fusion))
        alike.append(np.repeat(consistencies(references, np.array([len(references)], np.intp)), len(queries)))
        kinds.append(np.repeat(np.array([GENUINE, SKILLED, RANDOM], np.uint8), sizes))
        signers.append(np.full(len(queries), number[draw.signer]))
    similar, consistent = np.concatenate(fused), np.concatenate(alike)
    described = (np.concatenate(kinds), np.concatenate(signers), names)
    return [TrialScores(similar - weight * consistent, *described) for weight in consistency_weights]


def reference_swap_auc(protocol: Protocol, embeddings: Embeddings, fusion: str) -> float | None:
    """AUC of genuine over forged queries when scored against another signer's references.

    Every signer's genuine samples and skilled forgeries are scored against the first enrolment of every
    other signer; the AUC is averaged over the pairs. A verifier that looks at the signature finds nothing to
    tell them apart (0.5); one that looks at the scan, or at how fluent the hand is, does.

    Returns:
        The mean AUC, 0 to 1, or None when no signer has both kinds or there is only one signer.

    Raises:
        DataError, EngineError, BundleError: as `score_trials`.
    """
    unit = _unit_rows(protocol, embeddings)
    first = {draw.signer: draw for draw in reversed(protocol.draws)}
    areas = []
    for draw in first.values():
        genuine, skilled = [*draw.references, *draw.genuine], list(draw.skilled)
        for other in first.values():
            if other.signer == draw.signer or not skilled:
                continue
            references = unit[list(other.references)]
            # One enrolment at a time: its own consistency would shift all scores alike.
            scored = (_fused(references, unit[rows], fusion) for rows in (genuine, skilled))
            areas.append(auc(*scored))
    return float(np.mean(areas)) if areas else None


def _unit_rows(protocol: Protocol, embeddings: Embeddings) -> Embeddings:
    if embeddings.ndim != 2 or len(embeddings) != len(protocol.items):
        raise DataError(
            f"Embeddings of shape {list(embeddings.shape)} do not fit {len(protocol.items)} records; "
            "embed the records again."
        )
    return normalise(embeddings)


def _fused(references: Embeddings, queries: Embeddings, fusion: str) -> Floats:
    """Fused similarities float64 [Q] of unit queries [Q, D] to unit references [K, D]."""
    cosines = np.clip(queries @ references.T, -1, 1, dtype=np.float32)
    return fuse_groups(cosines.ravel(), np.full(len(queries), len(references), np.intp), fusion)


def queries_of(draw: Draw) -> tuple[list[int], list[int]]:
    """Rows of all queries of a draw, and how many are genuine, skilled and random, in this order."""
    parts = (draw.genuine, draw.skilled, draw.random)
    return [row for part in parts for row in part], [len(part) for part in parts]
