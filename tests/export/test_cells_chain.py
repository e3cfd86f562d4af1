"""A network that is compared cell by cell, through the chain, the gate and onto a device."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from sigedge_export import (
    Export,
    ExportOptions,
    GoldenImage,
    ParitySet,
    Reference,
    Tolerances,
    breaches,
    export_bundle,
    gate,
    load_reference,
    measure_parity,
)
from sigedge_export.inputs import make_pairs
from sigedge_export.statistics import pair_scores
from sigedge_runtime.bundle import MANIFEST, Bundle, hash_file, hash_files, write_manifest
from sigedge_runtime.errors import ParityError
from sigedge_runtime.manifest import Manifest
from sigedge_runtime.matching import LocalMatching
from sigedge_runtime.scoring import score
from sigedge_runtime.verifier import Verifier

pytestmark = pytest.mark.slow
MATCHING = LocalMatching(8, 16, 1, 2, 0.125)


@pytest.fixture(scope="module")
def cells(cells_checkpoint: Path) -> Reference:
    return load_reference(cells_checkpoint)


@pytest.fixture(scope="module")
def bundle(
    tmp_path_factory: pytest.TempPathFactory,
    cells_checkpoint: Path,
    calibration: NDArray[np.uint8],
    parity_set: ParitySet,
    golden: list[GoldenImage],
    tolerances: dict[str, Tolerances],
) -> Export:
    """Float32 and int8, as ONNX and TFLite."""
    return export_bundle(
        cells_checkpoint,
        tmp_path_factory.mktemp("exported") / "small",
        golden=golden,
        parity=parity_set,
        calibration=calibration,
        formats=["onnx", "tflite"],
        precisions=["float32", "int8"],
        tolerances=tolerances,
        options=ExportOptions(),
    )


def test_the_bundle_says_how_its_embeddings_are_compared(bundle: Export, cells: Reference) -> None:
    with Bundle.open(bundle.bundle) as opened:
        manifest = opened.manifest
    assert manifest.verification.matching == cells.model.matching == MATCHING
    assert manifest.model.output_size == 9 * MATCHING.cells
    assert {artifact.output.shape for artifact in manifest.artifacts} == {(1, 1152)}


def test_every_artefact_scores_as_the_reference(bundle: Export) -> None:
    rows = {(row.format, row.precision): row for row in bundle.report.rows}
    assert set(rows) == {(form, precision) for form in ("onnx", "tflite") for precision in ("float32", "int8")}
    for (_, precision), row in rows.items():
        assert 0 <= row.max_score_difference < (1e-5 if precision == "float32" else 0.08)
        assert precision == "float32" or row.max_score_difference > 1e-4


def test_parity_is_of_the_scores_that_devices_compute(bundle: Export, cells: Reference, parity_set: ParitySet) -> None:
    embeddings = cells.embed(parity_set.canvases)
    with Bundle.open(bundle.bundle) as opened:
        report = measure_parity(opened, embeddings, parity_set)
        rule = opened.manifest.verification.rule
    pairs = make_pairs(parity_set)
    np.testing.assert_array_equal(report.scores.reference, pair_scores(embeddings, pairs, MATCHING, rule))
    assert np.abs(report.scores.reference - pair_scores(embeddings, pairs, MATCHING)).min() > 0.1, "with the usual one"
    assert np.abs(report.scores.reference - pair_scores(embeddings, pairs)).max() > 0.05


def test_golden_scores_are_those_of_a_device(bundle: Export) -> None:
    vectors: dict[str, Any] = json.loads((bundle.bundle / "vectors" / "vectors.json").read_text())
    embeddings = {case["id"]: np.array(case["embedding"], np.float32) for case in vectors["cases"]}
    with Bundle.open(bundle.bundle) as opened:
        decision = opened.manifest.verification
    assert {len(entry["references"]) for entry in vectors["scores"]} == {1, 2}
    for entry in vectors["scores"]:
        references = np.stack([embeddings[name] for name in entry["references"]])
        assert entry["score"] == pytest.approx(score(embeddings[entry["query"]], references, decision), abs=1e-6)


@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_device_tells_signers_apart(
    bundle: Export, golden: list[GoldenImage], cells: Reference, engine: str, precision: str
) -> None:
    one, other = sorted({image.signer for image in golden})
    images = {signer: [image.image for image in golden if image.signer == signer] for signer in (one, other)}
    labels = [image.label for image in golden if image.signer == one]
    genuine = [image for image, label in zip(images[one], labels, strict=True) if label == "genuine"]
    with Verifier.open(bundle.bundle, engine=engine, precision=precision) as verifier:
        verifier.enroll(one, genuine[:-1])
        assert verifier.verify(one, genuine[-1]).score > verifier.verify(one, images[other][0]).score
        (candidate,) = verifier.identify(genuine[-1]).candidates
        assert candidate.user == one


def reorder(path: Path) -> None:
    """Lose the order of the cells: channels first, as a converter leaves it that drops a transposition."""
    model = onnx.load(path)
    (turn,) = [node for node in model.graph.node if node.op_type == "Transpose"]
    (order,) = [one for one in turn.attribute if one.name == "perm"]
    assert list(order.ints) == [0, 2, 3, 1]
    order.ints[:] = [0, 1, 2, 3]
    del model.graph.value_info[:]
    onnx.save(model, path)


def empty(path: Path) -> None:
    """Lose the last layer's weights: all cells show the same."""
    model = onnx.load(path)
    kernel = [weight for weight in model.graph.initializer if len(weight.dims) == 4][-1]
    kernel.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(kernel)), kernel.name))
    onnx.save(model, path)


@pytest.mark.parametrize(("spoil", "figure"), [(reorder, "max_score_difference"), (empty, "variance_ratio")])
def test_a_spoilt_artefact_is_stopped(
    bundle: Export,
    cells: Reference,
    parity_set: ParitySet,
    tolerances: dict[str, Tolerances],
    tmp_path: Path,
    spoil: Any,
    figure: str,
) -> None:
    folder = Path(shutil.copytree(bundle.bundle, tmp_path / "spoilt"))
    manifest = Manifest.from_json((folder / MANIFEST).read_text())
    artifact = next(one for one in manifest.artifacts if (one.format, one.precision) == ("onnx", "float32"))
    path = folder / artifact.file
    spoil(path)
    spoilt = dataclasses.replace(artifact, sha256=hash_file(path), size=path.stat().st_size)
    write_manifest(folder, dataclasses.replace(manifest, artifacts=(spoilt,), files=hash_files(folder)))
    with Bundle.open(folder) as opened:
        report = measure_parity(opened, cells.embed(parity_set.canvases), parity_set)
    assert figure in {breach.figure for breach in breaches(report, tolerances)}
    with pytest.raises(ParityError):
        gate(report, tolerances)
