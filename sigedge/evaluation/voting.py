"""Decisions on a questioned signature by a vote of the references, and how often they are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.evaluation.bootstrap import RESAMPLES, Interval, percentile_interval, resample_weights
from sigedge.evaluation.metrics import Floats
from sigedge.evaluation.pairs import Accepted, PairRule
from sigedge.evaluation.protocol import Protocol
from sigedge.evaluation.trials import GENUINE, RANDOM, SKILLED, Embeddings, queries_of
from sigedge_runtime.errors import DataError

KINDS = {"genuine": GENUINE, "skilled forgery": SKILLED, "random forgery": RANDOM}
"""Rows of a confusion matrix; its columns are accepted and rejected."""


@dataclass(frozen=True)
class Decisions:
    """What a rule decided on the trials of a protocol.

    Attributes:
        accepted: bool [T].
        kinds: uint8 [T], `GENUINE`, `SKILLED` or `RANDOM`.
        signers: int64 [T], index of the signer whose signature is claimed.
        count: number of signers.
    """

    accepted: Accepted
    kinds: NDArray[np.uint8]
    signers: NDArray[np.int64]
    count: int

    @property
    def correct(self) -> Accepted:
        """bool [T], genuine samples accepted and forgeries rejected."""
        return np.asarray(self.accepted == (self.kinds == GENUINE))

    def against(self, kind: int) -> Decisions:
        """Only those on genuine samples and on the forgeries of one kind."""
        kept = (self.kinds == GENUINE) | (self.kinds == kind)
        return Decisions(self.accepted[kept], self.kinds[kept], self.signers[kept], self.count)


def majority(votes: Accepted) -> Accepted:
    """Majority of the votes of each row: bool [N] of bool [N, K].

    A tie is no majority: in doubt a signature is rejected.

    Raises:
        DataError: there is no vote.
    """
    if votes.ndim != 2 or votes.shape[1] == 0:
        raise DataError(f"Votes of shape {list(votes.shape)} decide nothing; give a column for each of the references.")
    return np.asarray(votes.mean(axis=1) > 0.5)


def vote(rule: PairRule, references: Embeddings, queries: Embeddings) -> Accepted:
    """Which queries most references hold to be by the same hand: bool [Q].

    Args:
        rule: decides on one reference and one query.
        references: float32 [K, D] of one signer.
        queries: float32 [Q, D].

    Raises:
        DataError: there is no reference.
        EngineError: an embedding is zero or not finite.
    """
    first = np.tile(references, (len(queries), 1))
    second = np.repeat(queries, len(references), axis=0)
    return majority((rule.log_odds(first, second) >= 0).reshape(len(queries), len(references)))


def decide_trials(protocol: Protocol, embeddings: Embeddings, rule: PairRule) -> Decisions:
    """Decide every trial of a protocol by a vote of its references.

    Args:
        protocol: the trials.
        embeddings: float32 [N, D], row i for item i of the protocol.
        rule: decides on pairs.

    Raises:
        DataError: the number of rows differs, or the protocol holds no trial.
        EngineError: an embedding is zero or not finite.
    """
    if len(embeddings) != len(protocol.items) or not protocol.draws:
        raise DataError(
            f"{len(embeddings)} embeddings do not fit a protocol of {len(protocol.items)} records and "
            f"{len(protocol.draws)} draws; embed the records that it was drawn from."
        )
    number = {name: index for index, name in enumerate(protocol.signers)}
    accepted, kinds, signers = [], [], []
    for draw in protocol.draws:
        rows, sizes = queries_of(draw)
        accepted.append(vote(rule, embeddings[list(draw.references)], embeddings[rows]))
        kinds.append(np.repeat(np.array([GENUINE, SKILLED, RANDOM], np.uint8), sizes))
        signers.append(np.full(len(rows), number[draw.signer], np.int64))
    return Decisions(np.concatenate(accepted), np.concatenate(kinds), np.concatenate(signers), len(number))


def accuracy(decisions: Decisions) -> float:
    """Share of right decisions, 0 to 1, genuine samples and forgeries weighing the same however many there are.

    Raises:
        DataError: there are no genuine samples or no forgeries.
    """
    return float(_accuracies(decisions, np.ones((1, decisions.count)))[0])


def accuracy_interval(decisions: Decisions, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval | None:
    """95 % interval of `accuracy` by resampling signers; None with fewer than 2 of them.

    Raises:
        DataError: there are no genuine samples or no forgeries.
    """
    if decisions.count < 2:
        return None
    return percentile_interval(_accuracies(decisions, resample_weights(decisions.count, resamples, seed)))


def confusion_matrix(decisions: Decisions, *, normalised: bool = True) -> Floats:
    """How trials of each kind were decided: float64 [3, 2].

    Args:
        decisions: on trials.
        normalised: shares of each row, 0 to 1, in place of counts; a kind without a trial has zeros.

    Returns:
        A row for each of `KINDS`, with what was accepted and what was rejected.
    """
    counts = np.zeros((len(KINDS), 2))
    for row, kind in enumerate(KINDS.values()):
        accepted = decisions.accepted[decisions.kinds == kind]
        counts[row] = accepted.sum(), (~accepted).sum()
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)) if normalised else counts


def decision_figures(decisions: Decisions, *, seed: int = 0) -> dict[str, Any]:
    """Figures of decisions as plain values, for JSON.

    Returns:
        ``accuracy_skilled`` and ``accuracy_random``, each with ``_ci95``; ``confusion``, the counts by kind as
        ``accepted`` and ``rejected``, and ``share_accepted``; ``signers``.
    """
    figures: dict[str, Any] = {"signers": decisions.count}
    for name, kind in (("skilled", SKILLED), ("random", RANDOM)):
        chosen = decisions.against(kind)
        figures[f"accuracy_{name}"] = accuracy(chosen)
        figures[f"accuracy_{name}_ci95"] = _listed(accuracy_interval(chosen, seed=seed))
    counts, shares = confusion_matrix(decisions, normalised=False), confusion_matrix(decisions)
    figures["confusion"] = {
        kind: {"accepted": int(count[0]), "rejected": int(count[1]), "share_accepted": float(share[0])}
        for kind, count, share in zip(KINDS, counts, shares, strict=True)
    }
    return figures


def _accuracies(decisions: Decisions, weights: Floats) -> Floats:
    """`accuracy` of each weighting of the signers [B, signers]: float64 [B]; NaN where a class is absent."""
    genuine = decisions.kinds == GENUINE
    if genuine.all() or not genuine.any():
        raise DataError("An accuracy needs decisions on genuine samples and on forgeries; one kind is missing.")
    shares = []
    for part in (genuine, ~genuine):
        all_, right = (
            np.bincount(decisions.signers[mask], minlength=decisions.count).astype(np.float64)
            for mask in (part, part & decisions.correct)
        )
        with np.errstate(invalid="ignore"):
            shares.append((weights @ right) / (weights @ all_))
    return np.asarray((shares[0] + shares[1]) / 2)


def _listed(interval: Interval | None) -> list[float] | None:
    return list(interval) if interval else None
