from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.evaluation.reliability import reliability
from sigedge.evaluation.trials import GENUINE, RANDOM, SKILLED, TrialScores
from sigedge_runtime.decision import Calibration

AS_IT_IS = Calibration(1, 1.0, 0.0)


def trials_of(genuine: list[float], skilled: list[float], signers: int = 4) -> TrialScores:
    scores = np.array([*genuine, *skilled, 9.0])
    kinds = np.repeat(np.array([GENUINE, SKILLED, RANDOM], np.uint8), [len(genuine), len(skilled), 1])
    owners = np.arange(len(scores)) % signers
    return TrialScores(scores, kinds, owners, tuple(f"p{number}" for number in range(signers)))


def test_scores_that_are_log_odds_lie_on_the_diagonal() -> None:
    """Normal scores at +-d/2 with variance d have a log likelihood ratio equal to the score."""
    rng = np.random.default_rng(0)
    separation = 4.0
    drawn = rng.normal(0, np.sqrt(separation), (2, 20_000))
    trials = trials_of((drawn[0] + separation / 2).tolist(), (drawn[1] - separation / 2).tolist())
    bins = reliability(trials, AS_IT_IS, bootstrap=50)
    assert len(bins) == 10 and sum(entry.share for entry in bins) == pytest.approx(1)
    for entry in bins:
        assert entry.observed == pytest.approx(entry.predicted, abs=0.05)
        assert entry.interval and entry.interval[0] <= entry.observed <= entry.interval[1]
    boastful = reliability(trials, Calibration(1, 3.0, 0.0))
    assert boastful[7].observed < boastful[7].predicted - 0.05 and boastful[7].interval is None


def test_classes_weigh_the_same_whatever_their_number() -> None:
    few = reliability(trials_of([0.1], [0.1]), AS_IT_IS)
    many = reliability(trials_of([0.1], [0.1] * 9), AS_IT_IS)
    assert [entry.observed for entry in few] == pytest.approx([0.5])
    assert [entry.observed for entry in many] == pytest.approx([0.5])


def test_one_kind_alone_says_nothing() -> None:
    assert reliability(trials_of([0.1, 0.2], []), AS_IT_IS) == [] == reliability(trials_of([], [0.1]), AS_IT_IS)


scores = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20)


@given(genuine=scores, skilled=scores, slope=st.floats(0.01, 1e4), bootstrap=st.sampled_from([0, 20]))
def test_every_bin_holds_together(genuine: list[float], skilled: list[float], slope: float, bootstrap: int) -> None:
    bins = reliability(trials_of(genuine, skilled), Calibration(1, slope, 0.5), bootstrap=bootstrap)
    assert sum(entry.share for entry in bins) == pytest.approx(1)
    assert sum(entry.share * entry.observed for entry in bins) == pytest.approx(0.5), "half of the weight is genuine"
    predicted = [entry.predicted for entry in bins]
    assert predicted == sorted(predicted) and all(0 <= value <= 1 for value in predicted)
