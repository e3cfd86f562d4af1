"""Harmonisation: what it keeps, what it removes, and that its bytes never change."""

from __future__ import annotations

import hashlib
import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sigedge_runtime.errors import BundleError, ImageError
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise, reduced
from sigedge_runtime.thinning import thin

Image = NDArray[np.uint8]


def draw(
    *,
    size: tuple[int, int] = (300, 600),
    thickness: int = 5,
    ink: int = 60,
    paper: int = 235,
    origin: tuple[int, int] = (80, 60),
    scale: float = 1.0,
) -> Image:
    """A made-up signature: a wave, a loop and an underline on even paper."""
    image = np.full(size, paper, np.uint8)
    t = np.linspace(0, 1, 200)
    wave = np.stack([360 * t, 90 + 50 * np.sin(14 * t) * (1 - 0.5 * t)], axis=1)
    loop = np.stack([380 + 40 * np.cos(7 * t), 80 + 60 * np.sin(7 * t)], axis=1)
    line = np.array([[30.0, 175.0], [420.0, 160.0]])
    for stroke in (wave, loop, line):
        points = np.round(stroke * scale + np.array(origin)).astype(np.int32)
        cv2.polylines(image, [points[:, None]], False, ink, thickness)
    return image


def overlap(a: Image, b: Image) -> float:
    """Share of the ink of each canvas that lies within two pixels of the other's, the smaller of the two."""
    near = np.ones((5, 5), np.uint8)
    return float(min((cv2.dilate(b, near)[a > 0] > 0).mean(), (cv2.dilate(a, near)[b > 0] > 0).mean()))


def canvas(image: Image) -> Image:
    return harmonise(image).canvas


class TestCanvas:
    @given(
        arrays(np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 90))),
    )
    @settings(max_examples=60, deadline=None)
    def test_any_grey_image_gives_a_two_level_canvas(self, image: Image) -> None:
        result = harmonise(image)
        assert result.canvas.shape == (128, 256)
        assert result.canvas.dtype == np.uint8
        assert set(np.unique(result.canvas)) <= {0, 255}

    @given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([3, 4]), st.integers(0, 2**32 - 1))
    @settings(max_examples=30, deadline=None)
    def test_any_colour_image_gives_a_two_level_canvas(self, height: int, width: int, channels: int, seed: int) -> None:
        image = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
        assert set(np.unique(harmonise(image).canvas)) <= {0, 255}

    def test_bytes_are_those_of_every_other_device(self) -> None:
        # Frozen: a new digest means a new `PreprocessSpec.version`, new templates and all results made again.
        assert hashlib.sha256(canvas(draw()).tobytes()).hexdigest() == GOLDEN

    def test_does_not_change_its_input(self) -> None:
        image = draw()
        before = image.copy()
        harmonise(image)
        assert np.array_equal(image, before)

    def test_a_view_with_strides_gives_the_same_canvas(self) -> None:
        image = draw()
        wide = np.repeat(image, 2, axis=1)
        assert np.array_equal(canvas(wide[:, ::2]), canvas(image))

    def test_keeps_the_aspect(self) -> None:
        flat = draw()
        rows, columns = np.nonzero(canvas(flat))
        ratio = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
        y, x = np.nonzero(flat < 100)
        assert ratio == pytest.approx((np.ptp(x) + 1) / (np.ptp(y) + 1), rel=0.06)

    def test_fills_the_canvas_up_to_the_margin(self) -> None:
        _, columns = np.nonzero(canvas(draw()))
        margin = PreprocessSpec().margin
        assert columns.min() in range(margin - 2, margin + 3)
        assert columns.max() in range(256 - margin - 3, 256 - margin + 2)


class TestWhatIsRemoved:
    @pytest.mark.parametrize(
        "change", [dict(paper=200), dict(paper=255, ink=0), dict(ink=140), dict(ink=100, paper=180)]
    )
    def test_levels_of_paper_and_ink(self, change: dict[str, int]) -> None:
        assert overlap(canvas(draw(**change)), canvas(draw())) > 0.99  # type: ignore[arg-type]

    @pytest.mark.parametrize("thickness", [3, 4, 7, 9])
    def test_stroke_width(self, thickness: int) -> None:
        thin_pen, other_pen = canvas(draw(thickness=5)), canvas(draw(thickness=thickness))
        assert overlap(thin_pen, other_pen) > 0.95
        assert other_pen.mean() == pytest.approx(thin_pen.mean(), rel=0.08)

    @pytest.mark.parametrize("scale", [0.6, 1.3])
    def test_resolution(self, scale: float) -> None:
        other = draw(scale=scale, size=(420, 800), thickness=round(5 * scale))
        assert overlap(canvas(other), canvas(draw())) > 0.9

    def test_place_on_the_paper(self) -> None:
        assert overlap(canvas(draw(origin=(20, 20))), canvas(draw(origin=(140, 100)))) > 0.98

    def test_uneven_light(self) -> None:
        shade = np.linspace(0.45, 1.0, 600)[None, :]
        assert overlap(canvas((draw() * shade).astype(np.uint8)), canvas(draw())) > 0.97

    def test_specks(self) -> None:
        image = draw()
        rng = np.random.default_rng(1)
        for x, y in rng.integers(2, 298, (40, 2)):
            image[y, x] = 90
        assert overlap(canvas(image), canvas(draw())) > 0.97

    def test_more_specks_than_a_byte_counts(self) -> None:
        image = draw(size=(400, 700))
        rng = np.random.default_rng(1)
        for x, y in rng.integers(2, 398, (900, 2)):
            image[y, x] = 40
        assert overlap(canvas(image), canvas(draw(size=(400, 700)))) > 0.95

    def test_dark_scanner_edge(self) -> None:
        image = draw()
        image[:, :14] = 20
        assert overlap(canvas(image), canvas(draw())) > 0.97

    def test_noise_of_the_sensor(self) -> None:
        noise = np.random.default_rng(0).normal(0, 5, (300, 600))
        noisy = np.clip(draw() + noise, 0, 255).astype(np.uint8)
        assert overlap(canvas(noisy), canvas(draw())) > 0.95


class TestInput:
    def test_colour_and_grey_agree(self) -> None:
        grey = draw()
        assert np.array_equal(canvas(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)), canvas(grey))

    def test_transparent_paper_is_white(self) -> None:
        grey = draw(paper=255, ink=30)
        see_through = np.zeros((*grey.shape, 4), np.uint8)
        see_through[:, :, :3] = grey[:, :, None]
        see_through[:, :, 3] = np.where(grey < 128, 255, 0)
        assert np.array_equal(canvas(see_through), canvas(grey))

    @pytest.mark.parametrize(
        "image",
        [
            np.zeros((4, 4), np.float32),
            np.zeros((4, 4, 2), np.uint8),
            np.zeros((0, 4), np.uint8),
            np.zeros((1, 2, 3, 4), np.uint8),
        ],
    )
    def test_other_arrays_are_refused(self, image: Image) -> None:
        with pytest.raises(ImageError, match="Expected"):
            harmonise(image)


class TestReduction:
    @given(arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60))), st.integers(1, 20))
    @settings(max_examples=200, deadline=None)
    def test_is_opencv_s_of_the_image_with_repeated_ends(self, image: Image, factor: int) -> None:
        rows, columns = -(-image.shape[0] // factor), -(-image.shape[1] // factor)
        beyond = ((0, rows * factor - image.shape[0]), (0, columns * factor - image.shape[1]))
        expected = cv2.resize(np.pad(image, beyond, "edge"), (columns, rows), interpolation=cv2.INTER_AREA)
        assert np.array_equal(reduced(image, factor), expected)

    @pytest.mark.parametrize("factor", range(3, 17))
    def test_every_sum_is_rounded_as_opencv_rounds_it(self, factor: int) -> None:
        squares = np.full((255 * factor**2 + 1, factor**2), 255, np.uint8)
        for total, square in enumerate(squares):  # each sum that a square can have, with as few dark pixels as it takes
            square[-(-total // 255) :] = 0
            if total % 255:
                square[total // 255] = total % 255
        image = squares.reshape(-1, factor)
        expected = cv2.resize(image, (1, len(squares)), interpolation=cv2.INTER_AREA)
        assert np.array_equal(reduced(image, factor), expected)


def thinned_by_the_book(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Zhang and Suen (1984), section 2, pixel by pixel; P2 to P9 run clockwise from the north."""
    clockwise = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    ink = np.pad(mask, 1)
    while True:
        before = ink.copy()
        for first in (True, False):
            around = {
                (int(y), int(x)): [bool(ink[y + dy, x + dx]) for dy, dx in clockwise] for y, x in np.argwhere(ink)
            }
            for at, p in around.items():
                rises = sum(not p[i - 1] and p[i] for i in range(8))
                p2, _, p4, _, p6, _, p8, _ = p
                spared = (p2 and p4 and p6) or (p4 and p6 and p8) if first else (p2 and p4 and p8) or (p2 and p6 and p8)
                if 2 <= sum(p) <= 6 and rises == 1 and not spared:
                    ink[at] = False
        if np.array_equal(ink, before):
            return ink[1:-1, 1:-1]


class TestThinning:
    @given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))))
    @settings(max_examples=150, deadline=None)
    def test_is_that_of_the_paper(self, mask: NDArray[np.bool_]) -> None:
        assert np.array_equal(thin(mask.astype(np.uint8) * np.uint8(255)) > 0, thinned_by_the_book(mask))

    @given(arrays(np.bool_, (24, 30)))
    @settings(max_examples=60, deadline=None)
    def test_is_a_thin_part_of_the_mask(self, mask: NDArray[np.bool_]) -> None:
        image = mask.astype(np.uint8) * np.uint8(255)
        skeleton = thin(image)
        assert not (skeleton[image == 0]).any()
        assert np.array_equal(thin(skeleton), skeleton)

    def test_a_bar_becomes_a_line(self) -> None:
        bar = np.zeros((30, 60), np.uint8)
        bar[10:19, 5:55] = 255
        skeleton = thin(bar)
        assert skeleton.sum(axis=0).max() == 255
        assert np.count_nonzero(skeleton) > 35

    def test_a_ring_stays_one_ring(self) -> None:
        ring = np.zeros((60, 60), np.uint8)
        cv2.circle(ring, (30, 30), 20, 255, 7)
        skeleton = thin(ring)
        parts, _ = cv2.connectedComponents(skeleton, connectivity=8)
        holes, _ = cv2.connectedComponents(cv2.bitwise_not(skeleton), connectivity=4)
        assert (parts - 1, holes - 1) == (1, 2)


class TestSpec:
    def test_round_trip(self) -> None:
        spec = PreprocessSpec(margin=6)
        assert PreprocessSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec

    def test_digest_follows_every_value(self) -> None:
        digests = {PreprocessSpec(**{name: value + 2}).digest() for name, value in PreprocessSpec().to_dict().items()}
        assert len(digests | {PreprocessSpec().digest()}) == len(PreprocessSpec().to_dict()) + 1

    @pytest.mark.parametrize("change", [{"margin": "4"}, {"unknown": 1}, {"margin": True}, {"margin": 4.0}])
    def test_strange_entries_are_refused(self, change: dict[str, object]) -> None:
        with pytest.raises(BundleError, match="exactly the integers"):
            PreprocessSpec.from_dict(PreprocessSpec().to_dict() | change)

    @pytest.mark.parametrize("change", [{"canvas_height": -5}, {"coverage": 256}, {"stroke_width": 2}, {"margin": 64}])
    def test_impossible_values_are_refused(self, change: dict[str, int]) -> None:
        with pytest.raises(BundleError, match="export the bundle again"):
            PreprocessSpec.from_dict(PreprocessSpec().to_dict() | change)

    def test_missing_entries_are_refused(self) -> None:
        values = PreprocessSpec().to_dict()
        del values["margin"]
        with pytest.raises(BundleError):
            PreprocessSpec.from_dict(values)

    def test_another_version_is_refused_with_the_remedy(self) -> None:
        with pytest.raises(BundleError, match=r"version 1.*install .*export"):
            PreprocessSpec.from_dict(PreprocessSpec().to_dict() | {"version": 1})


GOLDEN = "c83345bb87479fb8fd7f2becf842477702fd1c77efeb0502622f5fa4bf5bcbbf"
