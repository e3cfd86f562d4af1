"""One result out of the folds of a data set: every signer is scored by the model that never saw the signer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigedge.evaluation import metrics
from sigedge.evaluation.bootstrap import RESAMPLES
from sigedge.evaluation.bundle import Evaluation
from sigedge.evaluation.evaluate import at_operating_points, figures
from sigedge.evaluation.results import provenance
from sigedge.evaluation.trials import GENUINE, SKILLED, TrialScores
from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import DataError

_SUMMED = ("images", "signers")


def join_folds(folds: Sequence[Evaluation], *, seed: int = 0, bootstrap: int = RESAMPLES) -> dict[str, Any]:
    """Figures of all folds' test signers at one threshold.

    The scores of models trained on other signers are not on one scale; their log likelihood ratios, whose calibration
    was fixed on validation signers, are. So these are what is pooled. Random forgeries stay within a fold.

    Args:
        folds: one evaluation for each fold, of the same numbers of references and with a decision.
        seed: seed of the bootstrap.
        bootstrap: resamples of signers; 0 leaves the intervals out.

    Returns:
        As `evaluate_embeddings`, with ``artifact`` and ``split``, and, in ``meta``, the model and the artefact of each
        fold. What the thresholds fixed beforehand give is counted over all folds, each by its own threshold.

    Raises:
        DataError: there is no fold, a fold has no decision, or two share a signer or differ in their references.
    """
    if not folds:
        raise DataError("There is no fold to join; evaluate at least one.")
    results = [fold.result for fold in folds]
    counts = [tuple(fold.scores.trials) for fold in folds]
    if len(set(counts)) > 1:
        raise DataError("The folds were scored with different numbers of references; evaluate them alike.")
    return {
        "dataset": results[0]["dataset"],
        "split": f"{len(folds)} folds",
        "artifact": results[0]["artifact"],
        **{name: sum(result[name] for result in results) for name in _SUMMED},
        "references": {str(count): _block(folds, count, seed, bootstrap) for count in counts[0]},
        "leak_gates": {name: _mean([r["leak_gates"][name] for r in results]) for name in results[0]["leak_gates"]},
        "meta": provenance(
            seed=seed,
            bootstrap=bootstrap,
            model=results[0]["meta"]["model"],
            folds=[{name: result["meta"][name] for name in ("model", "artifact")} for result in results],
        ),
    }


def joined_trials(folds: Sequence[tuple[TrialScores, Decision]], references: int) -> TrialScores:
    """Trials of several folds as natural log likelihood ratios, each by its own fold's calibration.

    Raises:
        DataError: two folds share a signer.
    """
    names = tuple(name for trials, _ in folds for name in trials.names)
    if len(set(names)) < len(names):
        raise DataError("Two folds share a signer; each signer must be tested by one model alone.")
    ratios, owners, before = [], [], 0
    for trials, decision in folds:
        fitted = decision.calibration(references)
        ratios.append(fitted.slope * trials.scores + fitted.intercept)
        owners.append(trials.signers + before)
        before += len(trials.names)
    kinds = np.concatenate([trials.kinds for trials, _ in folds])
    return TrialScores(np.concatenate(ratios), kinds, np.concatenate(owners), names)


def _block(folds: Sequence[Evaluation], count: int, seed: int, bootstrap: int) -> dict[str, Any]:
    pairs = [(fold.scores.trials[count], _decision(fold)) for fold in folds]
    joined = joined_trials(pairs, count)
    block = figures(joined, references=count, seed=seed, bootstrap=bootstrap)
    block["cllr"] = metrics.cllr(joined.of(GENUINE), joined.of(SKILLED))
    found = [(at_operating_points(trials, decision, count), trials) for trials, decision in pairs]
    sizes = {kind: [len(trials.of(kind)) for _, trials in found] for kind in range(3)}
    points = {
        name: {
            rate: float(np.average([part["operating_points"][name][rate] for part, _ in found], weights=sizes[kind]))
            for rate, kind in (("far_skilled", 1), ("far_random", 2), ("frr", 0))
        }
        for name in found[0][0]["operating_points"]
    }
    default = found[0][0]["operating_point"]
    left_out = sum(fold.result["references"][str(count)]["left_out"] for fold in folds)
    return {**block, "operating_points": points, "operating_point": default, **points[default], "left_out": left_out}


def _decision(fold: Evaluation) -> Decision:
    if fold.scores.decision is None:
        raise DataError("A fold has no thresholds; evaluate bundles that decide.")
    return fold.scores.decision


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
