"""What one process of the comparison with Arm computes, here and on emulated cores."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.arm.__main__ import IDENTICAL, SHIPPED_NAMES, SKIPPED
from sigedge.arm.__main__ import main as compare_with_arm
from sigedge.arm.comparison import compare, failures
from sigedge.arm.job import Job, Picture, Trial
from sigedge.arm.probe import PICTURE_FACTS, Observation, main, observe
from sigedge_runtime.bundle import SHIPPED

TRIALS = (Trial(1, (0,)), Trial(2, (0, 1)))


@pytest.fixture
def job(master_bundle: Path, draw: Callable[[int, int], NDArray[np.uint8]], tmp_path: Path) -> Job:
    """Three signatures of two signers, and a file that is no picture."""
    pictures = []
    for signer, sample in ((0, 0), (0, 1), (1, 0)):
        path = tmp_path / f"{signer}-{sample}.png"
        cv2.imwrite(str(path), draw(signer, sample))
        pictures.append(Picture(str(path), "drawn", f"signer-{signer}"))
    (tmp_path / "text.png").write_text("no picture")
    pictures.append(Picture(str(tmp_path / "text.png"), "odd"))
    return Job(tuple(pictures), {"tiny": str(master_bundle)}, TRIALS)


@pytest.fixture
def seen(job: Job) -> Observation:
    return observe(job)


def test_every_picture_and_every_artefact_is_observed(seen: Observation) -> None:
    assert len(seen.facts["pictures"]) == 4
    assert all(set(facts) == set(PICTURE_FACTS) for facts in seen.facts["pictures"])
    artifacts = seen.facts["artifacts"]
    assert {(facts["format"], facts["precision"]) for facts in artifacts.values()} == {
        ("tflite", "int8"),
        ("tflite", "float32"),
        ("onnx", "int8"),
        ("onnx", "float32"),
    }
    for key, facts in artifacts.items():
        assert facts["selftest"]["passed"]
        assert seen.arrays[f"outputs {key}"].shape == (3, 8)
        assert seen.arrays[f"scores {key}"].shape == seen.arrays[f"accepted {key}"].shape == (2,)
        assert seen.arrays[f"scores {key}"][0] > seen.arrays[f"scores {key}"][1]


def test_a_refused_picture_is_observed_by_its_sentence(seen: Observation) -> None:
    assert all("is not a PNG, JPEG, BMP, TIFF or WebP image" in fact for fact in seen.facts["pictures"][3].values())


def test_the_same_job_gives_the_same(job: Job, seen: Observation) -> None:
    assert failures(compare(job.pictures, seen, observe(job))) == []


def test_one_changed_pixel_in_one_picture_is_noticed(job: Job, seen: Observation) -> None:
    path = job.pictures[0].path
    image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    image[0, 0] ^= 1
    cv2.imwrite(path, image)
    found = compare(job.pictures, seen, observe(job))["pictures"]["drawn"]
    assert found["identical_pixels"] == 2 and found["identical_canvases"] == 3


def test_the_command_writes_the_observation(job: Job, seen: Observation, tmp_path: Path) -> None:
    job.write(tmp_path / "job.json")
    assert main(str(tmp_path / "job.json"), str(tmp_path / "seen.npz")) == 0
    assert Observation.read(tmp_path / "seen.npz").facts == json.loads(json.dumps(seen.facts))


def test_a_bundle_that_cannot_be_opened_is_one_sentence(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Job(job.pictures, {"none": str(tmp_path / "none")}, ()).write(tmp_path / "job.json")
    assert main(str(tmp_path / "job.json"), str(tmp_path / "seen.npz")) == 2
    assert capsys.readouterr().err.startswith("Error: ")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Arm is emulated on Linux only")
def test_emulated_arm_gives_what_this_machine_gives(
    master_bundle: Path, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shipped int8 files, and float32 on both engines; `make arm-parity` compares more of everything."""
    result = tmp_path / "arm.json"
    options = ["--json", result, "--no-float", "--signers", 1, "--scans", 0, "--trials", 12]
    options += ["--cache", repository / ".cache" / "arm"]
    for bundle in (*(SHIPPED / name for name in SHIPPED_NAMES), master_bundle):
        options += ["--bundle", bundle]
    code = compare_with_arm(list(map(str, options)))
    said = capsys.readouterr().err
    if code == SKIPPED:
        pytest.skip(said.strip().splitlines()[-1])
    assert code == IDENTICAL, said
    for figures in json.loads(result.read_text())["processors"].values():
        assert {row["bundle"] for row in figures["artifacts"]} == {*SHIPPED_NAMES, "tiny"}
        ran = {(row["engine"], row["precision"]) for row in figures["artifacts"]}
        assert {("litert", "int8"), ("litert", "float32"), ("onnxruntime", "float32")} <= ran
