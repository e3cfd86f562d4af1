"""The decision rule of a verifier, fixed on validation signers alone: scores, thresholds, calibration, bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from sigedge.data import Record
from sigedge.evaluation.metrics import equal_error_rate, error_curve
from sigedge.evaluation.protocol import Protocol, make_protocol
from sigedge.evaluation.trials import GENUINE, RANDOM, SKILLED, TrialScores, score_trials, score_trials_by_rule
from sigedge_runtime.decision import FUSIONS, Calibration, Decision, EnrolmentBound, OperatingPoint
from sigedge_runtime.matching import COSINE, LocalMatching, Matching

REFERENCE_COUNTS = (1, 2, 3, 5, 10)
CONSISTENCY_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Rejected genuine signatures that a convenient entrance may cost, and accepted skilled forgeries that a strict one may.
CONVENIENCE_FRR = 0.05
HIGH_SECURITY_FAR = 0.03
# Share of genuine signatures that would be called outliers among a user's references.
OUTLIERS = 0.01
DECILES = tuple(tenth / 10 for tenth in range(1, 10))


def fit_decision(
    records: Sequence[Record], embeddings: NDArray[np.float32], *, seed: int, matching: LocalMatching | None = None
) -> Decision:
    """Choose fusion, operating points, calibration and enrolment bounds from the validation signers' scores.

    Fusion and consistency weight are those with the lowest skilled EER, averaged over the reference counts. For each
    count: ``balanced`` is the threshold of the skilled EER, ``convenience`` rejects at most 5 % of genuine samples,
    ``high-security`` accepts at most 3 % of skilled forgeries. Calibration is a logistic regression (Platt 1999) of
    genuine samples against skilled forgeries with both classes weighted alike, so that a probability of 0.5 means
    equal likelihood against the hardest impostor. An enrolment bound holds the score below which 1 % of genuine
    samples lie and the deciles of the enrolments' consistency. No image is at hand here, so `sign_again_below` stays
    None (`sigedge.evaluation.abstention.choose_abstention_bound`).

    Args:
        records: N records of validation signers.
        embeddings: float32 [N, D] of the reference model.
        seed: seed of the protocol's draws.
        matching: how embeddings are compared; None for the cosine.

    Raises:
        DataError: the records have no genuine or no forged samples.
    """
    similarity = matching or COSINE
    protocols = [make_protocol(records, count, seed=seed) for count in REFERENCE_COUNTS]
    protocols = [protocol for protocol in protocols if protocol.draws]
    rules = [(fusion, weight) for weight in CONSISTENCY_WEIGHTS for fusion in FUSIONS]
    scored = [score_trials_by_rule(protocol, embeddings, rules, similarity) for protocol in protocols]
    errors = [np.mean([_skilled_error(trials[rule]) for trials in scored]) for rule in range(len(rules))]
    best = int(np.argmin(errors))
    prepared = similarity.prepare(embeddings)
    chosen = [(protocol, trials[best]) for protocol, trials in zip(protocols, scored, strict=True)]
    return Decision(
        fusion=rules[best][0],
        default_operating_point="balanced",
        operating_points=tuple(point for one, trials in chosen for point in _operating_points(one.references, trials)),
        calibrations=tuple(_calibration(one.references, trials) for one, trials in chosen),
        consistency_weight=rules[best][1],
        matching=matching,
        enrolment_bounds=tuple(_enrolment_bound(one, trials, prepared, similarity) for one, trials in chosen),
    )


def validation_figures(
    records: Sequence[Record], embeddings: NDArray[np.float32], *, seed: int, matching: LocalMatching | None = None
) -> dict[str, float]:
    """Skilled and random EER, 0 to 1, with 1 and 5 references fused by mean, for the training log."""
    figures = {}
    for count in (1, 5):
        trials = score_trials(make_protocol(records, count, seed=seed), embeddings, "mean", 0.0, matching or COSINE)
        figures[f"eer_skilled_{count}"] = _skilled_error(trials)
        figures[f"eer_random_{count}"] = equal_error_rate(trials.of(GENUINE), trials.of(RANDOM))
    return figures


def _skilled_error(trials: TrialScores) -> float:
    return equal_error_rate(trials.of(GENUINE), trials.of(SKILLED))


def _operating_points(references: int, trials: TrialScores) -> list[OperatingPoint]:
    curve = error_curve(trials.of(GENUINE), trials.of(SKILLED))
    balanced = int(np.argmin(np.abs(curve.far - curve.frr)))
    # Where the classes hardly overlap the rules would cross: convenience stays the laxest, high-security the strictest.
    rows = {
        "convenience": min(balanced, int(np.flatnonzero(curve.frr <= CONVENIENCE_FRR)[-1])),
        "balanced": balanced,
        "high-security": max(balanced, int(np.flatnonzero(curve.far <= HIGH_SECURITY_FAR)[0])),
    }
    forged = np.concatenate([trials.of(SKILLED), trials.of(RANDOM)])
    points = []
    for name, row in rows.items():
        threshold = float(np.clip(curve.thresholds[row], -2, 2))
        far, frr = float((forged >= threshold).mean()), float((trials.of(GENUINE) < threshold).mean())
        points.append(OperatingPoint(name, references, threshold, far, frr))
    return points


def _calibration(references: int, trials: TrialScores) -> Calibration:
    fit = LogisticRegression(C=1e6, class_weight="balanced")
    hard = trials.against(SKILLED)
    fit.fit(hard.scores[:, None], hard.kinds == GENUINE)
    # A verifier that has learned nothing may slope the wrong way: such scores are no evidence at all.
    return Calibration(references, max(float(fit.coef_[0, 0]), 1e-6), float(fit.intercept_[0]))


def _enrolment_bound(
    protocol: Protocol, trials: TrialScores, prepared: NDArray[np.float32], matching: Matching
) -> EnrolmentBound:
    # Always a value that occurred: no more than the share lies below it, and deciles never fall by rounding.
    outlier = np.quantile(trials.of(GENUINE), OUTLIERS, method="lower")
    deciles: tuple[float, ...] = ()
    if protocol.references > 1:
        one_user = np.array([protocol.references], np.intp)
        found = [matching.consistencies(prepared[list(draw.references)], one_user)[0] for draw in protocol.draws]
        deciles = tuple(np.clip(np.quantile(found, DECILES, method="lower"), -1, 1).tolist())
    return EnrolmentBound(protocol.references, float(np.clip(outlier, -2, 2)), deciles)
