"""Difference and similarity scores, and rules for pairs: their ranges, their fit, and what they refuse."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sigedge.evaluation.pairs import DifferenceRule, PairClassifier, difference, judge_pair, similarity
from sigedge_runtime.errors import DataError, EngineError

Rows = NDArray[np.float32]
Pairs = tuple[Rows, Rows, NDArray[np.bool_]]

ROWS = hnp.arrays(np.float32, (4, 6), elements=st.floats(-100, 100, width=32)).filter(
    lambda rows: bool((np.linalg.norm(rows, axis=1) > 1e-3).all())
)


def pairs(count: int = 400, noise: float = 0.25, ruined: int = 0, seed: int = 0) -> Pairs:
    """Pairs of which every other one is genuine; the first `ruined` directions say nothing of who wrote."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(count, 8)).astype(np.float32)
    genuine = np.arange(count) % 2 == 0
    second = np.where(genuine[:, None], first + noise * rng.normal(size=first.shape), rng.normal(size=first.shape))
    second[:, :ruined] = 3 * rng.normal(size=(count, ruined))
    return first, second.astype(np.float32), genuine


def accuracy(rule: DifferenceRule | PairClassifier, held_out: Pairs) -> float:
    return float(np.mean((rule.log_odds(*held_out[:2]) >= 0) == held_out[2]))


class TestScores:
    def test_of_known_angles(self) -> None:
        first = np.array([[1, 0], [1, 0], [2, 0]], np.float32)
        second = np.array([[3, 0], [0, 1], [-1, 0]], np.float32)
        assert difference(first, second) == pytest.approx([0, math.sqrt(2), 2], abs=1e-6)
        assert similarity(first, second) == pytest.approx([1, math.exp(-math.sqrt(2)), math.exp(-2)], abs=1e-6)

    @given(ROWS, ROWS)
    def test_ranges_symmetry_and_what_the_cosine_says(self, first: Rows, second: Rows) -> None:
        apart, alike = difference(first, second), similarity(first, second)
        assert np.all((apart >= 0) & (apart <= 2 + 1e-6))
        assert np.all((alike > 0) & (alike <= 1))
        assert np.allclose(apart, difference(second, first))
        wide = [rows.astype(np.float64) for rows in (first, second)]
        unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in wide]
        assert apart**2 == pytest.approx(2 - 2 * (unit[0] * unit[1]).sum(axis=1), abs=1e-5)

    @given(ROWS, st.floats(0.01, 100))
    def test_length_says_nothing(self, rows: Rows, scale: float) -> None:
        assert similarity(rows, rows * np.float32(scale)) == pytest.approx(np.ones(len(rows)), abs=1e-5)

    def test_other_shapes_and_empty_embeddings_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"\[2, 3\] and \[3, 3\] make no pairs"):
            difference(np.ones((2, 3), np.float32), np.ones((3, 3), np.float32))
        with pytest.raises(EngineError, match="zero or not finite"):
            similarity(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))


class TestRules:
    @pytest.mark.parametrize("kind", [DifferenceRule, PairClassifier])
    def test_learn_to_tell_pairs_apart(self, kind: type[DifferenceRule] | type[PairClassifier]) -> None:
        assert accuracy(kind.fit(*pairs(seed=1)), pairs(seed=2)) > 0.95

    def test_the_classifier_learns_which_features_to_trust(self) -> None:
        simple, weighing = (kind.fit(*pairs(ruined=4, seed=1)) for kind in (DifferenceRule, PairClassifier))
        held_out = pairs(ruined=4, seed=2)
        assert accuracy(weighing, held_out) > accuracy(simple, held_out) + 0.05
        assert np.abs(weighing.weights[4:]).min() > np.abs(weighing.weights[:4]).max()  # type: ignore[union-attr]

    def test_the_threshold_errs_as_often_on_both_sides(self) -> None:
        first, second, genuine = pairs(noise=1.2, seed=3)
        rule = DifferenceRule.fit(first, second, genuine)
        accepted = rule.log_odds(first, second) >= 0
        assert (~accepted[genuine]).mean() == pytest.approx(accepted[~genuine].mean(), abs=0.01)

    def test_balancing_moves_the_odds_to_other_signers(self) -> None:
        trained = PairClassifier.fit(*pairs(noise=0.2, seed=4))
        others = pairs(noise=1.0, seed=5)
        balanced = trained.balanced_on(*others)
        assert np.array_equal(balanced.weights, trained.weights)
        shares = []
        for rule in (trained, balanced):
            accepted = rule.log_odds(*others[:2]) >= 0
            shares.append(abs((~accepted[others[2]]).mean() - accepted[~others[2]].mean()))
        assert shares[1] < 0.02 < shares[0]

    def test_odds_and_probability_agree(self) -> None:
        rule = PairClassifier.fit(*pairs(seed=1))
        odds, chance = rule.log_odds(*pairs()[:2]), rule.probability(*pairs()[:2])
        assert np.all((chance >= 0) & (chance <= 1))
        assert np.array_equal(chance >= 0.5, odds >= 0)
        assert chance[np.abs(odds) < 5] == pytest.approx(1 / (1 + np.exp(-odds[np.abs(odds) < 5])))

    def test_certainty_does_not_overflow(self) -> None:
        sure = PairClassifier(np.full(2, -1e6), 10.0)
        first, second = np.array([[1, 0]], np.float32), np.array([[0, 1]], np.float32)
        assert sure.probability(first, second) == pytest.approx([0])
        assert sure.probability(first, first) == pytest.approx([1], abs=1e-4)

    def test_are_stored_as_json(self) -> None:
        rule = PairClassifier.fit(*pairs())
        again = PairClassifier.from_dict(json.loads(json.dumps(rule.to_dict())))
        assert np.array_equal(again.log_odds(*pairs()[:2]), rule.log_odds(*pairs()[:2]))
        for damaged in ({}, {"weights": [1.0]}, {"weights": "x", "intercept": 0}):
            with pytest.raises(DataError, match="no pair classifier"):
                PairClassifier.from_dict(damaged)

    @pytest.mark.parametrize("kind", [DifferenceRule, PairClassifier])
    def test_one_sort_of_pairs_teaches_nothing(self, kind: type[DifferenceRule] | type[PairClassifier]) -> None:
        first, second, genuine = pairs(20)
        with pytest.raises(DataError, match="pairs of both sorts"):
            kind.fit(first[genuine], second[genuine], genuine[genuine])


def test_a_single_pair_is_judged_as_in_a_batch() -> None:
    first, second, _ = pairs()
    rule = DifferenceRule.fit(*pairs(seed=1))
    for row in range(4):
        verdict = judge_pair(rule, first[row], second[row])
        assert verdict.difference == pytest.approx(difference(first, second)[row])
        assert verdict.similarity == pytest.approx(math.exp(-verdict.difference))
        assert verdict.genuine == (verdict.difference <= rule.threshold) == (verdict.log_odds >= 0)
