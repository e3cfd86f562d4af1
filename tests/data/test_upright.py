"""Signatures laid level: what is turned comes back, and what has no direction is left alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge.data import load_splits, read_grey, read_index, split_records
from sigedge.data.upright import LARGEST_TURN, harmonise_upright, ink_slope, turned
from sigedge.synthesis import Synthesiser
from sigedge_runtime.errors import ImageError
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise

Image = NDArray[np.uint8]


def line(slope: float) -> Image:
    """A line across a canvas that rises to the right by so many degrees."""
    canvas = np.zeros((128, 256), np.uint8)
    x, y = 55 * np.cos(np.deg2rad(slope)), 55 * np.sin(np.deg2rad(slope))
    cv2.line(canvas, (round(128 - x), round(64 + y)), (round(128 + x), round(64 - y)), (255,), 3)
    return canvas


def overlap(first: Image, second: Image) -> float:
    """Intersection over union of ink, widened by two pixels."""
    wide = [cv2.dilate(canvas, np.ones((5, 5), np.uint8)) > 0 for canvas in (first, second)]
    return float((wide[0] & wide[1]).sum() / (wide[0] | wide[1]).sum())


class TestSlope:
    @pytest.mark.parametrize("slope", [-40.0, -12.0, 0.0, 7.0, 33.0])
    def test_of_a_line(self, slope: float) -> None:
        assert ink_slope(line(slope)) == pytest.approx(slope, abs=1.0)

    def test_a_round_or_steep_or_empty_canvas_has_none(self) -> None:
        disc = cv2.circle(np.zeros((128, 256), np.uint8), (128, 64), 40, (255,), -1)
        assert ink_slope(np.asarray(disc, np.uint8)) is None
        assert ink_slope(line(LARGEST_TURN + 8)) is None
        assert ink_slope(np.zeros((128, 256), np.uint8)) is None


class TestTurned:
    @given(st.floats(-180, 180), st.integers(1, 4))
    def test_holds_the_whole_image_on_its_own_paper(self, degrees: float, channels: int) -> None:
        image = np.full((20, 50, channels) if channels > 1 else (20, 50), 200, np.uint8)
        image[8:12, 20:30] = 10
        result = turned(image, degrees)
        assert result.shape[2:] == image.shape[2:]
        assert (result < 60).sum() == pytest.approx((image < 60).sum(), rel=0.4)
        assert np.all(result[0, 0] == 200)

    def test_nothing_at_all_changes_nothing(self) -> None:
        image = np.random.default_rng(0).integers(0, 255, (30, 40), np.uint8)
        assert np.array_equal(turned(image, 0.0), image)

    def test_turns_clockwise(self) -> None:
        assert ink_slope(turned(line(20), 20)) == pytest.approx(0, abs=1.5)


class TestUpright:
    signature = Synthesiser(31).signer(4).genuine(0).image

    def test_a_turned_page_gives_nearly_the_same_canvas(self) -> None:
        straight = harmonise_upright(self.signature).canvas
        for degrees in (-14, 9, 20):
            askew = turned(self.signature, degrees)
            assert overlap(harmonise_upright(askew).canvas, straight) > 0.75
            assert overlap(harmonise(askew).canvas, straight) < overlap(harmonise_upright(askew).canvas, straight)

    def test_lies_level_afterwards(self) -> None:
        slope = ink_slope(harmonise_upright(turned(self.signature, 15)).canvas)
        assert slope is not None and abs(slope) < 3

    def test_keeps_the_spec_and_the_levels(self) -> None:
        spec = PreprocessSpec(canvas_height=64, canvas_width=96)
        canvas = harmonise_upright(self.signature, spec).canvas
        assert canvas.shape == (64, 96) and set(np.unique(canvas)) == {0, 255}

    def test_an_empty_page_is_what_harmonise_says_of_it(self) -> None:
        page = np.full((80, 200), 230, np.uint8)
        result = harmonise_upright(page)
        assert not result.canvas.any() and result.quality == harmonise(page).quality

    def test_refuses_what_harmonise_refuses(self) -> None:
        with pytest.raises(ImageError, match="Expected a uint8 image"):
            harmonise_upright(np.zeros((4, 4), np.float32))  # type: ignore[arg-type]


@pytest.mark.research_data
def test_real_signatures_lie_where_they_lay_before_the_page_was_turned(research_data: Path) -> None:
    records = read_index(research_data / "index.csv", "cedar-half")
    training = split_records(records, "cedar-half", "train", load_splits(research_data / "splits.json"))
    images = [read_grey(record) for record in training[::160]]
    plain, upright = [], []
    for image in images:
        askew = turned(image, 13)
        plain.append(overlap(harmonise(askew).canvas, harmonise(image).canvas))
        upright.append(overlap(harmonise_upright(askew).canvas, harmonise_upright(image).canvas))
    assert len(images) > 8
    assert np.median(upright) > np.median(plain) + 0.1
