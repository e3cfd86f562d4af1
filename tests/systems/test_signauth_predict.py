"""Classifying folders, with a checkpoint: labels, rejection, CSV, and what cannot be used."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from sigedge.cli import app
from sigedge.synthesis import Synthesiser
from sigedge.systems.signauth.predict import COLUMNS, SignatureClassifier
from sigedge.systems.signauth.prepare import SPEC
from sigedge_export import export_network
from sigedge_models import CheckpointInfo, create, save_checkpoint
from sigedge_runtime.errors import BundleError, CheckpointError, ImageError, QualityError
from sigedge_runtime.images import read_image
from sigedge_runtime.preprocessing import harmonise

CONFIG = {"network": "classifier", "classes": 3, "stages": [[4, 4], [8, 4], [8, 2]], "features": 8}
LABELS = ["003", "007", "012"]


def save(folder: Path, threshold: float | None, **changes: object) -> Path:
    """A checkpoint of random weights: what it says of an image is arbitrary, but always the same."""
    torch.manual_seed(4)
    decision = {} if threshold is None else {"rejection": {"measure": "energy", "threshold": threshold}}
    info = CheckpointInfo(
        **{
            "architecture": "signauth",
            "config": CONFIG,
            "name": "signauth-classifier",
            "version": "1",
            "preprocess": SPEC.to_dict(),
            "decision": decision,
            "task": "classification",
            "labels": LABELS,
            **changes,
        }
    )
    return save_checkpoint(folder / "signauth-classifier.safetensors", create("signauth", **CONFIG), info)


def run(*arguments: object) -> Result:
    return CliRunner(env={"NO_COLOR": "1"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), Synthesiser(8).signer(number).genuine(0).image)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    cv2.imwrite(str(folder / "blank.png"), np.full((90, 200), 250, np.uint8))
    return folder


def test_says_what_the_network_says(images: Path, tmp_path: Path) -> None:
    checkpoint = save(tmp_path, threshold=-100.0)
    torch.manual_seed(4)
    model = create("signauth", **CONFIG).eval()
    canvas = harmonise(read_image(images / "0.png"), SPEC).canvas
    with torch.inference_mode():
        logits = model(torch.from_numpy(canvas[None, None].astype(np.float32)))[0].double()
    with SignatureClassifier.open(checkpoint) as classifier:
        found = classifier.classify(images / "0.png")
    beside = torch.softmax(torch.cat([logits, torch.zeros(1)]), dim=0)
    assert found.label == found.nearest == LABELS[int(logits.argmax())]
    assert found.score == pytest.approx(float(torch.logsumexp(logits, 0)), abs=1e-5)
    assert list(found.probabilities.values()) == pytest.approx(beside[:3].tolist(), abs=1e-5)


def test_rejects_below_the_threshold_and_still_names_the_nearest(images: Path, tmp_path: Path) -> None:
    with SignatureClassifier.open(save(tmp_path, threshold=100.0)) as classifier:
        found = classifier.classify(images / "1.png")
    assert found.label is None and found.nearest in LABELS


def test_without_a_threshold_everybody_is_somebody(images: Path, tmp_path: Path) -> None:
    with SignatureClassifier.open(save(tmp_path, threshold=None)) as classifier:
        found = classifier.classify(images / "2.png")
    assert found.label == found.nearest
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_bad_images_are_errors(images: Path, tmp_path: Path) -> None:
    with SignatureClassifier.open(save(tmp_path, threshold=None)) as classifier:
        with pytest.raises(ImageError, match=r"broken\.png"):
            classifier.classify(images / "broken.png")
        with pytest.raises(QualityError, match="no usable signature"):
            classifier.classify(images / "blank.png")
        with pytest.raises(ImageError, match=r"more than 0\.001 megapixels"):
            classifier.classify(images / "0.png", max_pixels=1000)


def test_the_command_writes_a_row_for_each_image_and_names_the_others(images: Path, tmp_path: Path) -> None:
    table = tmp_path / "deep" / "found.csv"
    result = run("classify", save(tmp_path, threshold=100.0), images, "--csv", table, "--json", tmp_path / "found.json")
    assert result.exit_code == 0, result.output
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["file"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert {row["label"] for row in rows} == {"unknown"} and {row["nearest"] for row in rows} <= set(LABELS)
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found["predictions"]) == 3
    assert [Path(entry["path"]).name for entry in found["skipped"]] == ["blank.png", "broken.png"]
    assert "3 images classified, 2 skipped" in result.stdout


def test_a_folder_without_one_usable_image_is_an_error(images: Path, tmp_path: Path) -> None:
    table = tmp_path / "found.csv"
    result = run("classify", save(tmp_path, threshold=None), images / "broken.png", "--csv", table)
    assert result.exit_code == 2 and "Not one of 1 images" in result.stderr
    assert not table.exists()


@pytest.mark.slow
def test_a_bundle_says_what_its_checkpoint_says(images: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the chain needs the extra export")
    checkpoint = save(tmp_path, threshold=0.0, training={"recipe": {}, "data": {"source": "synthetic"}})
    paths = [images / f"{number}.png" for number in range(3)]
    canvases = np.stack([harmonise(read_image(path), SPEC).canvas for path in [*paths, *paths]])
    made = export_network(checkpoint, tmp_path / "out", canvases=canvases, formats=["onnx"], precisions=["float32"])
    with SignatureClassifier.open(checkpoint) as reference, SignatureClassifier.open(made.bundle) as classifier:
        assert (
            (classifier.labels, classifier.threshold) == (reference.labels, reference.threshold) == (tuple(LABELS), 0)
        )
        for path in paths:
            expected, found = reference.classify(path), classifier.classify(path)
            assert (found.label, found.nearest) == (expected.label, expected.nearest)
            assert found.score == pytest.approx(expected.score, abs=1e-3)


def test_a_model_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a model for verification, no classifier"):
        SignatureClassifier.open(save(tmp_path, None, task="verification", labels=[]))
    with pytest.raises(BundleError):
        SignatureClassifier.open(tmp_path / "nowhere")
