"""Every ONNX file of the chain becomes a TensorRT plan, by the builder that a device uses.

TensorRT-RTX builds without a GPU: what it parses and builds, a Jetson's TensorRT parses. It cannot run there.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_export import Export
from sigedge_export.audit import examine
from sigedge_export.chain import run_chain
from sigedge_export.targets import TARGETS, Target
from sigedge_runtime.bundle import MANIFEST, Bundle, hash_file, hash_files, write_manifest
from sigedge_runtime.manifest import Artifact, Manifest
from sigedge_runtime.tensorrt import BuildOptions, build_engine

ONNX = tuple(target for target in TARGETS if target.format == "onnx")
PRECISIONS = ("float32", "float16", "int8")
FLAGSHIP = "edgesig"
EMBEDDING_SIZE, PARAMETERS = 2_176, 292_593

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None, reason="tensorrt-rtx-cu12-bindings is not installed"
)


def test_there_is_an_onnx_file_of_each_precision() -> None:
    assert tuple(target.precision for target in ONNX) == PRECISIONS


@needs_rtx
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("generation", ["sm75", "sm89"])
def test_every_exported_file_becomes_a_plan(exported: Export, tmp_path: Path, precision: str, generation: str) -> None:
    with Bundle.open(exported.bundle) as bundle:
        artifact = bundle.artifact(format="onnx", precision=precision)
        path, parameters = bundle.path(artifact.file), bundle.manifest.model.parameters
        outcome = build_engine(artifact, path, parameters, BuildOptions(tmp_path, ahead_of_time=generation))
    assert outcome.built and outcome.path.stat().st_size > 1000


@pytest.fixture(scope="module")
def flagship(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, calibration: NDArray[np.uint8]
) -> dict[str, Path]:
    """The ONNX files of the shipped weights, by precision."""
    work, logs = tmp_path_factory.mktemp("flagship"), tmp_path_factory.mktemp("logs")
    weights = repository / "models" / "weights" / f"{FLAGSHIP}.safetensors"
    made = run_chain(weights, work, ONNX, calibration, logs=logs)
    return {target.precision: path for target, path in made.files.items()}


def artifact_of(target: Target, path: Path) -> Artifact:
    taken, given = target.tensors(128, 256, EMBEDDING_SIZE)
    return Artifact(
        name=f"{FLAGSHIP}-{target.key}",
        file=target.file(FLAGSHIP),
        format=target.format,
        precision=target.precision,
        sha256=hash_file(path),
        size=path.stat().st_size,
        input=taken,
        output=given,
        score_tolerance=0.1,
    )


@needs_rtx
@pytest.mark.slow
@pytest.mark.parametrize("target", ONNX, ids=PRECISIONS)
def test_the_flagship_becomes_a_plan(flagship: dict[str, Path], tmp_path: Path, target: Target) -> None:
    path = flagship[target.precision]
    artifact = artifact_of(target, path)
    outcome = build_engine(artifact, path, PARAMETERS, BuildOptions(tmp_path, ahead_of_time="sm89"))
    assert outcome.built and outcome.record.size > 0.5 * path.stat().st_size


def test_an_engine_without_a_plan_is_no_fault_of_the_bundle(
    exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calibration: NDArray[np.uint8]
) -> None:
    """On a workstation with TensorRT an export is checked by ONNX Runtime and TensorRT stays unmeasured."""
    fake_gpu(tmp_path, monkeypatch)
    with Bundle.open(one_file(exported, tmp_path)) as bundle:
        found = examine(bundle, calibration[:2])
    unmeasured = {entry.engine: entry.reason for entry in found.unmeasured}
    assert "sigedge build-engine BUNDLE --precision float32" in unmeasured["tensorrt"]
    assert [run.engine for run in found.runs] == ["onnxruntime"]
    assert not [finding for finding in found.findings if finding.grave]


def fake_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """TensorRT and a GPU that only record what they are asked for, and an empty folder of plans."""
    source = Path(__file__).parent.parent / "runtime" / "fake_tensorrt.py"
    spec = importlib.util.spec_from_file_location("fake_tensorrt", source)
    fake = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fake)
    recorder = fake.Recorder(lambda canvas: canvas)
    recorder.install(monkeypatch)
    monkeypatch.setenv("SIGEDGE_TENSORRT_CACHE", str(folder / "plans"))
    return recorder


def one_file(exported: Export, folder: Path) -> Path:
    """The exported bundle with nothing but its float32 ONNX file."""
    target = Path(shutil.copytree(exported.bundle, folder / "bundle"))
    manifest = Manifest.from_json((target / MANIFEST).read_text())
    kept = next(one for one in manifest.artifacts if (one.format, one.precision) == ("onnx", "float32"))
    for path in (target / "artifacts").iterdir():
        if path != target / kept.file:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_manifest(target, dataclasses.replace(manifest, artifacts=(kept,), files=hash_files(target)))
    return target
