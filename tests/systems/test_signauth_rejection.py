"""Rejection scores and thresholds: what must hold for any logits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sigedge.systems.signauth.rejection import (
    NOBODY_KNOWN,
    SCORES,
    class_distance,
    decide,
    energy,
    probabilities,
    threshold_accepting,
)

logits = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.integers(2, 5)), elements=st.floats(-80, 80, width=32)
)


@given(logits)
def test_probabilities_beside_nobody_sum_to_what_the_energy_says(values: np.ndarray) -> None:
    known = probabilities(values, rejects=True).sum(axis=1)
    assert np.allclose(known, 1 / (1 + np.exp(-energy(values))), atol=1e-9)
    assert np.allclose(probabilities(values, rejects=False).sum(axis=1), 1)


@given(logits, st.integers(0, 4), st.floats(0.125, 20))
def test_a_higher_logit_never_looks_less_known(values: np.ndarray, place: int, more: float) -> None:
    raised = values.astype(np.float64)
    raised[:, place % values.shape[1]] += more
    for name in ("max logit", "energy"):
        assert (SCORES[name](raised) >= SCORES[name](values) - 1e-9).all()


@given(arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-5, 5)), st.floats(0.05, 1))
def test_a_threshold_accepts_at_least_its_share(scores: np.ndarray, share: float) -> None:
    threshold = threshold_accepting(scores, share)
    assert (scores >= threshold).mean() >= share - 1e-12
    assert threshold in scores


def test_decides_for_the_class_or_for_nobody() -> None:
    values = np.array([[5.0, 0.0], [0.0, 5.0], [-4.0, -4.0]], np.float32)
    assert decide(values, 1.0).tolist() == [0, 1, NOBODY_KNOWN]
    assert decide(values, None).tolist() == [0, 1, 0]


def test_the_energy_of_two_equal_logits_is_known() -> None:
    assert energy(np.array([[1.0, 1.0]]))[0] == pytest.approx(1 + np.log(2))


def test_distance_is_to_the_nearest_mean_in_units_of_the_spread() -> None:
    means, spread = np.array([[0.0, 0.0, 3.0], [10.0, 0.0, 3.0]]), np.array([2.0, 1.0, 0.0])
    # The third feature never varies within a class and says nothing.
    found = class_distance(np.array([[8.0, 0.0, 99.0], [0.0, 0.0, 3.0]]), means, spread)
    assert found.tolist() == pytest.approx([-np.sqrt(0.5), 0.0])
