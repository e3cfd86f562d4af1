"""Scores: bounded, indifferent to scale and order, and equal for one user and for many."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sigedge_runtime.decision import FUSIONS, Calibration, Decision, OperatingPoint, ScoreRule, UsualConsistency
from sigedge_runtime.errors import BundleError, EngineError
from sigedge_runtime.matching import LocalMatching
from sigedge_runtime.scoring import fuse_groups, log_likelihood_ratio, probability, score, scores, scores_among

Matrix = NDArray[np.float32]
CELLS = LocalMatching(1, 2, 0, 1)
DEMANDING = LocalMatching(1, 2, 0, 1, 0.5)
values = st.floats(-100, 100, width=32)


def rule(
    fusion: str = "mean",
    weight: float = 0.0,
    matching: LocalMatching | None = None,
    usual: UsualConsistency | None = None,
) -> Decision:
    """A decision of which the scores are what matters."""
    points = tuple(OperatingPoint("only", count, 0.5, 0.1, 0.1) for count in (1, 2))
    calibrations = tuple(Calibration(count, 1.0, 0.0) for count in (1, 2))
    return Decision(fusion, "only", points, calibrations, weight, matching, usual_consistency=usual)


fusions = st.sampled_from(FUSIONS)
usuals = st.one_of(st.none(), st.builds(UsualConsistency, st.floats(-1, 1), st.floats(0.1, 10)))
rules = st.builds(rule, fusions, st.floats(0, 1), st.sampled_from([None, CELLS]), usuals)
every_rule = st.one_of(rules, st.builds(rule, fusions, st.floats(0, 1), st.just(DEMANDING), usuals))


def comparable(matrix: Matrix, decision: Decision) -> bool:
    """Whether the embeddings say something beside what they demand, which is the last number of each of two cells."""
    if decision.matching != DEMANDING:
        return True
    vectors = matrix.reshape(len(matrix), 2, -1)[..., :-1]
    return vectors.size > 0 and bool((np.abs(vectors).max(axis=(1, 2)) > 1e-3).all())


@st.composite
def embeddings(draw: st.DrawFn, rows: tuple[int, int] = (2, 8)) -> Matrix:
    """Embeddings that have a direction, and as a whole or in two cells can be compared."""
    shape = (draw(st.integers(*rows)), 2 * draw(st.integers(1, 8)))
    found: Matrix = draw(arrays(np.float32, shape, elements=values))
    assume(bool((np.linalg.norm(found, axis=1) > 1e-3).all()))
    return found


@pytest.mark.parametrize("matching", [None, CELLS])
@pytest.mark.parametrize("bad", [[0, 0], [np.nan, 1], [np.inf, 1]])
def test_an_embedding_without_direction_is_refused(bad: list[float], matching: LocalMatching | None) -> None:
    good = np.ones(2, np.float32)
    for query, references in ((good, [good, bad]), (bad, [good])):
        with pytest.raises(EngineError, match="zero or not finite"):
            score(np.array(query, np.float32), np.array(references, np.float32), rule(matching=matching))


@given(embeddings(), every_rule)
def test_a_score_is_bounded(matrix: Matrix, decision: Decision) -> None:
    assume(comparable(matrix, decision))
    assert abs(score(matrix[0], matrix[1:], decision)) <= 1 + decision.consistency_weight + 1e-6


def test_an_easily_imitated_signature_demands_more_of_all_who_write_it() -> None:
    """By hand: equal vectors, similarity 1 / 1.05, of which the reference's numbers 0.2 and 0.4 take 0.15."""
    query, reference = np.array([1, 9, 1, 9], np.float32), np.array([1, 0.2, 1, 0.4], np.float32)
    plain = score(query[[0, 2]], reference[[0, 2]][None], rule(matching=CELLS))
    assert score(query, reference[None], rule(matching=DEMANDING)) == pytest.approx(plain - 0.15, abs=1e-6)


@given(embeddings(), rules, st.floats(1e-2, 1e2))
def test_a_score_knows_no_scale(matrix: Matrix, decision: Decision, scale: float) -> None:
    query, references = matrix[0], matrix[1:]
    found = score(query, references, decision)
    assert score(query * np.float32(scale), references, decision) == pytest.approx(found, abs=1e-5)


@given(embeddings(), every_rule)
def test_a_score_knows_no_order_of_references(matrix: Matrix, decision: Decision) -> None:
    assume(comparable(matrix, decision))
    query, references = matrix[0], matrix[1:]
    turned = score(query, references[::-1], decision)
    assert turned == pytest.approx(score(query, references, decision), abs=1e-6)


@given(embeddings(), every_rule)
def test_whoever_signs_alike_is_held_to_it(matrix: Matrix, decision: Decision) -> None:
    assume(comparable(matrix, decision))
    query, references = matrix[0], matrix[1:]
    assume(len(references) > 1)
    matching = decision.similarity
    consistency = float(matching.consistencies(matching.prepare(references), np.array([len(references)]))[0])
    lowered = score(query, references, replace(decision, consistency_weight=0.0)) - score(query, references, decision)
    own = decision.rule._replace(usual_consistency=None)
    assert own.expected(np.array([consistency]), np.array([len(references)]))[0] == pytest.approx(
        decision.consistency_weight * consistency
    )
    expected = float(decision.rule.expected(np.array([consistency]), np.array([len(references)]))[0])
    assert lowered == pytest.approx(expected, abs=1e-6)


def test_the_usual_consistency_is_believed_until_references_show_another() -> None:
    """By hand: two references' worth of 0.5 against none, one and eight beside the first."""
    believing = ScoreRule("mean", 1.0, UsualConsistency(0.5, 2.0))
    found = believing.expected(np.array([0.9, 0.8, 0.8]), np.array([1, 2, 9]))
    assert found.tolist() == pytest.approx([0.5, (2 * 0.5 + 0.8) / 3, (2 * 0.5 + 8 * 0.8) / 10])
    half = believing._replace(consistency_weight=0.5)
    assert (2 * half.expected(np.array([0.9]), np.array([1]))).tolist() == [0.5]


@given(st.floats(-1, 1), st.integers(1, 100), st.floats(-1, 1), st.floats(0.01, 100))
def test_what_is_believed_lies_between_the_usual_and_the_own(own: float, size: int, mean: float, worth: float) -> None:
    believing = ScoreRule("mean", 1.0, UsualConsistency(mean, worth))
    found, more = believing.expected(np.array([own, own]), np.array([size, size + 1]))
    assert min(own, mean) - 1e-9 <= found <= max(own, mean) + 1e-9
    assert abs(more - own) <= abs(found - own) + 1e-9, "a further reference moves it towards the user's own"


@given(embeddings(), every_rule)
def test_one_reference_says_nothing_of_consistency(matrix: Matrix, decision: Decision) -> None:
    assume(comparable(matrix, decision))
    plain = score(matrix[0], matrix[1:2], replace(decision, consistency_weight=0.0))
    usual = decision.usual_consistency.mean if decision.usual_consistency else 0.0
    assert score(matrix[0], matrix[1:2], decision) == pytest.approx(plain - decision.consistency_weight * usual)


@given(embeddings(), fusions)
def test_a_signature_is_most_like_itself(matrix: Matrix, fusion: str) -> None:
    copies = np.repeat(matrix[:1], 3, axis=0)
    assert score(matrix[0], copies, rule(fusion)) == pytest.approx(1, abs=1e-5)
    assert score(-matrix[0], copies, rule(fusion)) == pytest.approx(-1, abs=1e-5)


@given(embeddings(), st.sampled_from([None, CELLS]))
def test_fusions_are_ordered(matrix: Matrix, matching: LocalMatching | None) -> None:
    decisions = (rule(fusion, matching=matching) for fusion in ("mean", "mean_max", "max"))
    mean, middle, largest = (score(matrix[0], matrix[1:], decision) for decision in decisions)
    assert mean - 1e-6 <= middle <= largest + 1e-6
    assert middle == pytest.approx((mean + largest) / 2, abs=1e-6)


@given(embeddings(), every_rule, st.data())
def test_many_users_at_once_score_as_one_by_one(matrix: Matrix, decision: Decision, data: st.DataObject) -> None:
    assume(comparable(matrix, decision))
    prepared = decision.similarity.prepare(matrix)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(prepared) - 1))))
    groups = np.split(prepared, cuts)
    found = scores(prepared[0], prepared, np.array([len(group) for group in groups], np.intp), decision)
    np.testing.assert_allclose(found, [score(prepared[0], group, decision) for group in groups], atol=1e-6)


@given(embeddings(), every_rule, st.floats(-1, 1))
def test_a_consistency_that_is_known_is_not_worked_out_again(matrix: Matrix, decision: Decision, known: float) -> None:
    assume(comparable(matrix, decision))
    prepared, sizes = decision.similarity.prepare(matrix), np.array([len(matrix)], np.intp)
    own = decision.similarity.consistencies(prepared, sizes)
    plain, given, taken = (
        scores(prepared[0], prepared, sizes, decision, one) for one in (None, own, np.array([known]))
    )
    assert plain == given
    difference = decision.rule.expected(np.array([known]), sizes) - decision.rule.expected(own, sizes)
    assert float((plain - taken)[0]) == pytest.approx(float(difference[0]), abs=1e-9)


@settings(max_examples=25)
@given(embeddings(), every_rule)
def test_among_references_each_is_scored_against_the_rest(matrix: Matrix, decision: Decision) -> None:
    assume(comparable(matrix, decision))
    prepared, count = decision.similarity.prepare(matrix), len(matrix)
    consistency, found = scores_among(prepared, decision)
    assert consistency == pytest.approx(
        float(decision.similarity.consistencies(prepared, np.array([count]))[0]), abs=1e-5
    )
    alone = [score(matrix[row], np.delete(matrix, row, axis=0), decision) for row in range(count)]
    np.testing.assert_allclose(found, alone, atol=1e-5)


def test_two_references_are_equally_unlike_one_another() -> None:
    rng = np.random.default_rng(0)
    for matching in (None, LocalMatching(2, 2, 1, 1)):
        decision = rule("mean_max", 0.5, matching)
        prepared = decision.similarity.prepare(rng.normal(size=(2, 16)))
        consistency, (first, second) = scores_among(prepared, decision)
        assert first == second == consistency


def test_scores_by_hand() -> None:
    references = np.array([[1, 0], [0, 2]], np.float32)
    query = np.array([3, 0], np.float32)
    assert [score(query, references, rule(fusion)) for fusion in ("mean", "max", "mean_max")] == [0.5, 1.0, 0.75]
    # Two cells of one number: within reach the second reference is as alike as the first.
    found = [score(query, references, rule(matching=LocalMatching(1, 2, 0, reach))) for reach in (0, 1)]
    assert found == pytest.approx([0.5 / 1.05**2, 1 / 1.05**2], abs=1e-3)  # directions are rounded


@pytest.mark.parametrize("matching", [None, CELLS])
def test_without_references_there_is_no_score(matching: LocalMatching | None) -> None:
    with pytest.raises(BundleError, match="no references"):
        score(np.ones(2, np.float32), np.ones((0, 2), np.float32), rule(matching=matching))


@pytest.mark.parametrize("sizes", [[], [1, 0, 1], [1], [3]])
def test_every_user_needs_a_reference(sizes: list[int]) -> None:
    with pytest.raises(BundleError, match="no references"):
        fuse_groups(np.array([0.1, 0.2], np.float32), np.array(sizes, np.intp), "mean")


def test_an_unknown_fusion_lists_the_known() -> None:
    with pytest.raises(BundleError, match="'median' is unknown; use one of mean, max, mean_max"):
        fuse_groups(np.array([0.5], np.float32), np.array([1]), "median")


@given(st.floats(-1, 1), st.floats(0.01, 1e6), st.floats(-1e6, 1e6))
def test_a_probability_is_one(found: float, slope: float, intercept: float) -> None:
    calibration = Calibration(1, slope, intercept)
    chance = probability(found, calibration)
    assert 0 <= chance <= 1
    assert probability(min(1.0, found + 0.1), calibration) >= chance


@pytest.mark.parametrize(("logit", "expected"), [(0.0, 0.5), (math.log(3), 0.75), (-math.log(3), 0.25)])
def test_probabilities_by_hand(logit: float, expected: float) -> None:
    assert probability(logit / 4, Calibration(1, 4.0, 0.0)) == pytest.approx(expected)
    assert probability(0.0, Calibration(1, 4.0, logit)) == pytest.approx(expected)


@given(st.floats(-2, 2), st.floats(0.01, 40), st.floats(-40, 40))
def test_the_likelihood_ratio_is_the_odds_at_equal_priors(found: float, slope: float, intercept: float) -> None:
    calibration = Calibration(1, slope, intercept)
    ratio, chance = log_likelihood_ratio(found, calibration), probability(found, calibration)
    assert (ratio > 0) >= (chance > 0.5) and (ratio < 0) >= (chance < 0.5)
    if abs(ratio) < 15:  # beyond it, 1 less the probability has too few digits left
        assert math.log(chance / (1 - chance)) == pytest.approx(ratio, abs=1e-6)


def test_scores_are_plain_floats() -> None:
    found: Any = score(np.ones(2), np.ones((1, 2)), rule())
    assert type(found) is float
