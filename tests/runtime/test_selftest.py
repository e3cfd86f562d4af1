"""The self-test: passes on a sound bundle, and finds every way in which a device may differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sigedge_runtime import selftest
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import Engine, open_engine
from sigedge_runtime.errors import BundleError, SelftestError
from sigedge_runtime.matching import LocalMatching
from sigedge_runtime.preprocessing import Harmonised, harmonise
from sigedge_runtime.selftest import SelftestReport, read_vectors, replay
from sigedge_runtime.vectors import Vectors
from sigedge_runtime.verifier import Verifier

Edit = Callable[[Callable[[dict[str, Any]], object]], Path]


@pytest.fixture
def edit(bundle_folder: Path, sign_off: Callable[..., None]) -> Edit:
    """Change the golden vectors and sign the bundle off again, so that only the self-test can notice."""

    def apply(change: Callable[[dict[str, Any]], object]) -> Path:
        path = bundle_folder / "vectors/vectors.json"
        data = json.loads(path.read_text(encoding="utf-8"))
        change(data)
        path.write_text(json.dumps(data), encoding="utf-8")
        sign_off(bundle_folder)
        return bundle_folder

    return apply


def run(folder: Path, name: str | None = None) -> SelftestReport:
    with Bundle.open(folder) as bundle:
        artifact = bundle.artifact(name)
        with open_engine("auto", artifact, bundle.path(artifact.file)) as engine:
            return replay(bundle, engine)


@pytest.mark.parametrize("bundle", ["master_bundle", "cells_bundle"])
@pytest.mark.parametrize("name", ["tiny-int8-tflite", "tiny-float32-tflite", "tiny-float32-onnx", "tiny-int8-onnx"])
def test_a_sound_bundle_passes(bundle: str, name: str, request: pytest.FixtureRequest) -> None:
    report = run(request.getfixturevalue(bundle), name)
    assert report.passed and report.failures == ()
    assert (report.cases, report.scores) == (4, 3)
    assert 0 <= report.max_score_difference <= report.tolerance
    # int8 differs from float32, so the difference really is measured.
    assert ("int8" in name) == (report.max_score_difference > 1e-4)
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True


def first_score(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["scores"][0]
    return found


FAILURES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "score": (lambda d: first_score(d).update(score=0.2, accepted=False), "the reference 0.2000"),
    "decision": (lambda d: first_score(d).update(accepted=False), "is accepted, unlike by the reference"),
    "embedding": (
        lambda d: d["cases"][0].update(embedding=[1.0] + [0.0] * 7),
        "The recorded score of s0-1 is not that of the recorded embeddings",
    ),
    "canvas": (lambda d: d["cases"][0].update(canvas_sha256="0" * 64), "canvas of s0-0 differs"),
    "stored canvas": (lambda d: d["cases"][0].update(canvas="canvases/s0-1.png"), "stored canvas of s0-0"),
    "stored canvas that is no image": (lambda d: d["cases"][0].update(canvas="vectors.json"), "stored canvas of s0-0"),
    "image": (lambda d: d["cases"][0].update(image="images/s1-0.png"), "canvas of s0-0 differs"),
}


@pytest.mark.parametrize("name", list(FAILURES))
def test_tampered_vectors_fail(edit: Edit, name: str) -> None:
    change, word = FAILURES[name]
    folder = edit(change)
    report = run(folder, "tiny-float32-tflite")
    assert not report.passed
    assert any(word in failure for failure in report.failures), report.failures
    with pytest.raises(SelftestError, match=r"fails its self-test on this device .*; install") as raised:
        Verifier.open(folder, precision="float32")
    assert str(folder) in str(raised.value) and report.failures[0] in str(raised.value)


def test_a_failing_bundle_can_be_studied(edit: Edit) -> None:
    folder = edit(FAILURES["score"][0])
    with Verifier.open(folder, precision="float32", selftest=False) as verifier:
        assert not verifier.selftest().passed


def test_a_device_that_preprocesses_otherwise_fails(master_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(*arguments: Any) -> Harmonised:
        canvas, quality = harmonise(*arguments)
        return Harmonised(np.roll(canvas, 1, axis=1), quality)

    monkeypatch.setattr(selftest, "harmonise", shifted)
    report = run(master_bundle)
    assert [failure for failure in report.failures if "check the OpenCV version" in failure]


def test_a_device_that_infers_otherwise_fails(master_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    infer = Engine.infer
    monkeypatch.setattr(Engine, "infer", lambda self, canvas: infer(self, canvas) + np.float32(3))
    report = run(master_bundle, "tiny-float32-tflite")
    assert not report.passed and report.max_score_difference > 1e-4


@pytest.mark.parametrize("matching", [None, LocalMatching(1, 2, 0, 0), LocalMatching(1, 4, 0, 1)])
def test_a_device_that_compares_otherwise_fails(
    cells_bundle: Path, tmp_path: Path, sign_off: Callable[..., None], matching: LocalMatching | None
) -> None:
    folder = Path(shutil.copytree(cells_bundle, tmp_path / "other"))
    with Bundle.open(folder) as bundle:
        decision = bundle.manifest.verification
    sign_off(folder, decision=replace(decision, matching=matching))
    report = run(folder, "tiny-float32-tflite")
    assert not report.passed
    assert any("is not that of the recorded embeddings" in failure for failure in report.failures), report.failures


def test_a_decision_within_the_tolerance_may_differ(edit: Edit, bundle_folder: Path, sign_off: Any) -> None:
    # The threshold is put between the reference's score and the int8 score, so close that both are right.
    with Bundle.open(bundle_folder) as bundle:
        entry = read_vectors(bundle).scores[1]
        decision = bundle.manifest.decision
    exact = run(bundle_folder, "tiny-int8-tflite")
    assert exact.passed
    for accepted, threshold in ((False, entry.score + 0.05), (True, entry.score - 0.05)):
        points = tuple(
            type(point)(point.name, point.references, threshold, point.far, point.frr)
            for point in decision.operating_points
        )
        moved = type(decision)(decision.fusion, "balanced", points, decision.calibrations)
        sign_off(bundle_folder, decision=moved)

        def change(data: dict[str, Any], accepted: bool = accepted, threshold: float = threshold) -> None:
            for score in data["scores"]:
                score["accepted"] = score["score"] >= threshold
            assert data["scores"][1]["accepted"] is accepted

        assert run(edit(change), "tiny-int8-tflite").passed


def test_a_recorded_decision_must_follow_from_its_score(edit: Edit, bundle_folder: Path) -> None:
    report = run(edit(lambda data: first_score(data).update(accepted=False)), "tiny-int8-tflite")
    assert any("does not follow from its score" in failure for failure in report.failures)


INVALID: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "version": (lambda d: d.update(format_version=2), "format_version must be 1"),
    "no cases": (lambda d: d.update(cases=[]), "must not be empty"),
    "no scores": (lambda d: d.update(scores=[]), "must not be empty"),
    "one id twice": (lambda d: d["cases"].append(d["cases"][0]), "twice"),
    "unknown query": (lambda d: first_score(d).update(query="nobody"), "unknown cases"),
    "no references": (lambda d: first_score(d).update(references=[]), "references must not be empty"),
    "score": (lambda d: first_score(d).update(score=2.5), "between -2 and 2"),
    "zero embedding": (lambda d: d["cases"][0].update(embedding=[0.0] * 8), "not zero"),
    "short embedding": (lambda d: d["cases"][0].update(embedding=[1.0]), "differ in size"),
    "other embeddings": (lambda d: [c.update(embedding=[1.0]) for c in d["cases"]], "another size than 8"),
    "path": (lambda d: d["cases"][0].update(image="../../secret.png"), "relative paths"),
    "unlisted image": (lambda d: d["cases"][0].update(image="images/none.png"), "lists no file"),
    "hash": (lambda d: d["cases"][0].update(canvas_sha256="?"), "64 hex digits"),
    "field": (lambda d: d.update(extra=1), "unknown fields extra"),
}


@pytest.mark.parametrize("name", list(INVALID))
def test_invalid_vectors_are_refused(edit: Edit, name: str) -> None:
    change, word = INVALID[name]
    with pytest.raises(BundleError, match=word):
        run(edit(change))


def test_vectors_survive_the_way_through_json(master_bundle: Path) -> None:
    with Bundle.open(master_bundle) as bundle:
        vectors = read_vectors(bundle)
        text = bundle.path(bundle.manifest.vectors).read_text(encoding="utf-8")
    assert vectors.to_json() == text
    assert Vectors.from_json(text) == vectors


def test_golden_canvases_are_plain_png(master_bundle: Path) -> None:
    canvas = cv2.imread(str(master_bundle / "vectors/canvases/s0-0.png"), cv2.IMREAD_UNCHANGED)
    assert canvas.shape == (128, 256) and set(np.unique(canvas)) == {0, 255}
