"""Joining folds: one threshold over scores of several models, each calibrated and thresholded by its own rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sigedge.evaluation.bundle import Evaluation
from sigedge.evaluation.evaluate import Scores, figures
from sigedge.evaluation.folds import join_folds, joined_trials
from sigedge.evaluation.protocol import Protocol
from sigedge.evaluation.trials import GENUINE, RANDOM, SKILLED, TrialScores
from sigedge_runtime.decision import Calibration, Decision, OperatingPoint
from sigedge_runtime.errors import DataError

PER_SIGNER = 40


def rule(slope: float, middle: float) -> Decision:
    """Accept from `middle` on, where the odds are even."""
    return Decision(
        fusion="mean",
        default_operating_point="balanced",
        operating_points=(OperatingPoint("balanced", 1, middle, 0.1, 0.1),),
        calibrations=(Calibration(1, slope, -slope * middle),),
    )


def made(names: tuple[str, ...], scale: float, middle: float, seed: int) -> Evaluation:
    """A fold whose scores lie around `middle`, genuine ones 2 scales above skilled forgeries, random ones 6 below."""
    random = np.random.default_rng(seed)
    kinds = np.repeat(np.array([GENUINE, SKILLED, RANDOM], np.uint8), len(names) * PER_SIGNER)
    owners = np.tile(np.repeat(np.arange(len(names)), PER_SIGNER), 3)
    centre = np.array([1.0, -1.0, -5.0])[kinds]
    trials = TrialScores(middle + scale * (centre + random.normal(size=kinds.size)), kinds, owners, names)
    decision = rule(2 / scale, middle)
    result = {
        "dataset": "made",
        "artifact": "int8-tflite",
        "images": 10,
        "signers": len(names),
        "leak_gates": {"background_ink_auc": 0.5, "reference_swap_auc": None},
        "references": {"1": {"left_out": 1}},
        "meta": {"model": {"name": "made"}, "artifact": {"sha256": str(seed)}},
    }
    protocol = Protocol(1, 0, (), (), ())
    return Evaluation(result, Scores({1: protocol}, {1: trials}, decision, decision.rule, None))


@pytest.fixture
def folds() -> list[Evaluation]:
    return [made(("a", "b", "c"), 0.01, 0.8, 1), made(("d", "e"), 0.1, 0.2, 2)]


def test_scales_of_models_do_not_matter(folds: list[Evaluation]) -> None:
    """Raw scores of these folds do not even overlap: only calibrated ones have a common threshold."""
    joined = join_folds(folds, bootstrap=0)["references"]["1"]
    alone = [figures(fold.scores.trials[1], bootstrap=0)["eer_skilled"] for fold in folds]
    assert min(alone) - 0.01 <= joined["eer_skilled"] <= max(alone) + 0.01
    raw = np.concatenate([fold.scores.trials[1].scores for fold in folds])
    trials = [fold.scores.trials[1] for fold in folds]
    owners = np.concatenate([trials[0].signers, trials[1].signers + 3])
    together = TrialScores(raw, np.concatenate([t.kinds for t in trials]), owners, tuple("abcde"))
    assert figures(together, bootstrap=0)["eer_skilled"] > joined["eer_skilled"] + 0.1


def test_every_trial_keeps_its_kind_and_its_signer(folds: list[Evaluation]) -> None:
    joined = joined_trials([(fold.scores.trials[1], fold.scores.decision or rule(1, 0)) for fold in folds], 1)
    assert joined.names == tuple("abcde")
    for kind in (GENUINE, SKILLED, RANDOM):
        assert np.bincount(joined.signers[joined.kinds == kind]).tolist() == [PER_SIGNER] * 5
    first = folds[1].scores.trials[1]
    assert np.array_equal(np.argsort(joined.of(SKILLED, 3)), np.argsort(first.of(SKILLED, 0)))


def test_thresholds_are_each_folds_own(folds: list[Evaluation]) -> None:
    joined = join_folds(folds, bootstrap=0)["references"]["1"]
    thresholds = (0.8, 0.2)
    rejected = [fold.scores.trials[1].of(GENUINE) < at for fold, at in zip(folds, thresholds, strict=True)]
    assert joined["frr"] == pytest.approx(np.concatenate(rejected).mean())
    assert joined["far_random"] == 0
    assert joined["operating_points"]["balanced"]["far_skilled"] == joined["far_skilled"]


def test_counts_are_summed_and_gates_averaged(folds: list[Evaluation]) -> None:
    joined = join_folds(folds, bootstrap=0)
    assert (joined["images"], joined["signers"], joined["split"]) == (20, 5, "2 folds")
    assert joined["leak_gates"] == {"background_ink_auc": 0.5, "reference_swap_auc": None}
    assert joined["references"]["1"]["left_out"] == 2
    assert [fold["artifact"]["sha256"] for fold in joined["meta"]["folds"]] == ["1", "2"]
    assert 0 < joined["references"]["1"]["cllr"] < 1


def test_nobody_is_tested_by_two_models(folds: list[Evaluation]) -> None:
    with pytest.raises(DataError, match="share a signer"):
        join_folds([folds[0], folds[0]])


def test_folds_scored_otherwise_are_refused(folds: list[Evaluation]) -> None:
    other = replace(folds[1], scores=replace(folds[1].scores, trials={5: folds[1].scores.trials[1]}))
    with pytest.raises(DataError, match="different numbers of references"):
        join_folds([folds[0], other])


def test_nothing_to_join_and_nothing_decided(folds: list[Evaluation]) -> None:
    with pytest.raises(DataError, match="no fold to join"):
        join_folds([])
    undecided = replace(folds[1], scores=replace(folds[1].scores, decision=None))
    with pytest.raises(DataError, match="no thresholds"):
        join_folds([folds[0], undecided])
