"""Classifiers and image networks on a device: opening, self-test, classes, rejection, images."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sigedge_runtime import BundleError, Network, QualityError, SelftestError, Verifier
from sigedge_runtime.bundle import MANIFEST, Bundle
from sigedge_runtime.manifest import Manifest, Rejection
from sigedge_runtime.network_vectors import NetworkVectors, read_network_vectors
from sigedge_runtime.outputs import output_differences, rejection_measure, softmax
from sigedge_runtime.preprocessing import harmonise

LABELS = ("ann", "bob", "cy", "dee", "eve", "fay", "gus", "hal")
Draw = Callable[[int, int], NDArray[np.uint8]]
Write = Callable[..., None]


def write_vectors(folder: Path, canvases: NDArray[np.uint8], outputs: NDArray[np.float32]) -> None:
    shutil.rmtree(folder / "vectors")
    (folder / "vectors").mkdir()
    cases = []
    for number, (canvas, output) in enumerate(zip(canvases, outputs, strict=True)):
        cv2.imwrite(str(folder / f"vectors/{number}.png"), canvas)
        output.astype("<f4").tofile(folder / f"vectors/{number}.f32")
        digest = hashlib.sha256(canvas.tobytes()).hexdigest()
        cases.append({"id": str(number), "canvas": f"{number}.png", "canvas_sha256": digest, "output": f"{number}.f32"})
    text = json.dumps({"format_version": 1, "reference": "numpy float32", "cases": cases})
    (folder / "vectors/vectors.json").write_text(text)


@pytest.fixture
def canvases(draw: Draw) -> NDArray[np.uint8]:
    return np.stack([harmonise(draw(signer, 0)).canvas for signer in range(3)])


@pytest.fixture
def classifier(bundle_folder: Path, canvases: NDArray[np.uint8], expected: Callable[..., Any], sign_off: Write) -> Path:
    """The tiny bundle with its eight numbers as the scores of eight classes."""
    write_vectors(bundle_folder, canvases, np.stack([expected(canvas) for canvas in canvases]))
    model = Manifest.from_json((bundle_folder / MANIFEST).read_text()).model
    sign_off(bundle_folder, model=replace(model, task="classification", labels=LABELS), decision=None)
    return bundle_folder


@pytest.fixture
def image_network(classifier: Path, sign_off: Write) -> Path:
    model = Manifest.from_json((classifier / MANIFEST).read_text()).model
    sign_off(classifier, model=replace(model, task="image", labels=()), preprocess=None)
    return classifier


@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_a_classifier_names_the_class_with_the_highest_score(
    classifier: Path, engine: str, draw: Draw, expected: Callable[..., Any]
) -> None:
    with Network.open(classifier, engine=engine, precision="float32") as network:
        found = network.classify(draw(1, 0))
        logits = expected(harmonise(draw(1, 0)).canvas)
    assert found.label == LABELS[int(logits.argmax())]
    assert found.probability == pytest.approx(softmax(logits).max(), abs=1e-4)
    assert found.known and list(found.scores) == list(LABELS)
    assert found.identity.startswith("tiny:abababababab:tiny-float32-")
    assert json.loads(json.dumps(found.to_dict()))["label"] == found.label


@pytest.mark.parametrize("measure", ["max_logit", "energy"])
def test_a_classifier_rejects_below_its_threshold(
    classifier: Path, measure: str, draw: Draw, expected: Callable[..., Any], sign_off: Write
) -> None:
    level = rejection_measure(expected(harmonise(draw(0, 1)).canvas), measure)
    for threshold, known in ((level - 0.01, True), (level + 0.01, False)):
        model = Manifest.from_json((classifier / MANIFEST).read_text()).model
        sign_off(classifier, model=replace(model, rejection=Rejection(measure, threshold)))
        with Network.open(classifier, precision="float32") as network:
            assert network.classify(draw(0, 1)).known is known


def test_a_blank_page_is_no_class(classifier: Path) -> None:
    with Network.open(classifier) as network, pytest.raises(QualityError, match="no usable signature"):
        network.classify(np.full((200, 400), 255, np.uint8))


def test_an_image_network_wants_as_many_values_as_pixels(image_network: Path, canvases: NDArray[np.uint8]) -> None:
    with Network.open(image_network) as network:
        assert network.run(canvases[0]).shape == (8,)
        with pytest.raises(BundleError, match="no image of 128x256"):
            network.translate(canvases[0])
        with pytest.raises(BundleError, match="reads no harmonised signatures"):
            network.classify(canvases[0])


def test_each_bundle_opens_as_what_it_is(classifier: Path, master_bundle: Path) -> None:
    with pytest.raises(BundleError, match="is no verifier, its task is classification"):
        Verifier.open(classifier)
    with pytest.raises(BundleError, match="holds a verifier"):
        Network.open(master_bundle)
    with Network.open(classifier) as network, pytest.raises(BundleError, match="not image"):
        network.translate(np.zeros((128, 256), np.uint8))


def test_the_selftest_refuses_other_outputs(
    classifier: Path, canvases: NDArray[np.uint8], expected: Callable[..., Any], sign_off: Write
) -> None:
    outputs = np.stack([expected(canvas) for canvas in canvases])
    outputs[1, 3] += 1
    write_vectors(classifier, canvases, outputs)
    sign_off(classifier)
    with pytest.raises(SelftestError, match="fails its self-test"):
        Network.open(classifier, precision="float32")
    with Network.open(classifier, precision="float32", selftest=False) as network:
        report = network.selftest()
    assert not report.passed and report.cases == 3 and len(report.failures) == 1
    assert "golden canvas 1" in report.failures[0]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "vectors/0.f32").write_bytes(b"\0" * 8), "outputs of another size"),
        (lambda folder: cv2.imwrite(str(folder / "vectors/1.png"), np.zeros((128, 256), np.uint8)), "SHA-256"),
        (lambda folder: (folder / "vectors/vectors.json").write_text("{"), "not valid JSON"),
        (lambda folder: (folder / "vectors/vectors.json").write_text("{}"), "lacks cases"),
    ],
)
def test_damaged_vectors_are_named(
    classifier: Path, spoil: Callable[[Path], Any], sentence: str, sign_off: Write
) -> None:
    spoil(classifier)
    sign_off(classifier)
    with Bundle.open(classifier) as bundle, pytest.raises(BundleError, match=sentence):
        read_network_vectors(bundle)


def test_a_canvas_of_another_size_is_refused(
    classifier: Path, expected: Callable[..., Any], sign_off: Write, canvases: NDArray[np.uint8]
) -> None:
    write_vectors(classifier, np.zeros((1, 64, 256), np.uint8), np.zeros((1, 8), np.float32))
    sign_off(classifier)
    with Bundle.open(classifier) as bundle, pytest.raises(BundleError, match="another size than the network takes"):
        read_network_vectors(bundle)


def test_vectors_survive_the_way_through_json(classifier: Path) -> None:
    text = (classifier / "vectors/vectors.json").read_text()
    vectors = NetworkVectors.from_json(text)
    assert NetworkVectors.from_json(vectors.to_json()) == vectors
    with pytest.raises(BundleError, match="twice"):
        data = json.loads(text)
        NetworkVectors.from_json(json.dumps({**data, "cases": data["cases"][:1] * 2}))
    with pytest.raises(BundleError, match="relative"):
        data["cases"][0]["output"] = "../x"
        NetworkVectors.from_json(json.dumps(data))


LOGITS = arrays(np.float32, (4, 5), elements=st.floats(-50, 50, width=32))


@given(LOGITS, st.floats(-20, 20, width=32))
def test_softmax_is_a_distribution_that_no_offset_changes(logits: NDArray[np.float32], offset: float) -> None:
    found = softmax(logits)
    assert np.allclose(found.sum(axis=1), 1) and (found >= 0).all()
    assert np.allclose(found, softmax(logits + np.float32(offset)), atol=1e-4)


@given(LOGITS)
def test_energy_lies_between_the_highest_score_and_that_plus_the_log_of_the_classes(
    logits: NDArray[np.float32],
) -> None:
    for row in logits:
        energy, highest = rejection_measure(row, "energy"), rejection_measure(row, "max_logit")
        assert highest - 1e-6 <= energy <= highest + np.log(5) + 1e-6


@given(LOGITS)
def test_equal_outputs_do_not_differ(outputs: NDArray[np.float32]) -> None:
    for task in ("classification", "image"):
        assert output_differences(task, outputs, outputs).tolist() == [0.0] * 4
    assert output_differences("image", outputs + 255, outputs) == pytest.approx(np.ones(4), rel=1e-4)
