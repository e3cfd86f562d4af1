"""Error rates on distorted queries, with an embedding that is known: the ink in each of 128 cells of the canvas."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import CanvasCache, CanvasSet, read_folders
from sigedge.evaluation.distortions import DISTORTIONS, Distortion
from sigedge.evaluation.metrics import equal_error_rate
from sigedge.evaluation.robustness import (
    QUERIES,
    Subject,
    choose_signers,
    distorted_entries,
    draw_queries,
    measure_robustness,
)
from sigedge.evaluation.trials import GENUINE, SKILLED, score_trials
from sigedge_runtime.decision import Calibration, Decision, OperatingPoint, ScoreRule
from sigedge_runtime.errors import DataError
from sigedge_runtime.preprocessing import PreprocessSpec

Image = NDArray[np.uint8]
DECISION = Decision(
    "mean",
    "balanced",
    (OperatingPoint("balanced", 1, 0.6, 0.2, 0.2), OperatingPoint("balanced", 3, 0.7, 0.2, 0.2)),
    (Calibration(1, 10.0, -5.0),),
)


def ink_in_cells(canvases: Image) -> NDArray[np.float32]:
    blocks = canvases.reshape(len(canvases), 8, 16, 16, 16).mean(axis=(2, 4))
    return blocks.reshape(len(canvases), 128).astype(np.float32) + 0.1


SUBJECT = Subject(PreprocessSpec(), DECISION, ink_in_cells)


@dataclass
class Recorded:
    """A distortion that remembers what it was given, and is interrupted at a call."""

    make: str = "blank"
    stop_at: int = -1
    seen: list[str] = field(default_factory=list)

    def __call__(self, image: Image, rng: np.random.Generator, amount: int) -> Image:
        if len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(str(image.sum()))
        odd = len(self.seen) % amount == 0
        if self.make == "blank":
            return np.full_like(image, 230) if odd else image
        return np.ascontiguousarray(image[:, rng.permutation(image.shape[1])])

    def ladder(self, **amounts: int | None) -> Distortion:
        return Distortion(self.make, "Recorded", "times", self, amounts)


@pytest.fixture
def canvases(drawn: Path, tmp_path: Path) -> CanvasSet:
    """Four signers with 6 genuine samples and 5 forgeries each."""
    return CanvasCache(tmp_path / "cache").canvases(read_folders(drawn)).usable()


def test_the_image_as_it_is_gives_the_protocols_figures(canvases: CanvasSet, tmp_path: Path) -> None:
    found = measure_robustness(
        SUBJECT, canvases, tmp_path / "cache", references=3, bootstrap=30, ladders=[Recorded().ladder(none=None)]
    )
    chosen = choose_signers(canvases, 3, 20)
    trials = score_trials(draw_queries(chosen.records, 3, 0), ink_in_cells(chosen.canvases), ScoreRule("mean"))
    genuine, skilled = trials.of(GENUINE), trials.of(SKILLED)
    (level,) = found["distortions"]["blank"]["levels"]
    assert (found["signers"], found["queries"]) == (4, {"genuine": 12, "skilled": 20})
    assert (found["threshold"], found["operating_point"], found["references"]) == (0.7, "balanced", 3)
    assert level["eer_skilled"] == equal_error_rate(genuine, skilled)
    assert level["far_skilled"] == np.mean(skilled >= 0.7) and level["frr"] == np.mean(genuine < 0.7)
    assert level["not_acquired"] == 0 and level["distorted"] is False
    low, high = level["eer_skilled_ci95"]
    assert 0 <= low <= high <= 1


def test_only_queries_are_distorted_and_only_once(canvases: CanvasSet, tmp_path: Path) -> None:
    cache, recorded = tmp_path / "cache", Recorded(make="shuffled")
    ladder = recorded.ladder(none=None, all=1)
    first = measure_robustness(SUBJECT, canvases, cache, references=3, bootstrap=0, ladders=[ladder])
    chosen = choose_signers(canvases, 3, 20)
    drawn = draw_queries(chosen.records, 3, 0)
    given = [
        cv2.imread(str(chosen.records[row].path), 0) for draw in drawn.draws for row in draw.genuine + draw.skilled
    ]
    assert sorted(recorded.seen) == sorted(str(image.sum()) for image in given)
    again = measure_robustness(SUBJECT, canvases, cache, references=3, bootstrap=0, ladders=[ladder])
    assert again == first and len(recorded.seen) == 32, "the second run distorts nothing"
    kept, shuffled = first["distortions"]["shuffled"]["levels"]
    assert shuffled["eer_skilled"] > kept["eer_skilled"] and shuffled["frr"] > kept["frr"]
    assert shuffled["eer_skilled_ci95"] is None and shuffled["distorted"] is True


def test_what_is_not_acquired_is_counted_and_not_scored(canvases: CanvasSet, tmp_path: Path) -> None:
    ladder = Recorded().ladder(half=2, all=1)
    found = measure_robustness(SUBJECT, canvases, tmp_path, references=3, bootstrap=10, ladders=[ladder])
    half, everything = found["distortions"]["blank"]["levels"]
    assert half["not_acquired"] == 0.5 and half["eer_skilled"] is not None
    assert everything["not_acquired"] == 1.0
    assert all(everything[name] is None for name in ("eer_skilled", "eer_skilled_ci95", "far_skilled", "frr"))


def test_an_interruption_is_gone_on_from(canvases: CanvasSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sigedge.evaluation.robustness.CHUNK", 5)
    rows = list(range(12))
    stopped, resumed = Recorded(stop_at=9), Recorded()
    for recorded, expected in ((stopped, 9), (resumed, 7)):
        ladder = recorded.ladder(none=3)
        try:
            distorted_entries(canvases, rows, ladder, "none", SUBJECT.spec, tmp_path, 0)
        except KeyboardInterrupt:
            assert recorded is stopped
        assert len(recorded.seen) == expected


def test_labels_change_no_distorted_canvas(canvases: CanvasSet, tmp_path: Path) -> None:
    photo = next(distortion for distortion in DISTORTIONS if distortion.name == "photo")
    flipped = tuple(replace(r, label="forged" if r.genuine else "genuine") for r in canvases.records)
    swapped = replace(canvases, records=flipped)
    rows = [0, 7, 15]
    one, other = (
        distorted_entries(given, rows, photo, "0.1", SUBJECT.spec, tmp_path / name, 0)
        for name, given in (("one", canvases), ("other", swapped))
    )
    assert all(np.array_equal(a.canvas, b.canvas) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[0].canvas, canvases.canvases[0])


def test_signers_are_chosen_by_their_hash_and_queries_are_few(canvases: CanvasSet) -> None:
    two = {record.signer for record in choose_signers(canvases, 3, 2).records}
    three = {record.signer for record in choose_signers(canvases, 3, 3).records}
    assert len(two) == 2 and two < three
    without = canvases.select([record.genuine or record.signer not in two for record in canvases.records])
    assert {record.signer for record in choose_signers(without, 3, 4).records} == {"0", "1", "2", "3"} - two
    draws = draw_queries(canvases.records, 1, 0).draws
    assert len(draws) == 4 and all(len(draw.references) == 1 and not draw.random for draw in draws)
    assert all(0 < len(draw.genuine) <= QUERIES and len(draw.skilled) == 5 for draw in draws)


def test_too_few_samples(canvases: CanvasSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"more than 6 genuine signatures and a forgery; .*--robustness"):
        measure_robustness(SUBJECT, canvases, tmp_path, references=6)
