"""The decision rule of a verifier, fixed on validation signers alone: scores, thresholds, calibration, bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from sigedge.data import Record
from sigedge.evaluation.metrics import ErrorCurve, equal_error_rate, equal_rate, mean_error_curve
from sigedge.evaluation.protocol import Protocol, make_protocol
from sigedge.evaluation.trials import GENUINE, RANDOM, SKILLED, TrialScores, score_trials, score_trials_by_rule
from sigedge_runtime.decision import (
    FUSIONS,
    Calibration,
    Decision,
    EnrolmentBound,
    OperatingPoint,
    ScoreRule,
    UsualConsistency,
)
from sigedge_runtime.matching import COSINE, LocalMatching, Matching

REFERENCE_COUNTS = (1, 2, 3, 5, 10)
# One reference beside the first is as strong evidence of a user's consistency as what is usual (docs/adr/0020). Chosen
# on a few validation signers this number differed from model to model, and was worse for those that none had met.
USUAL_REFERENCES = 1.0
# Rejected genuine signatures that a convenient entrance may cost, and accepted skilled forgeries that a strict one may.
CONVENIENCE_FRR = 0.05
HIGH_SECURITY_FAR = 0.03
# Share of genuine signatures that would be called outliers among a user's references.
OUTLIERS = 0.01
DECILES = tuple(tenth / 10 for tenth in range(1, 10))


def fit_decision(
    records: Sequence[Record], embeddings: NDArray[np.float32], *, seed: int, matching: LocalMatching | None = None
) -> Decision:
    """Choose score rule, operating points, calibration and enrolment bounds from the validation signers' scores.

    Every data set counts the same, however many signers it has: a device meets scanners and scripts of which the one
    with the most signers knows no more than the others. The score rule is that of `score_rules` with the lowest skilled
    EER, averaged over the reference counts. For each count: ``balanced`` is the threshold of the skilled EER,
    ``convenience`` rejects at most 5 % of genuine samples, ``high-security`` accepts at most 3 % of skilled forgeries.
    Calibration is a logistic regression (Platt 1999) of genuine samples against skilled forgeries with both classes
    weighted alike, so that a probability of 0.5 means equal likelihood against the hardest impostor. An enrolment
    bound holds the score below which 1 % of genuine samples lie and the deciles of the enrolments' consistency. No
    image is at hand here, so `sign_again_below` stays None (`sigedge.evaluation.abstention.choose_abstention_bound`).

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
    prepared = similarity.prepare(embeddings)
    alike = [_consistencies(protocol, prepared, similarity) for protocol in protocols]
    signers = _signers(records)
    rules = score_rules(_usual_consistency(signers, protocols, alike))
    scored = [score_trials_by_rule(protocol, embeddings, rules, similarity) for protocol in protocols]
    by_dataset = [[_by_dataset(signers, trials) for trials in of_count] for of_count in scored]
    errors = [np.mean([equal_rate(_skilled_curve(parts[rule])) for parts in by_dataset]) for rule in range(len(rules))]
    best = int(np.argmin(errors))
    chosen = [(protocol.references, parts[best]) for protocol, parts in zip(protocols, by_dataset, strict=True)]
    return Decision(
        **rules[best]._asdict(),
        default_operating_point="balanced",
        operating_points=tuple(point for count, parts in chosen for point in _operating_points(count, parts)),
        calibrations=tuple(_calibration(count, parts) for count, parts in chosen),
        matching=matching,
        enrolment_bounds=tuple(
            _enrolment_bound(protocol.references, trials[best], found)
            for protocol, trials, found in zip(protocols, scored, alike, strict=True)
        ),
    )


def score_rules(usual: float) -> list[ScoreRule]:
    """What is chosen from: scores relative to the expected consistency wholly, or not at all.

    Consistency is a mean of similarities, so that means are what it is taken from.

    Args:
        usual: mean consistency of the validation signers' references, -1 to 1.
    """
    believing = ScoreRule("mean", 1.0, UsualConsistency(usual, USUAL_REFERENCES))
    return [believing, *(ScoreRule(fusion) for fusion in FUSIONS)]


def validation_figures(
    records: Sequence[Record], embeddings: NDArray[np.float32], *, seed: int, matching: LocalMatching | None = None
) -> dict[str, float]:
    """Skilled and random EER, 0 to 1, with 1 and 5 references fused by mean, for the training log."""
    figures = {}
    for count in (1, 5):
        trials = score_trials(
            make_protocol(records, count, seed=seed), embeddings, ScoreRule("mean"), matching or COSINE
        )
        figures[f"eer_skilled_{count}"] = equal_error_rate(trials.of(GENUINE), trials.of(SKILLED))
        figures[f"eer_random_{count}"] = equal_error_rate(trials.of(GENUINE), trials.of(RANDOM))
    return figures


def _by_dataset(signers: Mapping[str, set[str]], trials: TrialScores) -> list[TrialScores]:
    """The trials of each data set that has genuine and skilled ones; all trials where none has."""
    parts = [trials.claiming(own) for own in signers.values()]
    return [one for one in parts if one.of(GENUINE).size and one.of(SKILLED).size] or [trials]


def _signers(records: Sequence[Record]) -> dict[str, set[str]]:
    """Identities by data set."""
    found: dict[str, set[str]] = {}
    for record in records:
        found.setdefault(record.dataset, set()).add(record.identity)
    return found


def _consistencies(protocol: Protocol, prepared: NDArray[np.float32], matching: Matching) -> NDArray[np.float64]:
    """Of the references of every draw, float64 [draws]."""
    one_user = np.array([protocol.references], np.intp)
    found = [matching.consistencies(prepared[list(draw.references)], one_user)[0] for draw in protocol.draws]
    return np.array(found)


def _usual_consistency(
    signers: Mapping[str, set[str]], protocols: Sequence[Protocol], alike: Sequence[NDArray[np.float64]]
) -> float:
    """Mean consistency of enrolments with two references or more, every data set counting the same."""
    means = []
    for own in signers.values():
        found = [
            consistency
            for protocol, consistencies in zip(protocols, alike, strict=True)
            for draw, consistency in zip(protocol.draws, consistencies, strict=True)
            if protocol.references > 1 and draw.signer in own
        ]
        means += [np.mean(found)] if found else []
    return float(np.clip(np.mean(means), -1, 1)) if means else 0.0


def _skilled_curve(parts: Sequence[TrialScores]) -> ErrorCurve:
    return mean_error_curve([(one.of(GENUINE), one.of(SKILLED)) for one in parts])


def _operating_points(references: int, parts: Sequence[TrialScores]) -> list[OperatingPoint]:
    curve = _skilled_curve(parts)
    balanced = int(np.argmin(np.abs(curve.far - curve.frr)))
    # Where the classes hardly overlap the rules would cross: convenience stays the laxest, high-security the strictest.
    rows = {
        "convenience": min(balanced, int(np.flatnonzero(curve.frr <= CONVENIENCE_FRR)[-1])),
        "balanced": balanced,
        "high-security": max(balanced, int(np.flatnonzero(curve.far <= HIGH_SECURITY_FAR)[0])),
    }
    points = []
    for name, row in rows.items():
        threshold = float(np.clip(curve.thresholds[row], -2, 2))
        far = np.mean([(one.scores[one.kinds != GENUINE] >= threshold).mean() for one in parts])
        frr = np.mean([(one.of(GENUINE) < threshold).mean() for one in parts])
        points.append(OperatingPoint(name, references, threshold, float(far), float(frr)))
    return points


def _calibration(references: int, parts: Sequence[TrialScores]) -> Calibration:
    hard = [one.against(SKILLED) for one in parts]
    scores = np.concatenate([one.scores for one in hard])
    genuine = [one.kinds == GENUINE for one in hard]
    # Both classes of a part weigh the same, and all parts: on average 1, as the regularisation is meant.
    shares = [np.where(mask, 0.5 / mask.sum(), 0.5 / (~mask).sum()) * len(scores) / len(parts) for mask in genuine]
    fit = LogisticRegression(C=1e6)
    fit.fit(scores[:, None], np.concatenate(genuine), sample_weight=np.concatenate(shares))
    # A verifier that has learned nothing may slope the wrong way: such scores are no evidence at all.
    return Calibration(references, max(float(fit.coef_[0, 0]), 1e-6), float(fit.intercept_[0]))


def _enrolment_bound(references: int, trials: TrialScores, alike: NDArray[np.float64]) -> EnrolmentBound:
    # Always a value that occurred: no more than the share lies below it, and deciles never fall by rounding.
    outlier = np.quantile(trials.of(GENUINE), OUTLIERS, method="lower")
    deciles: tuple[float, ...] = ()
    if references > 1:
        deciles = tuple(np.clip(np.quantile(alike, DECILES, method="lower"), -1, 1).tolist())
    return EnrolmentBound(references, float(np.clip(outlier, -2, 2)), deciles)
