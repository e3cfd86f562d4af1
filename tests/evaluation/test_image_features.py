from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from sigedge.evaluation.image_features import ink_mask, level_features, texture_features

IMAGES = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=8, max_side=40))


def page(background: int = 230, ink: int = 60, width: int = 3) -> NDArray[np.uint8]:
    image = np.full((80, 200), background, np.uint8)
    points = np.array([[20, 60], [60, 20], [100, 60], [140, 20], [180, 60]], np.int32)
    cv2.polylines(image, [points], False, (ink,), width)
    return image


def test_ink_is_found_in_either_polarity() -> None:
    dark, bright = page(230, 60), page(0, 255)
    assert np.array_equal(ink_mask(dark), ink_mask(bright))
    assert set(np.unique(ink_mask(dark))) == {0, 255}
    assert not ink_mask(np.full((20, 20), 200, np.uint8)).any()


def test_levels_are_those_of_background_and_ink() -> None:
    features = level_features(page(230, 60))
    background, ink = features[:9], features[9:]
    assert background.tolist() == [230, 0, *[230] * 7]
    assert ink.tolist() == [60, 0, *[60] * 7]


def test_level_percentiles_and_moments() -> None:
    rng = np.random.default_rng(0)
    image = np.where(page(1, 0) > 0, rng.integers(200, 251, (80, 200)), 20).astype(np.uint8)
    paper = image[ink_mask(image) == 0]
    found = level_features(image)[:9]
    assert found[:2] == pytest.approx([paper.mean(), paper.std()])
    assert found[2:] == pytest.approx(np.percentile(paper, (1, 10, 25, 50, 75, 90, 99)), abs=1)


def test_canvases_of_two_levels_have_constant_levels() -> None:
    rows = [level_features(page(0, 255, width)) for width in (1, 3, 7)]
    assert np.array_equal(rows[0], rows[1]) and np.array_equal(rows[1], rows[2])


def test_texture_tells_width_and_shape_but_not_levels() -> None:
    thin, thick = texture_features(page(width=1)), texture_features(page(width=7))
    assert thin[4] < 3 < 5 < thick[4], "mean stroke width"
    assert np.allclose(texture_features(page(230, 60)), texture_features(page(200, 100)))
    ring = np.full((80, 200), 230, np.uint8)
    cv2.circle(ring, (100, 40), 30, (60,), 3)
    assert texture_features(ring)[8] == 0 < texture_features(page())[8], "a ring has no ends"


def test_patterns_are_shares() -> None:
    histograms = texture_features(page())[16:].reshape(2, 59)
    assert histograms.sum(axis=1) == pytest.approx([1, 1])


@given(IMAGES)
def test_any_image_gives_finite_features_of_fixed_length(image: NDArray[np.uint8]) -> None:
    levels, texture = level_features(image), texture_features(image)
    assert levels.shape == (18,) and texture.shape == (16 + 2 * 59,)
    assert np.isfinite(levels).all() and np.isfinite(texture).all()


@given(st.integers(0, 255))
def test_an_image_of_one_level_has_no_texture(level: int) -> None:
    image = np.full((16, 16), level, np.uint8)
    assert not texture_features(image).any()
    assert level_features(image)[0] == level
