"""Distortions of source images: deterministic, blind to labels, and stronger step by step."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge.data.images import pixel_hash, to_grey
from sigedge.evaluation.distortions import DISTORTIONS, Distortion
from sigedge_runtime.preprocessing import harmonise

Image = NDArray[np.uint8]
BY_NAME = {distortion.name: distortion for distortion in DISTORTIONS}
every_step = st.sampled_from([(entry, label) for entry in DISTORTIONS for label in entry.ladder])


def signature(level: int = 60) -> Image:
    """A stroke across light paper."""
    image = np.full((160, 320), 235, np.uint8)
    heights = 80 + 40 * np.sin(np.linspace(0, 9, 60))
    points = np.column_stack([np.linspace(40, 280, 60), heights]).astype(np.int32)
    cv2.polylines(image, [points], False, (level,), 4, cv2.LINE_AA)
    return image


def distorted(name: str, label: str, image: Image | None = None, seed: int = 0) -> Image:
    image = signature() if image is None else image
    return BY_NAME[name].apply(image, label, pixel_hash(image), seed)


@settings(max_examples=120)
@given(
    step=every_step,
    height=st.integers(8, 70),
    width=st.integers(8, 90),
    content=st.sampled_from(["noise", "white", "black", "stroke"]),
    seed=st.integers(0, 3),
)
def test_any_image_stays_an_image(
    step: tuple[Distortion, str], height: int, width: int, content: str, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    if content != "noise":
        image = np.full((height, width), {"white": 255, "black": 0, "stroke": 230}[content], np.uint8)
    if content == "stroke":
        image[height // 2] = 20
    before = image.copy()
    made, again = (step[0].apply(image, step[1], pixel_hash(image), seed) for _ in range(2))
    assert made.dtype == np.uint8 and made.ndim in (2, 3) and min(made.shape[:2]) >= 1
    assert np.array_equal(made, again) and np.array_equal(image, before), "it draws by the seed and keeps its input"
    harmonise(made)


def test_every_ladder_has_the_image_as_it_is_once() -> None:
    image = signature()
    for distortion in DISTORTIONS:
        kept = [label for label, amount in distortion.ladder.items() if amount is None]
        assert len(kept) == 1 and len(distortion.ladder) >= 5
        assert np.array_equal(distortion.apply(image, kept[0], pixel_hash(image)), image)
        assert len({key.strip() for key in distortion.ladder}) == len(distortion.ladder)
    assert len(BY_NAME) == len(DISTORTIONS)


@pytest.mark.parametrize("name", ["rotation", "jpeg", "blur", "paper", "ruled", "photo"])
def test_a_later_step_changes_more(name: str) -> None:
    image = signature()
    changes = []
    for label, amount in BY_NAME[name].ladder.items():
        if amount is not None:
            made = to_grey(distorted(name, label))
            small = made if made.shape == image.shape else cv2.resize(made, image.shape[::-1])
            changes.append(float(np.abs(small.astype(int) - image).mean()))
    assert changes == sorted(changes) and changes[0] > 0


def test_scale_keeps_the_shape() -> None:
    assert distorted("scale", "0.5").shape == (80, 160) and distorted("scale", "1.5").shape == (240, 480)


def test_the_side_is_drawn_by_the_content_and_stays_along_the_ladder() -> None:
    images = [np.full((120, 240), 235, np.uint8) for _ in range(12)]
    for level, image in enumerate(images, start=40):
        image[58:62, 20:220] = level
    sides = {}
    for label in ("4", "10"):
        turned = [distorted("rotation", label, image) for image in images]
        lefts = [made[:, : made.shape[1] // 2] for made in turned]
        sides[label] = [float(np.argwhere(left < 150)[:, 0].mean()) > left.shape[0] / 2 for left in lefts]
    assert sides["4"] == sides["10"] and 0 < sum(sides["4"]) < 12
    other = [distorted("rotation", "4", image, seed=1) for image in images]
    assert any(not np.array_equal(a, distorted("rotation", "4", b)) for a, b in zip(other, images, strict=True))


def test_ink_and_paper_take_their_colours() -> None:
    image = signature()
    red = distorted("ink", "red")
    assert red.shape == (160, 320, 3)
    assert np.abs(red[0, 0].astype(int) - 235).max() <= 1, "the paper stays"
    darkest = red.reshape(-1, 3)[image.argmin()].astype(int)
    assert darkest[2] > darkest[0] + 60 and darkest[2] > darkest[1] + 60
    brown = distorted("paper", "brown")
    assert np.abs(brown[0, 0].astype(int) - (110, 150, 180)).max() <= 1
    assert brown.reshape(-1, 3)[image.argmin()].max() < 80, "the ink is as dark beside its paper as before"


def test_inks_fall_in_contrast() -> None:
    greys = [to_grey(distorted("ink", label)) for label in BY_NAME["ink"].ladder]
    contrasts = [int(grey[0, 0]) - int(grey.min()) for grey in greys]
    assert contrasts[1:] == sorted(contrasts[1:], reverse=True) and len(set(contrasts[1:])) == 5
    assert 5 < contrasts[-1] < 24, "less than the least contrast that preprocessing counts on"


def test_lines_lie_under_the_ink() -> None:
    image = signature()
    lined = distorted("ruled", "0.6")
    rows = np.flatnonzero(lined[:, 0] < 120)
    assert 3 <= len(rows) <= 5 and np.array_equal(lined[image < 80], image[image < 80])
    assert np.array_equal(np.delete(lined, rows, axis=0), np.delete(image, rows, axis=0))


def test_a_photo_loses_no_ink_and_gets_darker_to_one_side() -> None:
    photo = distorted("photo", "0.2")
    corners = [float(photo[y, x]) for y in (0, -1) for x in (0, -1)]
    assert max(corners) > 225 and min(corners) < 130
    flat = BY_NAME["photo"].apply(np.full((90, 120), 200, np.uint8), "0.1", "0" * 64)
    assert 200 * 0.7 - 2 <= flat.min() < flat.max() <= 200
    assert harmonise(photo).quality.measurements.sides_touched == 0
