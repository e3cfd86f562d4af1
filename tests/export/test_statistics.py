from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_export.inputs import Pairs, ParitySet, make_pairs
from sigedge_export.statistics import (
    ScoreChange,
    eer_difference,
    effective_rank,
    equal_error_rate,
    pair_scores,
    score_change,
    unit_rows,
    variance,
)
from sigedge_runtime.decision import Calibration, Decision, OperatingPoint, UsualConsistency
from sigedge_runtime.matching import COSINE, LocalMatching, Matching
from sigedge_runtime.scoring import score

MATCHINGS: list[Matching] = [COSINE, LocalMatching(2, 2, 1, 0), LocalMatching(1, 1, 0, 0)]


def four_signatures() -> ParitySet:
    return ParitySet(np.zeros((4, 2, 2), np.uint8), ("a", "a", "b", "b"), np.ones(4, bool), "nowhere")


def test_a_pair_scores_the_cosine_of_its_two_embeddings_of_any_length() -> None:
    pairs = make_pairs(four_signatures())
    embeddings = np.array([[2, 0], [3, 4], [0, 1], [0, 0]], np.float32)
    asked = list(zip(pairs.reference.tolist(), pairs.query.tolist(), strict=True))
    assert dict(zip(asked, pair_scores(embeddings, pairs).tolist(), strict=True)) == {
        (0, 1): pytest.approx(0.6),
        (2, 3): 0,
        (0, 2): 0,
        (2, 0): 0,
    }


@st.composite
def embedded_pairs(draw: st.DrawFn) -> tuple[NDArray[np.float32], Pairs]:
    """Embeddings of 4 to 8 numbers, and pairs of them in any order, some of them twice."""
    seed, count = draw(st.integers(0, 1000)), draw(st.integers(2, 6))
    indices = st.lists(st.integers(0, count - 1), min_size=5, max_size=5)
    reference, query = (np.array(draw(indices), np.intp) for _ in range(2))
    embeddings = np.random.default_rng(seed).normal(size=(count, draw(st.sampled_from([4, 8])))).astype(np.float32)
    return embeddings, Pairs(reference, query, np.zeros(5, np.int8), reference)


@given(embedded_pairs(), st.sampled_from(MATCHINGS))
def test_pairs_score_as_devices_compare(case: tuple[NDArray[np.float32], Pairs], matching: Matching) -> None:
    embeddings, pairs = case
    prepared = matching.prepare(embeddings)
    expected = matching.similarities(prepared, prepared)[pairs.query, pairs.reference]
    found = pair_scores(embeddings, pairs, matching)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(embedded_pairs(), st.sampled_from(MATCHINGS), st.floats(0, 1), st.floats(-1, 1))
def test_pairs_score_as_devices_decide(
    case: tuple[NDArray[np.float32], Pairs], matching: Matching, weight: float, usual: float
) -> None:
    """With one reference, which says nothing of the user's own consistency."""
    embeddings, pairs = case
    local = matching if isinstance(matching, LocalMatching) else None
    points = tuple(OperatingPoint("only", count, 0.5, 0.1, 0.1) for count in (1, 2))
    calibrations = tuple(Calibration(count, 1.0, 0.0) for count in (1, 2))
    decision = Decision(
        "mean", "only", points, calibrations, weight, local, usual_consistency=UsualConsistency(usual, 2.0)
    )
    found = pair_scores(embeddings, pairs, decision.similarity, decision.rule)
    together = zip(pairs.query, pairs.reference, strict=True)
    expected = [score(embeddings[query], embeddings[reference][None], decision) for query, reference in together]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("bad", [0, np.nan, np.inf, [0, np.nan, 0, 0], [1, 0, 0, -np.inf]])
@pytest.mark.parametrize("matching", MATCHINGS)
def test_what_cannot_be_compared_scores_nothing_and_spoils_no_other_pair(matching: Matching, bad: object) -> None:
    pairs = make_pairs(four_signatures())
    embeddings = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    sound = pair_scores(embeddings, pairs, matching)
    embeddings[1] = bad
    found = pair_scores(embeddings, pairs, matching)
    touched = (pairs.reference == 1) | (pairs.query == 1)
    assert touched.any() and (found[touched] == 0).all()
    assert np.array_equal(found[~touched], sound[~touched]) and (sound != 0).all()


@pytest.mark.parametrize("matching", MATCHINGS)
def test_nothing_but_zeros_still_has_scores(matching: Matching) -> None:
    pairs = make_pairs(four_signatures())
    assert (pair_scores(np.zeros((4, 8), np.float32), pairs, matching) == 0).all()


def test_a_change_is_one_of_scores_and_decisions() -> None:
    pairs = make_pairs(four_signatures())
    embeddings = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    turned = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.float32)
    right, longer, wrong = (pair_scores(rows, pairs) for rows in (embeddings, 7 * embeddings, turned))
    assert score_change(right, longer, 0.5) == ScoreChange(0, 0, 0, 0)
    found = score_change(right, wrong, 0.5)
    assert found.max_score_difference == 1
    assert found.flipped == 1 and found.flipped_decisions == pytest.approx(1 / 4)


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=20),
    st.floats(-1, 1),
)
def test_a_change_is_the_same_in_both_directions(rows: list[tuple[float, float]], threshold: float) -> None:
    one, other = np.array(rows).T
    found = score_change(one, other, threshold)
    assert found == score_change(other, one, threshold)
    assert 0 <= found.p99_score_difference <= found.max_score_difference == max(abs(a - b) for a, b in rows)
    assert found.flipped == sum((a >= threshold) != (b >= threshold) for a, b in rows)
    assert found.flipped_decisions == pytest.approx(found.flipped / len(rows))


def rate(scores: list[float], genuine: list[bool]) -> float:
    return float(equal_error_rate(np.array(scores), np.array(genuine))[0])


def test_separable_scores_have_no_error() -> None:
    assert rate([0.1, 0.2, 0.8, 0.9], [False, False, True, True]) == 0


def test_reversed_scores_are_always_wrong() -> None:
    assert rate([0.8, 0.9, 0.1, 0.2], [False, False, True, True]) == 1


def test_a_quarter_of_each_kind_on_the_wrong_side() -> None:
    scores = [0.1, 0.2, 0.3, 0.7, 0.4, 0.8, 0.9, 0.95]
    assert rate(scores, [False] * 4 + [True] * 4) == pytest.approx(0.25)


def test_equal_scores_are_decided_together() -> None:
    assert rate([0.5] * 6, [True, False] * 3) == pytest.approx(0.5)


def test_one_kind_alone_gives_no_rate() -> None:
    assert np.isnan(rate([0.1, 0.2], [True, True]))


@given(
    st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.integers(1, 3)), min_size=2, max_size=30).filter(
        lambda rows: len({genuine for _, genuine, _ in rows}) == 2
    )
)
def test_a_weight_counts_as_so_many_copies(rows: list[tuple[int, bool, int]]) -> None:
    scores = np.array([score for score, _, _ in rows], dtype=np.float64)
    genuine = np.array([kind for _, kind, _ in rows])
    weights = np.array([weight for _, _, weight in rows])
    weighted = equal_error_rate(scores, genuine, weights[None].astype(np.float64))
    copies = equal_error_rate(np.repeat(scores, weights), np.repeat(genuine, weights))
    assert weighted == pytest.approx(copies)
    assert 0 <= weighted[0] <= 1


@given(st.integers(0, 1000))
def test_the_rate_agrees_with_a_search_over_thresholds(seed: int) -> None:
    random = np.random.default_rng(seed)
    genuine = np.arange(400) < 200
    scores = random.normal(genuine * 1.0, 1.0)
    thresholds = np.sort(scores)
    missed = np.array([(scores[genuine] < threshold).mean() for threshold in thresholds])
    falsely = np.array([(scores[~genuine] >= threshold).mean() for threshold in thresholds])
    nearest = np.abs(missed - falsely).argmin()
    assert equal_error_rate(scores, genuine)[0] == pytest.approx((missed[nearest] + falsely[nearest]) / 2, abs=0.006)


def population(seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.intp]]:
    random = np.random.default_rng(seed)
    signers = np.repeat(np.arange(12), 40)
    genuine = np.tile(np.arange(40) < 20, 12)
    return random.normal(genuine * 1.5, 1.0), genuine, signers


def test_equal_scores_differ_by_nothing() -> None:
    scores, genuine, signers = population(0)
    interval = eer_difference(scores, scores, genuine, signers)
    assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)


def test_a_real_loss_is_proven_and_noise_is_not() -> None:
    scores, genuine, signers = population(1)
    random = np.random.default_rng(2)
    worse = eer_difference(scores, random.permutation(scores), genuine, signers)
    alike = eer_difference(scores, scores + random.normal(0, 0.01, scores.shape), genuine, signers)
    assert worse.low > 0.05 < worse.estimate
    assert alike.low <= 0 <= alike.high


def test_the_interval_is_the_same_every_time() -> None:
    scores, genuine, signers = population(3)
    noisy = scores + np.random.default_rng(4).normal(0, 0.5, scores.shape)
    assert eer_difference(scores, noisy, genuine, signers) == eer_difference(scores, noisy, genuine, signers)


def test_effective_rank_counts_the_directions_that_are_filled() -> None:
    random = np.random.default_rng(0)
    line = random.normal(size=(50, 1)) * np.ones((1, 8)) + np.eye(8)[0] * 5
    assert effective_rank(line) < 2.1
    assert effective_rank(random.normal(size=(5000, 8))) == pytest.approx(8, abs=0.02)


def test_a_collapsed_embedding_has_neither_rank_nor_variance() -> None:
    constant = np.ones((10, 8))
    assert effective_rank(constant) == 0
    assert variance(constant) == pytest.approx(0)


@given(st.floats(1e-3, 1e3))
def test_length_is_no_matter(scale: float) -> None:
    embeddings = np.random.default_rng(0).normal(size=(20, 4))
    assert variance(scale * embeddings) == pytest.approx(variance(embeddings))
    assert effective_rank(scale * embeddings) == pytest.approx(effective_rank(embeddings))


def test_a_zero_row_stays_zero() -> None:
    assert unit_rows(np.zeros((2, 3))).tolist() == [[0, 0, 0], [0, 0, 0]]
