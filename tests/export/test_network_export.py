"""Classifiers and image networks through the chain: bundle, golden vectors, parity by task, and the gate."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_export import NetworkTolerances, export_bundle, export_network, load_network_tolerances
from sigedge_export.network_parity import NetworkArtifactParity, NetworkParityReport, gate_network
from sigedge_models import CheckpointInfo, create, save_checkpoint
from sigedge_runtime import Network
from sigedge_runtime.errors import ExportError, ParityError
from sigedge_runtime.preprocessing import PreprocessSpec

HEIGHT, WIDTH = 32, 64
TOLERANCES = {
    "float32": {"max_difference": 1e-4, "changed_classes": 0.0, "min_variance_ratio": 0.99},
    "int8": {"max_difference": 0.05, "changed_classes": 0.05, "min_variance_ratio": 0.9},
}
SPEC = {**PreprocessSpec().to_dict(), "canvas_height": HEIGHT, "canvas_width": WIDTH}
FRAME = {"canvas_height": HEIGHT, "canvas_width": WIDTH}


@pytest.fixture(scope="module", autouse=True)
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An installed distribution with a system of two networks."""
    site = tmp_path_factory.mktemp("site")
    package = site / "foreign_pair"
    package.mkdir()
    (package / "__init__.py").write_text("from small_networks import Model\n")
    (package / "CARD.md").write_text("# Pair\n")
    for network in ("classifier", "softener"):
        (package / f"parity-{network}.json").write_text(json.dumps(TOLERANCES))
    metadata = site / "foreign-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[sigedge.models]\npair = foreign_pair\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.syspath_prepend(str(site))
        yield package
    for module in ("small_networks", "foreign_pair"):
        sys.modules.pop(module, None)


def blots(count: int, seed: int) -> NDArray[np.uint8]:
    ink = np.random.default_rng(seed).random((count, HEIGHT // 4, WIDTH // 4)) < 0.3
    return (255 * ink).astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)


CLASSIFIER = CheckpointInfo(
    "pair",
    {"network": "classifier"},
    "pair-classifier",
    "1",
    SPEC,
    {"rejection": {"measure": "energy", "threshold": 0.25}},
    task="classification",
    labels=["left", "middle", "right"],
)
SOFTENER = CheckpointInfo("pair", {"network": "softener"}, "pair-softener", "1", FRAME, {}, task="image")


def save(info: CheckpointInfo, folder: Path) -> Path:
    return save_checkpoint(folder / "weights.safetensors", create("pair", **info.config).eval(), info)


@pytest.fixture(scope="module", params=[CLASSIFIER, SOFTENER], ids=["classification", "image"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    made = export_network(
        save(request.param, folder),
        folder / "bundle",
        canvases=blots(16, 2),
        calibration=blots(16, 1),
        formats=["onnx", "tflite"],
        precisions=["float32", "int8"],
    )
    assert {row.precision for row in made.report.rows} == {"float32", "int8"}
    assert made.report.task == request.param.task and made.report.canvases == 16
    assert made.archive.is_file()
    return made.bundle


@pytest.mark.slow
def test_every_artefact_runs_and_passes_the_selftest(exported: Path) -> None:
    for engine, precision in (("litert", "int8"), ("litert", "float32"), ("onnxruntime", "float32")):
        with Network.open(exported, engine=engine, precision=precision) as network:
            canvas = blots(1, 9)[0]
            model = network.manifest.model
            if model.task == "image":
                assert network.manifest.preprocess is None and network.translate(canvas).shape == canvas.shape
                assert abs(float(network.translate(canvas).mean()) - canvas.mean()) < 20
            else:
                assert model.rejection is not None and model.rejection.threshold == 0.25
                left = np.zeros((HEIGHT, WIDTH), np.uint8)
                left[:, :18] = 255
                assert network.classify_canvas(left).label == "left"
                assert not network.classify_canvas(np.zeros_like(left)).known or model.rejection.threshold < 1.1


def test_a_verifier_and_a_network_are_told_apart(tmp_path: Path) -> None:
    verifier = replace(SOFTENER, task="verification")
    with pytest.raises(ExportError, match="holds a verifier"):
        export_network(save(verifier, tmp_path), tmp_path / "out", canvases=blots(4, 0))
    with pytest.raises(ExportError, match="holds no verifier, its task is image"):
        export_bundle(save(SOFTENER, tmp_path), tmp_path / "out", golden=[], parity=None)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_calibration_canvases_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="needs calibration canvases"):
        export_network(save(SOFTENER, tmp_path), tmp_path / "out", canvases=blots(4, 0), precisions=["int8"])


def test_missing_tolerances_are_named(distribution: Path, tmp_path: Path) -> None:
    assert load_network_tolerances(SOFTENER)["int8"] == NetworkTolerances(0.05, 0.05, 0.9)
    with pytest.raises(ExportError, match="no parity tolerances for float16"):
        export_network(save(SOFTENER, tmp_path), tmp_path / "out", canvases=blots(4, 0), precisions=["float16"])
    with pytest.raises(ExportError, match=r"parity-nobody\.json cannot be read"):
        load_network_tolerances(replace(SOFTENER, config={"network": "nobody"}))


def row(**changes: object) -> NetworkArtifactParity:
    fine = NetworkArtifactParity("pair-int8-tflite", "tflite", "int8", "litert 2", "XNNPACK", 0.01, 0.0, 0, None, 1.0)
    return replace(fine, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"max_difference": 0.06}, r"differ by up to 0\.0600 \(allowed 0\.05\)"),
        ({"max_difference": float("nan")}, "differ by up to nan"),
        ({"changed": 2}, r"20\.0% of its classes are others"),
        ({"variance_ratio": 0.1}, r"keep 0\.10 of the variance"),
    ],
)
def test_the_gate_names_the_artefact_and_the_figure(changes: dict[str, object], sentence: str) -> None:
    limits = {"int8": NetworkTolerances(**TOLERANCES["int8"])}
    report = NetworkParityReport("pair 1", "classification", 10, (row(),), (), (), ())
    gate_network(report, limits)
    with pytest.raises(ParityError, match=f"pair-int8-tflite on litert 2 .*{sentence}"):
        gate_network(replace(report, rows=(row(), row(**changes))), limits)


@pytest.mark.slow
def test_a_refused_network_leaves_figures_and_no_bundle(tmp_path: Path) -> None:
    strict = {"int8": NetworkTolerances(1e-9, 0.0, 0.9)}
    with pytest.raises(ParityError, match=r"out\.failed\.json"):
        export_network(
            save(SOFTENER, tmp_path),
            tmp_path / "out",
            canvases=blots(8, 2),
            calibration=blots(8, 1),
            formats=["tflite"],
            precisions=["int8"],
            tolerances=strict,
        )
    assert not (tmp_path / "out").exists()
    failed = json.loads((tmp_path / "out.failed.json").read_text())
    assert failed["rows"][0]["max_difference"] > 1e-9 and failed["task"] == "image"
