from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from sigedge.evaluation.metrics import (
    auc,
    cllr,
    det_points,
    equal_error_rate,
    equal_rate,
    error_curve,
    frr_at_far,
    mean_error_curve,
    min_cllr,
)
from sigedge_runtime.errors import DataError

# Few distinct values, so that ties within and between the classes are the rule.
TIED = arrays(np.float64, st.integers(1, 30), elements=st.integers(-5, 5).map(lambda n: n / 5))
FREE = arrays(np.float64, st.integers(1, 30), elements=st.floats(-1, 1, width=32))
SCORES = st.one_of(TIED, FREE)


def test_known_rates() -> None:
    genuine, forged = [0.9, 0.8, 0.7, 0.3], [0.6, 0.4, 0.2, 0.1]
    assert equal_error_rate(genuine, forged) == pytest.approx(0.25)
    assert auc(genuine, forged) == pytest.approx(14 / 16)
    assert frr_at_far(genuine, forged, 0.0) == pytest.approx(0.25)
    assert frr_at_far(genuine, forged, 0.25) == pytest.approx(0.25)
    assert frr_at_far(genuine, forged, 0.5) == 0.0
    assert det_points(genuine, forged, [0.0, 0.49, 0.5]) == [0.25, 0.25, 0.0]


def test_extremes() -> None:
    assert equal_error_rate([1, 2], [-1, 0]) == 0.0
    assert equal_error_rate([-1, 0], [1, 2]) == 1.0
    assert equal_error_rate([0, 0, 0], [0, 0]) == 0.5
    assert frr_at_far([0, 0], [0, 0], 0.01) == 1.0
    assert auc([0, 0], [0]) == 0.5


def test_interpolation_between_thresholds() -> None:
    # The points next to FAR = FRR are (FAR 1, FRR 0) and (1/2, 1/2 + 1/6): they meet at ...
    genuine, forged = [0.1, 0.1, 0.9], [0.1, 0.5]
    curve = error_curve(genuine, forged)
    assert curve.far.tolist() == [1.0, 0.5, 0.0, 0.0]
    assert curve.frr.tolist() == pytest.approx([0.0, 2 / 3, 2 / 3, 1.0])
    along = 1 / (1 + 1 / 6)
    assert equal_error_rate(genuine, forged) == pytest.approx(1 - 0.5 * along)


@given(SCORES, SCORES)
def test_error_curve_is_monotone_from_all_accepted_to_none(genuine, forged) -> None:  # type: ignore[no-untyped-def]
    curve = error_curve(genuine, forged)
    assert (curve.far[0], curve.frr[0], curve.far[-1], curve.frr[-1]) == (1, 0, 0, 1)
    assert (np.diff(curve.far) <= 0).all() and (np.diff(curve.frr) >= 0).all()
    for threshold, far, frr in zip(curve.thresholds, curve.far, curve.frr, strict=True):
        assert far == pytest.approx(np.mean(forged >= threshold))
        assert frr == pytest.approx(np.mean(genuine < threshold))


@given(SCORES, SCORES, SCORES, SCORES)
def test_parts_count_the_same_however_many_scores_they_have(first, taken, second, refused) -> None:  # type: ignore[no-untyped-def]
    curve = mean_error_curve([(first, taken), (second, refused)])
    assert (curve.far[0], curve.frr[0], curve.far[-1], curve.frr[-1]) == (1, 0, 0, 1)
    for threshold, far, frr in zip(curve.thresholds, curve.far, curve.frr, strict=True):
        assert far == pytest.approx((np.mean(taken >= threshold) + np.mean(refused >= threshold)) / 2)
        assert frr == pytest.approx((np.mean(first < threshold) + np.mean(second < threshold)) / 2)
    assert 0 <= equal_rate(curve) <= 1
    twice = mean_error_curve([(first, taken), (np.repeat(first, 3), np.repeat(taken, 2))])
    assert equal_rate(twice) == pytest.approx(equal_error_rate(first, taken))


def test_no_part_has_no_curve() -> None:
    with pytest.raises(DataError, match="There are no scores to evaluate"):
        mean_error_curve([])


@given(SCORES, SCORES)
def test_eer_is_a_rate_and_symmetric(genuine, forged) -> None:  # type: ignore[no-untyped-def]
    rate = equal_error_rate(genuine, forged)
    assert 0 <= rate <= 1
    assert equal_error_rate(-forged, -genuine) == pytest.approx(rate)
    assert equal_error_rate(forged, genuine) == pytest.approx(1 - rate)


@given(TIED, TIED, st.floats(0.1, 10), st.floats(-5, 5))
def test_monotone_transforms_change_nothing(genuine, forged, slope, shift) -> None:  # type: ignore[no-untyped-def]
    before = (equal_error_rate(genuine, forged), auc(genuine, forged), min_cllr(genuine, forged))
    for transform in (lambda s: slope * s + shift, np.exp, lambda s: s**3):
        after = (transform(genuine), transform(forged))
        assert (equal_error_rate(*after), auc(*after), min_cllr(*after)) == pytest.approx(before, abs=1e-9)
    assert equal_error_rate(genuine[::-1], np.roll(forged, 1)) == before[0]


@given(SCORES, SCORES)
def test_repeating_every_score_changes_nothing(genuine, forged) -> None:  # type: ignore[no-untyped-def]
    assert equal_error_rate(np.tile(genuine, 3), np.tile(forged, 2)) == pytest.approx(equal_error_rate(genuine, forged))


@given(SCORES, SCORES)
def test_auc_agrees_with_scikit_learn(genuine, forged) -> None:  # type: ignore[no-untyped-def]
    labels = np.repeat([1, 0], [len(genuine), len(forged)])
    assert auc(genuine, forged) == pytest.approx(roc_auc_score(labels, np.concatenate([genuine, forged])))
    assert auc(forged, genuine) == pytest.approx(1 - auc(genuine, forged))


@given(SCORES, SCORES, st.floats(0, 1))
def test_frr_at_far_is_the_best_threshold_that_keeps_the_far(genuine, forged, far) -> None:  # type: ignore[no-untyped-def]
    candidates = [*genuine, *forged, np.inf]
    allowed = [np.mean(genuine < t) for t in candidates if np.mean(forged >= t) <= far]
    assert frr_at_far(genuine, forged, far) == pytest.approx(min(allowed))


def test_cllr_of_known_ratios() -> None:
    assert cllr([0, 0, 0], [0]) == pytest.approx(1.0)
    assert cllr([math.log(3)], [-math.log(3)]) == pytest.approx(math.log2(4 / 3))
    assert cllr([math.inf], [-math.inf]) == 0.0
    assert cllr([-20], [20]) > 20
    assert cllr([1000.0], [-1000.0]) == pytest.approx(0.0)


@given(SCORES, SCORES, st.floats(0.1, 20), st.floats(-3, 3))
def test_min_cllr_is_the_floor_of_every_monotone_calibration(genuine, forged, slope, shift) -> None:  # type: ignore[no-untyped-def]
    floor = min_cllr(genuine, forged)
    assert 0 <= floor <= 1 + 1e-9
    assert floor <= cllr(slope * genuine + shift, slope * forged + shift) + 1e-9


def test_min_cllr_of_perfect_and_useless_scores() -> None:
    assert min_cllr([2, 3], [0, 1]) == pytest.approx(0.0)
    assert min_cllr([0, 0], [0, 0, 0]) == pytest.approx(1.0)
    assert min_cllr([0, 1], [2, 3]) == pytest.approx(1.0)


def test_log_ratios_of_two_normals_are_nearly_calibrated() -> None:
    rng = np.random.default_rng(0)
    genuine, forged = rng.normal(1, 1, 4000), rng.normal(-1, 1, 4000)
    assert cllr(2 * genuine, 2 * forged) - min_cllr(genuine, forged) < 0.02
    assert cllr(8 * genuine, 8 * forged) - min_cllr(genuine, forged) > 0.1
    assert equal_error_rate(genuine, forged) == pytest.approx(0.1587, abs=0.01)


@pytest.mark.parametrize("function", [equal_error_rate, auc, min_cllr, cllr])
def test_missing_or_broken_scores_are_refused(function) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match="no genuine scores"):
        function([], [0.5])
    with pytest.raises(DataError, match="no forged scores"):
        function([0.5], [])
    with pytest.raises(DataError, match="A forged score is not a finite number"):
        function([0.5], [0.1, math.nan])


def test_infinite_scores_are_refused_but_infinite_ratios_are_not() -> None:
    with pytest.raises(DataError, match="not a finite"):
        equal_error_rate([math.inf], [0.0])
    assert cllr([math.inf], [0.0]) == pytest.approx(0.5)
