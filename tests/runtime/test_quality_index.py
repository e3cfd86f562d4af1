"""The quality index: between 0 and 1, never better for a worse picture, and a sentence for what is worst."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge_runtime.abstention import quality_index, remedy
from sigedge_runtime.preprocessing import harmonise
from sigedge_runtime.quality import Measurements, judge

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
measured = st.builds(
    replace,
    st.just(GOOD),
    ink_contrast=st.integers(0, 255),
    ink_width=st.integers(0, 4000),
    ink_height=st.integers(0, 4000),
    stroke_width=st.floats(0, 30),
    sharpness=st.floats(0, 1),
    paper_unevenness=st.floats(0, 1),
)
# Each figure, the direction in which it gets worse, where a picture is refused, and the code it is refused with.
FIGURES: list[tuple[str, int, float, str | None]] = [
    ("sharpness", -1, 0.38, "too-blurred"),
    ("ink_contrast", -1, 12, "too-faint"),
    ("ink_width", -1, 48, "too-small"),
    ("stroke_width", -1, 2.0, None),
    ("paper_unevenness", 1, 0.15, "not-ink-on-paper"),
]


def changed(measurements: Measurements, **change: Any) -> Measurements:
    return replace(measurements, **change)


@given(measured)
def test_it_lies_between_0_and_1(measurements: Measurements) -> None:
    assert 0 <= quality_index(measurements) <= 1


@pytest.mark.parametrize(("name", "worse"), [(name, worse) for name, worse, _, _ in FIGURES] + [("ink_height", -1)])
@given(measured, st.floats(0, 1))
def test_a_worse_figure_never_makes_it_better(name: str, worse: int, measurements: Measurements, step: float) -> None:
    value = getattr(measurements, name)
    span = 1000 if isinstance(value, int) else 1
    lower = changed(measurements, **{name: type(value)(max(0, value + worse * step * span))})
    assert quality_index(lower) <= quality_index(measurements)


@pytest.mark.parametrize(("name", "worse", "refused", "code"), FIGURES)
def test_every_figure_counts_from_where_it_is_refused(name: str, worse: int, refused: float, code: str | None) -> None:
    step = -worse * (1 if name.startswith("ink") else 0.01)
    small = changed(GOOD, ink_height=1)
    for beyond, expected in ((0, 0.0), (-step, 0.0)):
        assert quality_index(changed(small, **{name: refused + beyond})) == expected
    assert 0 < quality_index(changed(small, **{name: refused + step})) < 0.2
    if code:
        issues = judge(changed(small, **{name: refused - step})).issues
        assert code in {issue.code for issue in issues if issue.fatal}


def test_the_worst_figure_decides() -> None:
    assert quality_index(GOOD) == 1
    blurred, faint = changed(GOOD, sharpness=0.4), changed(GOOD, ink_contrast=28)
    assert quality_index(changed(GOOD, sharpness=0.4, ink_contrast=28)) == quality_index(blurred) < quality_index(faint)


def test_it_falls_as_a_picture_blurs_fades_or_shrinks() -> None:
    page = np.full((300, 600), 235, np.uint8)
    t = np.linspace(0, 1, 300)
    curve = np.stack([60 + 480 * t, 150 + 75 * np.sin(25 * t)], axis=1).round().astype(np.int32)[:, None]
    cv2.polylines(page, [curve], False, 60, 5)

    def index(image: Any) -> float:
        return quality_index(harmonise(image).quality.measurements)

    blurred = [index(cv2.GaussianBlur(page, (0, 0), sigma)) for sigma in (0.5, 2.0, 3.0)]
    faded = [index((235 - (235 - page.astype(int)) * share).astype(np.uint8)) for share in (1.0, 0.14, 0.1)]
    shrunk = [index(cv2.resize(page, None, fx=f, fy=f, interpolation=cv2.INTER_AREA)) for f in (1.0, 0.4, 0.2)]
    for indices in (blurred, faded, shrunk):
        assert indices[0] == 1 and indices == sorted(indices, reverse=True) and indices[2] < indices[1] < 1


def test_nobody_is_asked_to_sign_again_without_a_bound_or_above_it() -> None:
    poor = changed(GOOD, sharpness=0.4)
    assert quality_index(poor) == pytest.approx(1 / 6)
    assert remedy(poor, None) == remedy(poor, quality_index(poor)) == remedy(GOOD, 1.0) == ""
    assert remedy(poor, 0.25) != ""


@pytest.mark.parametrize(("name", "worse", "refused", "code"), FIGURES)
def test_the_person_is_told_what_was_worst(name: str, worse: int, refused: float, code: str | None) -> None:
    poor = changed(GOOD, **{"ink_height": 1, name: refused})
    told = remedy(poor, 0.5)
    assert told.startswith("Sign again, or take the picture again. ") and told.endswith(".")
    said = {issue.code: issue.message for issue in judge(changed(poor, **{name: refused + 2 * worse})).issues}
    assert told.endswith(said[code] if code else "scan at 150 dpi or more, or move the camera closer.")
