"""Scores: bounded, indifferent to scale and order, and equal for one user and for many."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sigedge_runtime.decision import FUSIONS, Calibration
from sigedge_runtime.errors import BundleError, EngineError
from sigedge_runtime.scoring import consistencies, fuse_groups, normalise, probability, score, scores

Matrix = NDArray[np.float32]
values = st.floats(-100, 100, width=32)
fusions = st.sampled_from(FUSIONS)
weights = st.floats(0, 1)


@st.composite
def embeddings(draw: st.DrawFn, rows: tuple[int, int] = (2, 8)) -> Matrix:
    """Embeddings that have a direction."""
    shape = (draw(st.integers(*rows)), draw(st.integers(1, 16)))
    found: Matrix = draw(arrays(np.float32, shape, elements=values))
    assume(bool((np.linalg.norm(found, axis=1) > 1e-3).all()))
    return found


@given(embeddings())
def test_normalised_embeddings_have_unit_length(matrix: Matrix) -> None:
    unit = normalise(matrix)
    assert unit.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(normalise(matrix[0]), unit[0])


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_normalising_neither_under_nor_overflows(scale: float) -> None:
    np.testing.assert_allclose(normalise(np.array([3, 4], np.float32) * np.float32(scale)), [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("bad", [[0, 0], [np.nan, 1], [np.inf, 1]])
def test_an_embedding_without_direction_is_refused(bad: list[float]) -> None:
    with pytest.raises(EngineError, match="zero or not finite"):
        normalise(np.array([[1, 1], bad], np.float32))


@given(embeddings(), fusions, weights, st.floats(1e-2, 1e2))
def test_a_score_is_bounded_and_knows_no_scale(matrix: Matrix, fusion: str, weight: float, scale: float) -> None:
    query, references = matrix[0], matrix[1:]
    found = score(query, references, fusion, weight)
    assert abs(found) <= 1 + weight + 1e-6
    assert score(query * np.float32(scale), references, fusion, weight) == pytest.approx(found, abs=1e-5)


@given(embeddings(), fusions, weights)
def test_a_score_knows_no_order_of_references(matrix: Matrix, fusion: str, weight: float) -> None:
    query, references = matrix[0], matrix[1:]
    turned = score(query, references[::-1], fusion, weight)
    assert turned == pytest.approx(score(query, references, fusion, weight), abs=1e-6)


@given(embeddings())
def test_consistency_is_the_mean_cosine_of_different_references(matrix: Matrix) -> None:
    unit = normalise(matrix)
    cosines = (unit.astype(np.float64) @ unit.T.astype(np.float64))[np.triu_indices(len(unit), 1)]
    found = consistencies(np.vstack([unit[:1], unit]), np.array([1, len(unit)]))
    np.testing.assert_allclose(found, [0.0, cosines.mean()], atol=1e-5)


@given(embeddings(), fusions, weights)
def test_whoever_signs_alike_is_held_to_it(matrix: Matrix, fusion: str, weight: float) -> None:
    query, references = matrix[0], matrix[1:]
    assume(len(references) > 1)
    consistency = float(consistencies(normalise(references), np.array([len(references)]))[0])
    lowered = score(query, references, fusion) - score(query, references, fusion, weight)
    assert lowered == pytest.approx(weight * consistency, abs=1e-6)


@given(embeddings(), fusions, weights)
def test_one_reference_says_nothing_of_consistency(matrix: Matrix, fusion: str, weight: float) -> None:
    assert score(matrix[0], matrix[1:2], fusion, weight) == score(matrix[0], matrix[1:2], fusion)


@given(embeddings(), fusions)
def test_a_signature_is_most_like_itself(matrix: Matrix, fusion: str) -> None:
    copies = np.repeat(matrix[:1], 3, axis=0)
    assert score(matrix[0], copies, fusion) == pytest.approx(1, abs=1e-5)
    assert score(-matrix[0], copies, fusion) == pytest.approx(-1, abs=1e-5)


@given(embeddings())
def test_fusions_are_ordered(matrix: Matrix) -> None:
    mean, middle, largest = (score(matrix[0], matrix[1:], fusion) for fusion in ("mean", "mean_max", "max"))
    assert mean - 1e-6 <= middle <= largest + 1e-6
    assert middle == pytest.approx((mean + largest) / 2, abs=1e-6)


@given(embeddings(), fusions, weights, st.data())
def test_many_users_at_once_score_as_one_by_one(
    matrix: Matrix, fusion: str, weight: float, data: st.DataObject
) -> None:
    unit = normalise(matrix)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(unit) - 1))))
    groups = np.split(unit, cuts)
    found = scores(unit[0], unit, np.array([len(group) for group in groups], np.intp), fusion, weight)
    np.testing.assert_allclose(found, [score(unit[0], group, fusion, weight) for group in groups], atol=1e-6)


def test_scores_by_hand() -> None:
    references = np.array([[1, 0], [0, 2]], np.float32)
    query = np.array([3, 0], np.float32)
    assert [score(query, references, fusion) for fusion in ("mean", "max", "mean_max")] == [0.5, 1.0, 0.75]


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


def test_scores_are_plain_floats() -> None:
    found: Any = score(np.ones(2), np.ones((1, 2)), "mean")
    assert type(found) is float
