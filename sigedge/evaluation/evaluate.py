"""All figures of one verifier on one data set, by the protocol, as plain values for a result file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sigedge.data.records import Record
from sigedge.evaluation import metrics
from sigedge.evaluation.bootstrap import RESAMPLES, Interval, SignerCurves, percentile_interval, resample_weights
from sigedge.evaluation.metrics import Floats
from sigedge.evaluation.protocol import Protocol, distinct_counts, make_protocol
from sigedge.evaluation.results import provenance
from sigedge.evaluation.trials import (
    GENUINE,
    RANDOM,
    SKILLED,
    Embeddings,
    TrialScores,
    reference_swap_auc,
    score_trials,
)
from sigedge_runtime._records import to_plain
from sigedge_runtime.decision import Decision, ScoreRule
from sigedge_runtime.matching import COSINE

REFERENCE_COUNTS = (1, 5, 10)
DET_FARS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True)
class Scores:
    """Scored trials: what figures and plots are made of, and too much for a result file.

    Attributes:
        protocols: the trials, by number of references.
        trials: their scores, by number of references in rising order.
        decision: thresholds and calibration fixed beforehand; None without.
        rule: how similarities became scores.
        reference_swap_auc: see `trials.reference_swap_auc`; of the largest number of references that has one.
    """

    protocols: Mapping[int, Protocol]
    trials: Mapping[int, TrialScores]
    decision: Decision | None
    rule: ScoreRule
    reference_swap_auc: float | None


def evaluate_embeddings(
    records: Sequence[Record],
    embeddings: Embeddings,
    *,
    reference_counts: Sequence[int] = REFERENCE_COUNTS,
    fusion: str | None = None,
    decision: Decision | None = None,
    seed: int = 0,
    bootstrap: int = RESAMPLES,
    leak_gates: Mapping[str, float | None] | None = None,
    protocols: Mapping[int, Protocol] | None = None,
) -> dict[str, Any]:
    """Evaluate embeddings by the protocol.

    Args:
        records: N test records.
        embeddings: float32 [N, D], unnormalised, row i for record i.
        reference_counts: references an enrolment has, each at least 1.
        fusion: ``"mean"``, ``"max"`` or ``"mean_max"``; the decision's by default, else ``"mean"``.
        decision: matching, thresholds and calibration fixed beforehand; without it embeddings are compared by their
            cosine, and there is no operating point and no Cllr.
        seed: seed of the draws and of the bootstrap.
        bootstrap: resamples of signers; 0 leaves the intervals out.
        leak_gates: ``background_ink_auc`` and ``skeleton_auc`` of the same canvases, to stand beside the figures.
        protocols: stored draws by number of references; drawn anew where there is none.

    Returns:
        ``references`` (by number of references, as text: see `figures`), ``leak_gates``, ``dataset``, ``images``,
        ``signers``, the fields of the `ScoreRule` and ``meta``. Rates are 0 to 1; None stands where the data cannot
        tell.

    Raises:
        DataError: there is no record, the embeddings do not fit, or a stored protocol is of other records.
        EngineError: an embedding is zero or not finite.
    """
    given, counts = protocols or {}, distinct_counts(reference_counts)
    drawn = {count: given.get(count) or make_protocol(records, count, seed=seed) for count in counts}
    scores = score_records(records, embeddings, drawn, fusion=fusion, decision=decision)
    return describe(scores, records, leak_gates=leak_gates, seed=seed, bootstrap=bootstrap)


def score_records(
    records: Sequence[Record],
    embeddings: Embeddings,
    protocols: Mapping[int, Protocol],
    *,
    fusion: str | None = None,
    decision: Decision | None = None,
) -> Scores:
    """Score the trials of protocols; arguments and errors as in `evaluate_embeddings`."""
    rule = decision.rule if decision else ScoreRule("mean")
    rule = rule._replace(fusion=fusion or rule.fusion)
    matching = decision.similarity if decision else COSINE
    trials, swap = {}, None
    for count, protocol in sorted(protocols.items()):
        protocol.require_items(records)
        trials[count] = score_trials(protocol, embeddings, rule, matching)
        area = reference_swap_auc(protocol, embeddings, rule.fusion, matching)
        swap = swap if area is None else area
    return Scores(protocols, trials, decision, rule, swap)


def describe(
    scores: Scores,
    records: Sequence[Record],
    *,
    leak_gates: Mapping[str, float | None] | None = None,
    seed: int = 0,
    bootstrap: int = RESAMPLES,
) -> dict[str, Any]:
    """The result of scored trials; arguments and what it returns as in `evaluate_embeddings`."""
    gates = {"background_ink_auc": None, "skeleton_auc": None, **(leak_gates or {})}
    blocks = {
        str(count): {
            **figures(trials, decision=scores.decision, references=count, seed=seed, bootstrap=bootstrap),
            "left_out": len(scores.protocols[count].left_out),
        }
        for count, trials in scores.trials.items()
    }
    return {
        "dataset": ", ".join(sorted({record.dataset for record in records})),
        "images": len(records),
        "signers": len({record.identity for record in records}),
        **to_plain(scores.rule._asdict()),
        "references": blocks,
        "leak_gates": {**gates, "reference_swap_auc": scores.reference_swap_auc},
        "meta": provenance(seed=seed, bootstrap=bootstrap),
    }


def figures(
    trials: TrialScores,
    *,
    decision: Decision | None = None,
    references: int = 1,
    seed: int = 0,
    bootstrap: int = RESAMPLES,
) -> dict[str, Any]:
    """Figures of scored trials.

    Returns:
        ``signers`` and ``trials`` (by kind); ``eer_skilled`` and ``eer_random`` at one threshold for all signers,
        each with ``_ci95``, a 95 % interval over signers; ``eer_per_signer_mean`` (a threshold for each signer,
        chosen with the labels) and ``eer_worst_decile`` (the mean of the worst tenth); ``frr_at_far_1pct`` and
        ``frr_at_far_01pct``, ``auc``, ``det``, ``min_cllr`` and ``cllr`` for skilled forgeries; and, at the
        thresholds fixed beforehand, ``operating_points``: by name ``threshold``, ``far_skilled``,
        ``far_random`` and ``frr``; those of the default point also stand at the top.
    """
    skilled, random = trials.against(SKILLED), trials.against(RANDOM)
    genuine = trials.of(GENUINE)
    forged = trials.of(SKILLED)
    intervals = _intervals(skilled, random, seed, bootstrap)
    worst_first = sorted(signer_eers(trials).values(), reverse=True)
    return {
        "signers": len(trials.names),
        "trials": {
            "genuine": len(genuine),
            "skilled": len(forged),
            "random": len(trials.of(RANDOM)),
        },
        "eer_skilled": _of_both(metrics.equal_error_rate, genuine, forged),
        "eer_random": _of_both(metrics.equal_error_rate, genuine, trials.of(RANDOM)),
        **intervals,
        "eer_per_signer_mean": _mean(worst_first),
        "eer_worst_decile": _mean(worst_first[: math.ceil(len(worst_first) / 10)]),
        "frr_at_far_1pct": _of_both(lambda g, f: metrics.frr_at_far(g, f, 0.01), genuine, forged),
        "frr_at_far_01pct": _of_both(lambda g, f: metrics.frr_at_far(g, f, 0.001), genuine, forged),
        "auc": _of_both(metrics.auc, genuine, forged),
        "det": _detection_curve(genuine, forged),
        "min_cllr": _of_both(metrics.min_cllr, genuine, forged),
        "cllr": _calibrated_cllr(genuine, forged, decision, references),
        **at_operating_points(trials, decision, references),
    }


def _intervals(skilled: TrialScores, random: TrialScores, seed: int, bootstrap: int) -> dict[str, Any]:
    """95 % intervals over signers, all from the same resamples."""
    names = ("eer_skilled_ci95", "eer_random_ci95", "frr_at_far_1pct_ci95")
    found: dict[str, Any] = dict.fromkeys(names)
    if bootstrap < 1 or len(skilled.names) < 2:
        return found
    weights = resample_weights(len(skilled.names), bootstrap, seed)
    for name, trials in (("eer_skilled_ci95", skilled), ("eer_random_ci95", random)):
        genuine = trials.kinds == GENUINE
        if genuine.all() or not genuine.any():
            continue
        curves = SignerCurves(trials.scores, genuine, trials.signers, len(trials.names))
        found[name] = _listed(percentile_interval(curves.equal_error_rates(weights)))
        if trials is skilled:
            found["frr_at_far_1pct_ci95"] = _listed(percentile_interval(curves.frr_at_far(weights, 0.01)))
    return found


def signer_eers(trials: TrialScores) -> dict[str, float]:
    """EER against skilled forgeries of each signer that has genuine and forged queries, by identity."""
    found = {}
    for number, name in enumerate(trials.names):
        genuine, forged = trials.of(GENUINE, number), trials.of(SKILLED, number)
        if len(genuine) and len(forged):
            found[name] = metrics.equal_error_rate(genuine, forged)
    return found


def _calibrated_cllr(genuine: Floats, forged: Floats, decision: Decision | None, references: int) -> float | None:
    """Cllr of the log-odds that the bundle's calibration gives; it is fitted at equal odds of both classes."""
    if decision is None or not len(genuine) or not len(forged):
        return None
    fitted = decision.calibration(references)
    ratios = (fitted.slope * scores + fitted.intercept for scores in (genuine, forged))
    return metrics.cllr(*ratios)


def at_operating_points(trials: TrialScores, decision: Decision | None, references: int) -> dict[str, Any]:
    """Rates of every kind of trial at each threshold fixed beforehand, as `figures` returns them."""
    if decision is None:
        return {"operating_points": {}, "operating_point": None}
    points = {}
    for name in decision.names:
        threshold = decision.operating_point(name, references).threshold
        points[name] = {
            "threshold": threshold,
            "far_skilled": _share(trials.of(SKILLED) >= threshold),
            "far_random": _share(trials.of(RANDOM) >= threshold),
            "frr": _share(trials.of(GENUINE) < threshold),
        }
    default = decision.default_operating_point
    return {"operating_points": points, "operating_point": default, **points[default]}


def _detection_curve(genuine: Floats, forged: Floats) -> dict[str, list[float]] | None:
    if not len(genuine) or not len(forged):
        return None
    return {"far": list(DET_FARS), "frr": metrics.det_points(genuine, forged, DET_FARS)}


def _of_both(figure: Callable[[Floats, Floats], float], genuine: Floats, forged: Floats) -> float | None:
    return figure(genuine, forged) if len(genuine) and len(forged) else None


def _listed(interval: Interval | None) -> list[float] | None:
    """As JSON gives it back."""
    return list(interval) if interval else None


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _share(outcomes: Any) -> float | None:
    return float(np.mean(outcomes)) if len(outcomes) else None
