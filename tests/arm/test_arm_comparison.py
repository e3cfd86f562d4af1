"""Every difference that matters is found, and none that does not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sigedge.arm.comparison import FLOAT_TOLERANCE, compare, failures
from sigedge.arm.job import Picture
from sigedge.arm.probe import PICTURE_FACTS, Observation

PICTURES = [Picture("a.png", "synthetic", "one"), Picture("b.png", "odd"), Picture("c.png", "odd")]
EXACT, FLOAT, OTHER = "edgesig/int8", "edgesig/float32", "edgesig/onnx8"


def artifact(format: str, precision: str) -> dict:
    selftest = {"passed": True, "failures": []}
    facts = {"format": format, "precision": precision, "engine": "litert", "sha256": "ab", "tolerance": 0.05}
    return {**facts, "selftest": selftest}


@pytest.fixture
def here() -> Observation:
    pictures = [{fact: f"{fact} of {picture.path}" for fact in PICTURE_FACTS} for picture in PICTURES]
    artifacts = {EXACT: artifact("tflite", "int8"), FLOAT: artifact("onnx", "float32"), OTHER: artifact("onnx", "int8")}
    arrays = {}
    for key in artifacts:
        arrays[f"outputs {key}"] = np.array([[1, -2, 0.5], [0.25, 4, 1]], np.float32)
        arrays[f"scores {key}"] = np.array([0.5, 0.75, -0.25])
        arrays[f"accepted {key}"] = np.array([True, True, False])
    return Observation({"pictures": pictures, "artifacts": artifacts}, arrays)


@pytest.fixture
def there(here: Observation) -> Observation:
    return copy.deepcopy(here)


def found(here: Observation, there: Observation) -> list[str]:
    return failures(compare(PICTURES, here, there))


def test_equal_observations_are_identical_in_everything(here: Observation, there: Observation) -> None:
    figures = compare(PICTURES, here, there)
    assert failures(figures) == []
    assert figures["pictures"]["odd"] == {"pictures": 2, **{f"identical_{fact}": 2 for fact in PICTURE_FACTS}}
    for row in figures["artifacts"]:
        assert (row["identical_outputs"], row["identical_scores"], row["flipped"]) == (2, 3, 0)
        assert row["max_output_difference"] == row["max_score_difference"] == 0


@pytest.mark.parametrize("fact", ["pixels", "canvases", "issues", "measurements"])
def test_one_picture_that_differs_is_a_failure(here: Observation, there: Observation, fact: str) -> None:
    there.facts["pictures"][2][fact] = "other"
    assert found(here, there) == [f"1 of 2 odd pictures differ in their {fact}."]


def put(name: str, at: tuple[int, ...], value: float) -> Callable[[Observation], None]:
    def change(observation: Observation) -> None:
        observation.arrays[name][at] = value

    return change


BROKEN = {
    "an int8 output": (
        put(f"outputs {EXACT}", (0, 0), np.nextafter(np.float32(1), np.float32(2))),
        "must be identical",
    ),
    "an int8 score": (
        put(f"scores {EXACT}", (1,), 0.75 + 2e-6),
        "scores differ beyond",
    ),
    "an int8 score that is no number": (put(f"scores {EXACT}", (1,), np.nan), "scores differ beyond"),
    "an int8 decision": (put(f"accepted {EXACT}", (2,), 1), "decisions differ"),
    "a float output": (put(f"outputs {FLOAT}", (1, 1), 4 + 8 * FLOAT_TOLERANCE), "outputs differ beyond"),
    "a float output that is no number": (put(f"outputs {FLOAT}", (1, 1), np.nan), "outputs differ beyond"),
    "a float score": (put(f"scores {FLOAT}", (0,), 0.5 + 2 * FLOAT_TOLERANCE), "scores differ beyond"),
    "a score of another file": (put(f"scores {OTHER}", (0,), 0.56), "scores differ beyond"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_must_not_differ_is_found(here: Observation, there: Observation, name: str) -> None:
    change, message = BROKEN[name]
    change(there)
    (problem,) = found(here, there)
    assert message in problem


ALLOWED = {
    "a rounded float output": put(f"outputs {FLOAT}", (1, 1), 4 + 2 * FLOAT_TOLERANCE),
    "an output of another file": put(f"outputs {OTHER}", (1, 1), 5),
    "a score of another file": put(f"scores {OTHER}", (0,), 0.54),
    "a decision of another file": put(f"accepted {OTHER}", (0,), 0),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_may_differ_is_no_failure(here: Observation, there: Observation, name: str) -> None:
    ALLOWED[name](there)
    assert found(here, there) == []


def test_a_failed_self_test_on_the_core_is_a_failure(here: Observation, there: Observation) -> None:
    there.facts["artifacts"][FLOAT]["selftest"]["passed"] = False
    assert found(here, there) == ["float32: its self-test fails."]


def test_an_observation_is_read_as_it_was_written(here: Observation, tmp_path: Path) -> None:
    here.write(tmp_path / "seen.npz")
    stored = Observation.read(tmp_path / "seen.npz")
    assert stored.facts == here.facts and stored.arrays.keys() == here.arrays.keys()
    assert all(np.array_equal(stored.arrays[name], here.arrays[name]) for name in here.arrays)
