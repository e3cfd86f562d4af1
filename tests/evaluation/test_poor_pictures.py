"""Trials on distorted pictures with the quality of each; the embedding is known: the ink of the canvas's cells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import CanvasCache, CanvasSet, read_folders
from sigedge.evaluation.abstention import abstention_curve
from sigedge.evaluation.distortions import DISTORTIONS, Distortion
from sigedge.evaluation.poor_pictures import curve_to_dict, score_poor_pictures
from sigedge.evaluation.robustness import Subject
from sigedge_runtime.decision import Calibration, Decision, OperatingPoint
from sigedge_runtime.preprocessing import PreprocessSpec

Image = NDArray[np.uint8]
DECISION = Decision("mean", "balanced", (OperatingPoint("balanced", 1, 0.6, 0.2, 0.2),), (Calibration(1, 10.0, -5.0),))
BLUR = next(ladder for ladder in DISTORTIONS if ladder.name == "blur")


def ink_in_cells(canvases: Image) -> NDArray[np.float32]:
    blocks = canvases.reshape(len(canvases), 8, 16, 16, 16).mean(axis=(2, 4))
    return blocks.reshape(len(canvases), 128).astype(np.float32) + 0.1


SUBJECT = Subject(PreprocessSpec(), DECISION, ink_in_cells)


@pytest.fixture
def canvases(drawn: Path, tmp_path: Path) -> CanvasSet:
    """Four signers with 6 genuine samples and 5 forgeries each: 12 genuine and 20 forged queries with 3 references."""
    return CanvasCache(tmp_path / "cache").canvases(read_folders(drawn)).usable()


def test_each_query_is_a_trial_at_each_step_that_distorts(canvases: CanvasSet, tmp_path: Path) -> None:
    found = score_poor_pictures(SUBJECT, canvases, tmp_path, references=3, ladders=[BLUR])
    steps = sum(amount is not None for amount in BLUR.ladder.values())
    assert found.signers == 4 and len(found.scores) == len(found.quality) == len(found.genuine)
    assert 0 < len(found.scores) <= 32 * steps
    assert np.all((found.quality >= 0) & (found.quality <= 1))


def test_blurred_pictures_are_of_lower_quality(canvases: CanvasSet, tmp_path: Path) -> None:
    def mean_quality(amount: float) -> float:
        ladder = Distortion(f"blur{amount}", "Blur", "pixels", BLUR.distort, {"one": amount})
        return float(score_poor_pictures(SUBJECT, canvases, tmp_path, references=3, ladders=[ladder]).quality.mean())

    assert mean_quality(2.5) < mean_quality(0.3)


def test_pictures_without_a_signature_are_left_out(canvases: CanvasSet, tmp_path: Path) -> None:
    calls = iter(range(1000))

    def every_other(image: Image, rng: np.random.Generator, amount: int) -> Image:
        return image if next(calls) % 2 else np.full_like(image, 230)

    ladder = Distortion("blank", "Blank", "times", every_other, {"none": None, "half": 1})
    found = score_poor_pictures(SUBJECT, canvases, tmp_path, references=3, ladders=[ladder])
    assert len(found.scores) == 16


def test_labels_follow_the_queries(canvases: CanvasSet, tmp_path: Path) -> None:
    ladder = Distortion("kept", "Kept", "times", lambda image, rng, amount: image, {"one": 1})
    found = score_poor_pictures(SUBJECT, canvases, tmp_path, references=3, ladders=[ladder])
    assert (found.genuine.sum(), (~found.genuine).sum()) == (12, 20)
    assert found.scores[found.genuine].mean() > found.scores[~found.genuine].mean()


def test_a_curve_is_plain_values_of_equal_length() -> None:
    rng = np.random.default_rng(0)
    curve = abstention_curve(rng.random(40), np.arange(40), rng.random(40), np.arange(40) % 2 == 0, 0.5, repeats=5)
    stored = json.loads(json.dumps(curve_to_dict(curve)))
    points = len(stored["bounds"])
    assert len(stored["rejected"]) == len(stored["worst_first"]["eer"]) == len(stored["at_random"]["far"]) == points
