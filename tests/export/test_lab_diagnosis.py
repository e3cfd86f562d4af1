"""Each kind of fault, made by hand on one tensor, is told from the others and from mere noise."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_export.lab.diagnosis import diagnose
from sigedge_export.lab.expectation import EXPECTATIONS
from sigedge_export.lab.noise import EXACT, sqnr
from sigedge_runtime.manifest import PRECISIONS

Values = NDArray[np.float64]


def smooth(seed: int = 0) -> Values:
    """Images [3, 32, 48, 4] with structure large and small."""
    random = np.random.default_rng(seed)
    coarse = np.kron(random.normal(size=(3, 4, 6, 4)), np.ones((1, 8, 8, 1)))
    fine: Values = coarse + 0.3 * random.normal(size=(3, 32, 48, 4))
    return fine


def test_the_ratio_is_that_of_powers_in_decibels() -> None:
    reference = np.full(100, 10.0)
    assert sqnr(reference, reference + 1) == pytest.approx(20)
    assert sqnr(reference, reference * 0.99) == pytest.approx(40)
    assert sqnr(reference, reference) == EXACT
    assert sqnr(reference, np.full(100, np.nan)) == -EXACT
    assert sqnr(np.zeros(3), np.ones(3)) == -EXACT


@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1))
def test_the_ratio_does_not_depend_on_the_scale(scale: float, noise: float) -> None:
    reference = np.random.default_rng(0).normal(size=50)
    found = reference + noise * np.random.default_rng(1).normal(size=50)
    assert sqnr(scale * reference, scale * found) == pytest.approx(sqnr(reference, found), abs=1e-6)


@given(st.floats(0.001, 1000))
def test_a_factor_is_named(factor: float) -> None:
    assume(abs(factor - 1) > 0.05)
    found = diagnose(smooth(), factor * smooth())
    assert found.kind == "normalisation" and "once scaled by" in found.clause


@pytest.mark.parametrize(
    ("factor", "words"),
    [(255, "scaled by 255: .* is not applied"), (1 / 255, "scaled by 1/255: .* is applied twice"), (3, "another norm")],
)
def test_what_the_factor_means(factor: float, words: str) -> None:
    assert re.search(words, diagnose(smooth(), factor * smooth()).clause)


def test_a_binary_canvas_that_was_scaled_is_not_taken_for_a_clipped_one() -> None:
    canvas = np.where(smooth()[..., 0] > 1, 0.0, 255.0)
    assert diagnose(canvas, canvas / 255).kind == "normalisation"


def test_a_factor_behind_a_bias_and_a_relu() -> None:
    bias = np.array([0.5, -0.2, 1.0, 0.3])
    found = diagnose(np.maximum(smooth() + bias, 0), np.maximum(255 * smooth() + bias, 0))
    assert found.kind == "normalisation" and "scaled by 255" in found.clause


def test_another_mean() -> None:
    found = diagnose(smooth(), smooth() + np.array([1.0, -2.0, 0.5, 3.0]))
    assert found.kind == "normalisation" and "another mean" in found.clause


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (0, 3, 1, 2), (0, 1, 3, 2), (0, 3, 2, 1)])
def test_bytes_read_in_another_order(order: tuple[int, ...]) -> None:
    misread = smooth().transpose(order).reshape(smooth().shape)
    assert diagnose(smooth(), misread).kind == "layout"
    assert diagnose(misread, smooth()).kind == "layout"


def test_a_mirrored_image_and_a_mixed_one() -> None:
    assert "mirroring axis 2" in diagnose(smooth(), smooth()[:, :, ::-1]).clause
    rolled = np.roll(smooth(), 5, axis=2)
    assert diagnose(smooth(), rolled).clause.startswith("it holds the same values in another order")


def test_a_flat_input_made_of_an_image_of_another_layout() -> None:
    image = smooth()
    flat, other = image.reshape(3, -1), image.transpose(0, 3, 1, 2).reshape(3, -1)
    assert diagnose(flat, other, (32, 48, 4)).clause.startswith("it agrees after transposing")
    for unknown in (None, (32, 48, 5)):
        assert diagnose(flat, other, unknown).clause.startswith("it holds the same values in another order")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda values: np.full_like(values, 0.1), "constant"),
        (lambda values: np.clip(values, -0.2, 0.2), "clipped: .* too narrow"),
        (lambda values: np.round(values / 2) * 2, "values only: .* too wide"),
        (lambda values: np.where(values > 2, np.inf, values), "NaN or infinity"),
    ],
)
def test_ranges_that_are_dead_or_worse(spoil: Callable[[Values], Values], words: str) -> None:
    assert re.search(words, diagnose(smooth(), spoil(smooth())).clause)


def test_a_lost_norm() -> None:
    random = np.random.default_rng(0)
    raw = random.normal(size=(5, 8)) * np.array([[1], [2], [3], [4], [5]])
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    assert diagnose(unit, raw).kind == "lost_norm"
    assert diagnose(raw, unit).kind != "lost_norm"


def test_another_interpolation() -> None:
    values = smooth()
    blurred = (values + np.roll(values, 1, axis=1) + np.roll(values, 1, axis=2) + np.roll(values, -1, axis=2)) / 4
    assert diagnose(values, blurred).kind == "resize"


@given(st.integers(0, 200))
def test_unrelated_values_are_not_explained_away(seed: int) -> None:
    shape = (3, 32, 48, 4)
    random = np.random.default_rng(seed)
    assert diagnose(random.normal(size=shape), random.normal(size=shape)).kind == "unknown"
    assert diagnose(random.normal(size=(4, 16)), random.normal(size=(4, 16))).kind == "unknown"


def test_every_precision_has_an_expectation() -> None:
    assert set(EXPECTATIONS) == set(PRECISIONS)
    for expectation in EXPECTATIONS.values():
        assert expectation.least([]) >= expectation.floor_db
        assert expectation.least([0.0]) == expectation.floor_db
    assert EXPECTATIONS["int8"].least([200.0, 200.0]) > EXPECTATIONS["int8"].least([200.0, 28.0])
