"""Sending poor pictures back: what is left is scored as by hand, and only quality that tells of errors is worth it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge.evaluation import abstention
from sigedge.evaluation.abstention import SHARES, AbstentionCurve, abstention_curve, choose_abstention_bound
from sigedge.evaluation.metrics import equal_error_rate
from sigedge_runtime.errors import DataError

Floats = NDArray[np.float64]


def trials(seed: int = 0, count: int = 400, harm: float = 3.0) -> dict[str, Any]:
    """One trial a query, half of them genuine; a tenth of the pictures is poor, which costs a genuine score `harm`."""
    rng = np.random.default_rng(seed)
    genuine = np.arange(count) % 2 == 0
    poor = rng.random(count) < 0.1
    quality = np.where(poor, rng.uniform(0, 0.2, count), rng.uniform(0.5, 1, count))
    scores = rng.normal(0, 1, count) + 4 * genuine - harm * (poor & genuine)
    return {"quality": quality, "queries": np.arange(count), "scores": scores, "genuine": genuine, "threshold": 2.0}


def curve(**changes: Any) -> AbstentionCurve:
    return abstention_curve(**{**trials(), "repeats": 20, **changes})


@settings(max_examples=20)
@given(st.integers(0, 1000), st.booleans())
def test_every_point_is_what_the_answered_trials_give(seed: int, tied: bool) -> None:
    given_trials = trials(seed, count=60)
    if tied:
        given_trials["quality"] = given_trials["quality"].round(1)
    found = abstention_curve(**given_trials, repeats=2)
    quality, scores, genuine = (given_trials[name] for name in ("quality", "scores", "genuine"))
    assert (np.diff(found.bounds) > 0).all() and len(found.bounds) <= len(SHARES)
    assert (found.rejected[0], found.rejected.max() <= 0.5) == (0, True)
    for point, bound in enumerate(found.bounds):
        kept = quality >= bound
        assert found.rejected[point] == pytest.approx(1 - kept.mean())
        assert found.rejected_genuine[point] == pytest.approx(1 - kept[genuine].mean())
        assert found.rejected_forged[point] == pytest.approx(1 - kept[~genuine].mean())
        assert found.worst_first.eer[point] == equal_error_rate(scores[kept & genuine], scores[kept & ~genuine])
        assert found.worst_first.far[point] == np.mean(scores[kept & ~genuine] >= 2)
        assert found.worst_first.frr[point] == np.mean(scores[kept & genuine] < 2)


def test_quality_that_tells_of_errors_beats_chance() -> None:
    found = curve()
    tenth = int(np.searchsorted(found.rejected, 0.1))
    assert found.worst_first.frr[tenth] < 0.6 * found.worst_first.frr[0]
    assert found.worst_first.eer[tenth] < found.at_random.eer[:, tenth].min()
    assert found.at_random.eer.mean(axis=0)[tenth] == pytest.approx(found.worst_first.eer[0], abs=0.01)
    assert found.at_random.frr.shape == (20, len(found.bounds))


def test_nothing_sent_back_is_the_same_in_every_order() -> None:
    found = curve()
    for name in ("eer", "far", "frr", "half_total"):
        assert (getattr(found.at_random, name)[:, 0] == getattr(found.worst_first, name)[0]).all()


def test_it_depends_on_the_seed_alone() -> None:
    first, again, other = (curve(seed=seed, repeats=3).at_random.eer for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_all_trials_of_a_query_go_together() -> None:
    """Each query tried three times is the same curve, and a share counts queries rather than trials."""
    once = trials()
    thrice = {**once, **{name: np.repeat(once[name], 3) for name in ("queries", "scores", "genuine")}}
    first, second = abstention_curve(**once, repeats=5), abstention_curve(**thrice, repeats=5)
    for name in ("bounds", "rejected", "rejected_genuine", "rejected_forged"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert np.array_equal(first.at_random.frr, second.at_random.frr)
    uneven = {**once, "queries": np.append(once["queries"], np.zeros(500, int))}
    uneven |= {
        "scores": np.append(once["scores"], np.zeros(500)),
        "genuine": np.append(once["genuine"], np.full(500, True)),
    }
    assert np.array_equal(abstention_curve(**uneven, repeats=1).rejected, first.rejected)


def test_pictures_that_were_never_a_query_do_not_count() -> None:
    more = {**trials(), "quality": np.append(trials()["quality"], np.zeros(1000))}
    assert np.array_equal(abstention_curve(**more, repeats=1).rejected, curve().rejected)


def test_a_class_that_dies_out_is_no_number() -> None:
    quality = np.where(trials()["genuine"], 1.0, np.linspace(0.1, 0.2, 400))
    found = curve(quality=quality, genuine=trials()["genuine"])
    assert np.isnan(found.worst_first.eer[-1]) and found.rejected_forged[-1] == 1 > found.rejected_genuine[-1] == 0
    assert choose_abstention_bound(found, most_rejected=1.0) != found.bounds[-1]


def test_the_bound_pays_and_sends_back_no_more_than_allowed() -> None:
    found = curve()
    chosen = [choose_abstention_bound(found, most_rejected=most) for most in (0.0, 0.05, 0.1, 0.2)]
    assert chosen[0] is None
    assert 0 < chosen[1] < chosen[2] <= chosen[3] <= 1
    for bound, most in zip(chosen[1:], (0.05, 0.1, 0.2), strict=True):
        point = int(np.flatnonzero(found.bounds == bound)[0])
        allowed = found.rejected <= most
        assert found.rejected[point] <= most
        assert found.worst_first.half_total[point] == found.worst_first.half_total[allowed].min()


def test_quality_that_tells_nothing_is_seldom_acted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abstention, "SHARES", (0.0, 0.025, 0.05))

    def chosen(harm: float) -> int:
        """In how many of 20 draws a bound is chosen."""
        curves = (abstention_curve(**trials(seed, 200, harm), repeats=20) for seed in range(20))
        return sum(choose_abstention_bound(one) is not None for one in curves)

    # Chance alone gets through in about one of twenty.
    assert chosen(harm=0.0) <= 4 and chosen(harm=5.0) >= 16


def test_quality_that_is_upside_down_is_left_alone() -> None:
    upside_down = trials()
    upside_down["quality"] = 1 - upside_down["quality"]
    assert choose_abstention_bound(abstention_curve(**upside_down, repeats=20), most_rejected=0.5) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"scores": np.zeros(3)}, "differ in number"),
        ({"quality": np.zeros((400, 2))}, "differ in number"),
        ({"genuine": np.ones(400, bool)}, "only genuine or only forged"),
        ({"genuine": np.zeros(400, bool)}, "only genuine or only forged"),
        ({"quality": np.ones(399)}, "no quality index"),
        ({"quality": np.full(400, np.nan)}, "not a finite number"),
        ({"scores": np.full(400, np.inf)}, "not a finite number"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(DataError, match=word):
        curve(**change)


def test_a_chosen_bound_fits_a_decision() -> None:
    from sigedge_runtime.decision import Calibration, Decision, OperatingPoint

    decision = Decision("mean", "only", (OperatingPoint("only", 1, 0.5, 0.1, 0.1),), (Calibration(1, 1.0, 0.0),))
    bound = choose_abstention_bound(curve())
    assert bound is not None and replace(decision, sign_again_below=bound).sign_again_below == bound
