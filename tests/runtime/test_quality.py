"""Quality: ugly images are refused for the right reason, good ones are not."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_runtime.preprocessing import harmonise
from sigedge_runtime.quality import Measurements, Quality, judge

Image = NDArray[np.uint8]
GOOD = Measurements(
    ink_fraction=0.04,
    ink_contrast=90,
    ink_width=400,
    ink_height=120,
    stroke_width=4.0,
    stroke_length=1500.0,
    sharpness=0.7,
    paper_unevenness=0.01,
    sides_touched=0,
)


def wave(*, height: int = 300, width: int = 600, ink: int = 60, margin: int = 60, thickness: int = 5) -> Image:
    image = np.full((height, width), 235, np.uint8)
    t = np.linspace(0, 1, 300)
    x = margin + (width - 2 * margin) * t
    y = height / 2 + height / 4 * np.sin(25 * t)
    points = np.stack([x, y], axis=1).round().astype(np.int32)[:, None]
    cv2.polylines(image, [points], False, ink, thickness)
    return image


def fatal_codes(image: Image) -> set[str]:
    return {issue.code for issue in harmonise(image).quality.issues if issue.fatal}


def codes(image: Image) -> set[str]:
    return {issue.code for issue in harmonise(image).quality.issues}


def test_a_good_scan_has_no_issue() -> None:
    quality = harmonise(wave()).quality
    assert quality.issues == ()
    assert quality.usable
    assert quality.reasons == ""


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_page_has_no_ink(level: int) -> None:
    result = harmonise(np.full((200, 300), level, np.uint8))
    assert fatal_codes(np.full((200, 300), level, np.uint8)) == {"no-ink"}
    assert not result.canvas.any()


def test_a_noisy_blank_page_is_not_usable() -> None:
    for deviation in (3, 6, 15):
        page = np.clip(np.random.default_rng(0).normal(220, deviation, (400, 600)), 0, 255).astype(np.uint8)
        assert fatal_codes(page), f"noise of {deviation} grey levels"


def test_a_single_pixel_has_no_ink() -> None:
    assert fatal_codes(np.zeros((1, 1), np.uint8)) == {"no-ink"}


def test_a_picture_of_something_else_is_not_ink_on_paper() -> None:
    rng = np.random.default_rng(3)
    picture = np.zeros((480, 640), np.float32)
    for octave in range(1, 8):
        coarse = rng.normal(size=(2**octave, 2**octave)).astype(np.float32)
        picture += cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC) / 1.6**octave
    picture = (picture - picture.min()) / np.ptp(picture) * 255
    assert "not-ink-on-paper" in fatal_codes(picture.astype(np.uint8))


def test_blur_warns_and_then_refuses() -> None:
    assert "too-blurred" not in codes(cv2.GaussianBlur(wave(), (0, 0), 0.7))
    assert "too-blurred" in fatal_codes(cv2.GaussianBlur(wave(), (0, 0), 6))


def test_a_tiny_signature_is_too_small() -> None:
    image = np.full((200, 200), 235, np.uint8)
    image[80:100, 80:110] = wave(height=20, width=30, margin=2, thickness=1)
    assert "too-small" in fatal_codes(image)


def test_a_dot_is_too_little_ink() -> None:
    image = np.full((200, 300), 235, np.uint8)
    cv2.line(image, (100, 100), (130, 100), 40, 4)
    assert "too-little-ink" in fatal_codes(image)


def test_strokes_into_the_border_warn_only() -> None:
    image = wave(margin=-20)
    assert "cropped-by-border" in codes(image)
    assert "cropped-by-border" not in fatal_codes(image)


def test_a_page_of_text_is_not_one_signature() -> None:
    page = np.full((1400, 1000), 255, np.uint8)
    for row in range(60, 1360, 34):
        cv2.putText(
            page,
            "the quick brown fox jumps over the lazy dog",
            (40, row),
            cv2.FONT_HERSHEY_SIMPLEX,
            1.1,
            0,
            2,
        )
    assert "not-one-signature" in fatal_codes(page)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"paper_unevenness": 0.2}, "not-ink-on-paper"),
        ({"ink_fraction": 0.4}, "not-ink-on-paper"),
        ({"stroke_length": 6000.0}, "not-one-signature"),
        ({"ink_width": 40, "ink_height": 30}, "too-small"),
        ({"stroke_length": 30.0}, "too-little-ink"),
        ({"sharpness": 0.2}, "too-blurred"),
        ({"ink_contrast": 8}, "too-faint"),
    ],
)
def test_every_rule_refuses(change: dict[str, float], code: str) -> None:
    quality = judge(replace(GOOD, **change))  # type: ignore[arg-type]
    assert code in {issue.code for issue in quality.issues if issue.fatal}
    assert not quality.usable


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ink_width": 80, "ink_height": 60, "stroke_length": 500.0}, "too-small"),
        ({"stroke_length": 80.0}, "too-little-ink"),
        ({"sharpness": 0.4}, "too-blurred"),
        ({"ink_contrast": 20}, "too-faint"),
        ({"sides_touched": 1}, "cropped-by-border"),
    ],
)
def test_milder_cases_only_warn(change: dict[str, float], code: str) -> None:
    quality = judge(replace(GOOD, **change))  # type: ignore[arg-type]
    assert code in {issue.code for issue in quality.issues}
    assert quality.usable


def test_fatal_issues_come_first_and_each_code_once() -> None:
    quality = judge(replace(GOOD, sides_touched=2, sharpness=0.1, ink_fraction=0.5, paper_unevenness=0.3))
    assert [issue.fatal for issue in quality.issues] == [True, True, False]
    assert len({issue.code for issue in quality.issues}) == len(quality.issues)


def test_reasons_say_what_to_do() -> None:
    for issue in judge(replace(GOOD, sharpness=0.1, sides_touched=1, ink_contrast=5)).issues:
        assert issue.message[0].isupper()
        assert ";" in issue.message, "what is wrong; what to do about it"
        assert issue.message.endswith(".")


def test_measurements_are_in_source_pixels() -> None:
    small = harmonise(wave(height=600, width=1000)).quality.measurements
    large = harmonise(cv2.resize(wave(height=600, width=1000), (3000, 1800))).quality.measurements
    assert large.ink_width == pytest.approx(3 * small.ink_width, rel=0.03)
    assert large.stroke_length == pytest.approx(3 * small.stroke_length, rel=0.1)


def test_serialises_to_json() -> None:
    quality = harmonise(wave(margin=-20)).quality
    assert isinstance(quality, Quality)
    restored = json.loads(json.dumps(quality.to_dict()))
    assert restored["usable"] is True
    assert restored["issues"][0]["code"] == "cropped-by-border"
