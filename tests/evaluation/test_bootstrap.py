from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge.evaluation.bootstrap import (
    SignerCurves,
    bootstrap_interval,
    paired_eer_difference,
    percentile_interval,
    resample_weights,
    skilled_change,
)
from sigedge.evaluation.metrics import equal_error_rate, frr_at_far
from sigedge.evaluation.trials import GENUINE, RANDOM, SKILLED, TrialScores
from sigedge_runtime.errors import DataError

Trials = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], int]


def make_trials(signers: int, seed: int, *, tied: bool = False, spread: float = 0.5) -> Trials:
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(signers), 20)
    genuine = np.tile(np.arange(20) < 8, signers)
    scores = genuine * 1.5 + rng.normal(size=owner.size) + spread * rng.normal(size=signers)[owner]
    return (np.round(scores, 1) if tied else scores), genuine, owner, signers


def repeated(trials: Trials, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The slow way: every signer's trials as often as it was drawn."""
    scores, genuine, owner, _ = trials
    counts = weights.astype(int)[owner]
    return np.repeat(scores[genuine], counts[genuine]), np.repeat(scores[~genuine], counts[~genuine])


@pytest.mark.parametrize("tied", [False, True])
@given(signers=st.integers(2, 9), seed=st.integers(0, 1000))
def test_rates_equal_those_of_repeated_trials(tied: bool, signers: int, seed: int) -> None:
    trials = make_trials(signers, seed, tied=tied)
    weights = resample_weights(signers, 5, seed)
    curves = SignerCurves(*trials)
    fast = curves.equal_error_rates(weights)
    at_far = curves.frr_at_far(weights, 0.01)
    for row in range(5):
        slow = repeated(trials, weights[row])
        assert fast[row] == pytest.approx(equal_error_rate(*slow), abs=1e-12)
        assert at_far[row] == pytest.approx(frr_at_far(*slow, 0.01), abs=1e-12)


def test_weights_are_draws_with_replacement() -> None:
    weights = resample_weights(7, 4000, seed=3)
    assert weights.shape == (4000, 7)
    assert (weights.sum(axis=1) == 7).all() and (weights >= 0).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.06)
    assert np.array_equal(weights, resample_weights(7, 4000, seed=3))
    assert not np.array_equal(weights, resample_weights(7, 4000, seed=4))


def test_interval_holds_the_estimate_and_shrinks_with_signers() -> None:
    few, many = make_trials(6, 0), make_trials(96, 0)
    widths = []
    for trials in (few, many):
        scores, genuine, *_ = trials
        low, high = bootstrap_interval(*trials)  # type: ignore[misc]
        assert 0 <= low <= equal_error_rate(scores[genuine], scores[~genuine]) <= high <= 1
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    population = make_trials(4000, 99)
    truth = equal_error_rate(population[0][population[1]], population[0][~population[1]])
    covered = 0
    for seed in range(60):
        low, high = bootstrap_interval(*make_trials(30, seed), resamples=300)  # type: ignore[misc]
        covered += low <= truth <= high
    assert 50 <= covered <= 60


def test_signers_who_agree_leave_no_doubt() -> None:
    scores, genuine, _, _ = make_trials(1, 0)
    trials = (np.tile(scores, 5), np.tile(genuine, 5), np.repeat(np.arange(5), 20), 5)
    low, high = bootstrap_interval(*trials)  # type: ignore[misc]
    assert low == pytest.approx(high)


def test_one_signer_has_no_interval() -> None:
    assert bootstrap_interval(*make_trials(1, 0)) is None


def test_a_resample_without_forgeries_has_no_rate() -> None:
    scores = [0.9, 0.8, 0.1, 0.2]
    curves = SignerCurves(scores, [True, True, False, False], [0, 1, 1, 1], 2)
    rates = curves.equal_error_rates(np.array([[2.0, 0.0], [1.0, 1.0]]))
    assert np.isnan(rates[0]) and rates[1] == 0
    assert percentile_interval(rates) == (0, 0)
    assert percentile_interval([np.nan]) is None


def test_paired_difference_of_equal_systems_is_zero() -> None:
    scores, genuine, owner, count = make_trials(10, 1)
    same = paired_eer_difference(scores, scores, genuine, owner, count)
    assert (same.difference, same.low, same.high) == (0, 0, 0)
    assert same.includes_zero


def test_paired_difference_sees_what_unpaired_intervals_hide() -> None:
    scores, genuine, owner, count = make_trials(12, 2, spread=2.0)
    worse = scores - 0.4 * genuine
    found = paired_eer_difference(worse, scores, genuine, owner, count)
    assert 0 < found.low <= found.difference <= found.high and not found.includes_zero
    both = [bootstrap_interval(s, genuine, owner, count) for s in (scores, worse)]
    assert both[0][1] > both[1][0], "the separate intervals overlap"  # type: ignore[index]
    turned = paired_eer_difference(scores, worse, genuine, owner, count)
    assert turned.difference == pytest.approx(-found.difference)


def test_bad_input_is_refused() -> None:
    scores, genuine, owner, count = make_trials(3, 0)
    with pytest.raises(DataError, match="the very same trials"):
        paired_eer_difference(scores[1:], scores, genuine, owner, count)
    with pytest.raises(DataError, match="genuine and forged"):
        SignerCurves(scores, np.ones_like(genuine), owner, count)
    with pytest.raises(DataError, match="no signer"):
        resample_weights(0)


def test_the_change_that_results_hold_is_of_skilled_forgeries_alone() -> None:
    random = np.random.default_rng(0)
    kinds = np.repeat(np.array([GENUINE, SKILLED, RANDOM], np.uint8), 60)
    owners = np.tile(np.repeat(np.arange(6), 10), 3)
    names = tuple("abcdef")
    good, poor = (
        TrialScores(gap * (kinds == GENUINE) + random.normal(size=180), kinds, owners, names) for gap in (3, 1)
    )
    found = skilled_change(good, poor, seed=1)
    hard, other = good.against(SKILLED), poor.against(SKILLED)
    alone = paired_eer_difference(hard.scores, other.scores, hard.kinds == GENUINE, hard.signers, 6, seed=1)
    assert found == {"estimate": alone.difference, "low": alone.low, "high": alone.high}
    assert found["high"] < 0, "the good one has fewer errors"
    assert skilled_change(good.against(GENUINE), poor.against(GENUINE)) is None
