"""All or nothing: what is left behind when an export fails, and when it succeeds."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from sigedge_export import Export, GoldenImage, ParitySet, Tolerances, export_bundle
from sigedge_runtime.bundle import MANIFEST, Bundle, hash_tree
from sigedge_runtime.errors import CheckpointError, ExportError, ParityError


@pytest.fixture
def arguments(
    golden: list[GoldenImage],
    parity_set: ParitySet,
    calibration: NDArray[np.uint8],
    tolerances: dict[str, Tolerances],
) -> dict[str, Any]:
    return {
        "golden": golden,
        "parity": parity_set,
        "calibration": calibration,
        "tolerances": tolerances,
        "formats": ["onnx"],
        "precisions": ["float32"],
    }


@pytest.fixture
def nan_checkpoint(checkpoint: Path, tmp_path: Path) -> Path:
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(checkpoint, framework="pt") as file:
        metadata = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    next(tensor for tensor in state.values() if tensor.ndim == 4)[0] = float("nan")
    path = tmp_path / "nan.safetensors"
    save_file(state, path, metadata=metadata)
    return path


def break_onnx(exported: Export, path: Path) -> Path:
    model = onnx.load(exported.bundle / "artifacts" / "small-float32.onnx")
    kernel = next(weight for weight in model.graph.initializer if len(weight.dims) == 4)
    kernel.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(kernel), kernel.name))
    onnx.save(model, path)
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_nan_weights_are_refused_before_anything_is_written(
    nan_checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    with pytest.raises(CheckpointError, match="NaN"):
        export_bundle(nan_checkpoint, tmp_path / "new" / "out", **arguments)
    assert names(tmp_path) == {"nan.safetensors"}


def test_missing_calibration_is_noticed_before_anything_is_written(
    checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    arguments |= {"calibration": None, "precisions": ["int8"]}
    with pytest.raises(ExportError, match="needs calibration canvases"):
        export_bundle(checkpoint, tmp_path / "out", **arguments)
    assert names(tmp_path) == set()


def test_a_failed_parity_gate_leaves_figures_and_no_bundle(
    exported: Export, fake_chain: list[Path], checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    fake_chain.append(break_onnx(exported, tmp_path / "broken.onnx"))
    with pytest.raises(ParityError, match=r"small-float32-onnx .*max_score_difference.*out\.failed\.json"):
        export_bundle(checkpoint, tmp_path / "out", **arguments)
    assert names(tmp_path) == {"broken.onnx", "out.failed.json", "out.logs"}


def test_a_failed_export_leaves_the_older_bundle(
    exported: Export, fake_chain: list[Path], checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    shutil.copytree(exported.bundle, tmp_path / "out")
    before = hash_tree(tmp_path / "out")
    fake_chain.append(break_onnx(exported, tmp_path / "broken.onnx"))
    with pytest.raises(ParityError):
        export_bundle(checkpoint, tmp_path / "out", **arguments)
    assert hash_tree(tmp_path / "out") == before


@pytest.mark.usefixtures("fake_chain")
def test_a_success_replaces_the_older_bundle_and_clears_old_figures(
    exported: Export, checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    shutil.copytree(exported.bundle, tmp_path / "out")
    (tmp_path / "out.failed.json").write_text("{}")
    made = export_bundle(checkpoint, tmp_path / "out", **arguments)
    assert names(tmp_path) == {"out", "out.zip", "out.logs"}
    with Bundle.open(made.archive) as bundle:
        assert [artifact.name for artifact in bundle.manifest.artifacts] == ["small-float32-onnx"]


@pytest.mark.usefixtures("fake_chain")
def test_the_small_default_bundle(checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]) -> None:
    arguments |= {"formats": ["tflite"], "precisions": ["int8"]}
    made = export_bundle(checkpoint, tmp_path / "out", **arguments)
    with Bundle.open(made.bundle) as bundle:
        assert bundle.artifact().name == "small-int8-tflite"
        assert bundle.artifact().score_tolerance == arguments["tolerances"]["int8"].max_score_difference


@pytest.mark.usefixtures("fake_chain")
def test_the_same_input_gives_the_same_bundle(
    checkpoint: Path, tmp_path: Path, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    made = [export_bundle(checkpoint, tmp_path / name, **arguments) for name in ("a", "b")]
    assert made[0].archive.read_bytes() == made[1].archive.read_bytes()
    assert '"created": "2023-11-14"' in (made[0].bundle / MANIFEST).read_text()


@pytest.mark.parametrize("moment", ["float32-onnx", "float32-saved_model"])
@pytest.mark.parametrize("fault", [KeyboardInterrupt(), ExportError("the converter was ended by SIGTERM")])
def test_an_interruption_leaves_no_half_bundle(
    moment: str, fault: BaseException, checkpoint: Path, tmp_path: Path, arguments: dict[str, Any], fake_children: Any
) -> None:
    fake_children.faults[moment] = fault
    arguments |= {"formats": ["onnx", "saved_model"]}
    with pytest.raises(type(fault)):
        export_bundle(checkpoint, tmp_path / "out", **arguments)
    assert names(tmp_path) == {"out.logs"}


@pytest.mark.usefixtures("fake_chain")
def test_a_full_disc_is_a_sentence_and_leaves_the_older_bundle(
    exported: Export, checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    """No file may grow beyond 20 kB, which is how a quota shows; the zip of the bundle is larger."""
    shutil.copytree(exported.bundle, tmp_path / "out")
    before = hash_tree(tmp_path / "out")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(ExportError, match=r"disc of .*out is full .*free some space"):
            export_bundle(checkpoint, tmp_path / "out", **arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert hash_tree(tmp_path / "out") == before
    assert names(tmp_path) == {"out", "out.logs"}


SIGTERM_PROGRAM = """
import sys
sys.argv[1:] = {arguments!r}
sys.executable = {step!r}
from sigedge.cli import main
main()
"""


@pytest.mark.slow
def test_sigterm_ends_the_converters_and_removes_the_scratch_folder(
    checkpoint: Path, tmp_path: Path, repository: Path
) -> None:
    step, note = tmp_path / "step", tmp_path / "pid"
    step.write_text(f"#!/bin/sh\necho $$ > {note}.new && mv {note}.new {note} && exec sleep 600\n")
    step.chmod(0o755)
    arguments = ["export", str(checkpoint), "--out", str(tmp_path / "place" / "out"), "--no-cache", "--format", "onnx"]
    roots = os.pathsep.join(str(repository / root) for root in (".", "models", "export", "runtime"))
    code = SIGTERM_PROGRAM.format(arguments=[*arguments, "--precision", "float32"], step=str(step))
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": roots})
    while not note.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait() == 130
    assert names(tmp_path / "place") == {"out.logs"}
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


@pytest.mark.usefixtures("fake_chain")
def test_an_interruption_at_the_last_moment_restores_the_older_bundle(
    exported: Export,
    checkpoint: Path,
    tmp_path: Path,
    arguments: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(exported.bundle, tmp_path / "out")
    before = hash_tree(tmp_path / "out")
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.name == "bundle":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_bundle(checkpoint, tmp_path / "out", **arguments)
    assert hash_tree(tmp_path / "out") == before
    assert names(tmp_path) == {"out", "out.logs"}


@pytest.mark.parametrize("content", [None, "{", "[]", '{"name": "something else"}'])
def test_what_is_not_a_bundle_is_not_replaced(
    content: str | None, checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / ("chapter.txt" if content is None else MANIFEST)).write_text(content or "ten years of work")
    before = hash_tree(out)
    with pytest.raises(ExportError, match="thesis exists and is not a bundle"):
        export_bundle(checkpoint, out, **arguments)
    assert hash_tree(out) == before and names(tmp_path) == {"thesis"}


def test_a_file_is_not_replaced(checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ExportError, match="is not a bundle"):
        export_bundle(checkpoint, tmp_path / "out", **arguments)


def test_the_zip_is_not_what_one_names(checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(ExportError, match="name a folder"):
        export_bundle(checkpoint, tmp_path / "out.zip", **arguments)


def test_a_place_that_cannot_be_written_is_named(checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="Nothing can be written beside"):
        export_bundle(checkpoint, tmp_path / "file" / "out", **arguments)


def test_a_precision_without_tolerances_is_refused(checkpoint: Path, tmp_path: Path, arguments: dict[str, Any]) -> None:
    arguments |= {"tolerances": {}}
    with pytest.raises(ExportError, match="states no parity tolerances for float32"):
        export_bundle(checkpoint, tmp_path / "out", **arguments)
    assert names(tmp_path) == set()
