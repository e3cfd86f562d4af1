"""`sigedge build-engine` on the tiny bundle: for real where TensorRT-RTX is installed, which builds without a GPU."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None, reason="tensorrt-rtx-cu12-bindings is not installed"
)


@pytest.fixture
def options(master_bundle: Path, tmp_path: Path) -> tuple[object, ...]:
    return ("build-engine", master_bundle, "--ahead-of-time", "sm89", "--cache", tmp_path / "plans")


@needs_rtx
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_plan_is_built_once(run, options: tuple[object, ...], precision: str) -> None:
    first = run(*options, "--precision", precision)
    assert first.exit_code == 0, first.stderr
    assert first.stdout.startswith("Built in ") and f"SIGEDGE_TENSORRT_CACHE={options[-1]}" in first.stdout
    assert f"--engine tensorrt --precision {precision}" in first.stdout
    assert "1,024 parameters" in first.stderr
    again = run(*options, "--precision", precision)
    assert again.exit_code == 0 and again.stdout.startswith("Already there: ")
    assert run(*options, "--precision", precision, "--force").stdout.startswith("Built in ")


@needs_rtx
def test_the_result_as_json(run, options: tuple[object, ...]) -> None:
    result = run(*options, "--workspace-mib", "64", "--json", "-")
    payload = json.loads(result.stdout)
    assert payload["built_now"] is True and Path(payload["file"]).is_file()
    assert payload["plan"]["artifact"] == "tiny-float32-onnx" and payload["plan"]["workspace_mib"] == 64
    assert json.loads(run(*options, "--json", "-").stdout)["built_now"] is False


@needs_rtx
def test_a_damaged_plan_is_built_anew(run, options: tuple[object, ...]) -> None:
    plan = Path(json.loads(run(*options, "--json", "-").stdout)["file"])
    size = plan.stat().st_size
    plan.write_bytes(b"")
    assert run(*options).stdout.startswith("Built in ") and plan.stat().st_size == size


@needs_rtx
@pytest.mark.parametrize(
    ("changes", "word"),
    [
        (("--ahead-of-time", "sm12"), "choose one of sm75"),
        (("--precision", "float16"), "has no float16 onnx artefact; it holds"),
        (("--workspace-mib", "0"), "Usage:"),
    ],
)
def test_what_cannot_be_built_is_code_2(
    run, options: tuple[object, ...], changes: tuple[str, ...], word: str, tmp_path: Path
) -> None:
    result = run(*options, *changes)
    assert result.exit_code == 2 and word in result.stderr
    assert not (tmp_path / "plans").exists()


@needs_rtx
def test_a_folder_that_cannot_be_made_is_code_2(run, options: tuple[object, ...], tmp_path: Path) -> None:
    (tmp_path / "plans").touch()
    result = run(*options)
    assert result.exit_code == 2 and "cannot be written to" in result.stderr


def test_without_tensorrt_one_sentence_says_what_to_install(
    run, master_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    result = run("build-engine", master_bundle)
    assert result.exit_code == 2 and "Traceback" not in result.stderr
    assert "TensorRT cannot be loaded" in result.stderr and "on a Jetson use" in result.stderr
    result = run("build-engine", master_bundle, "--ahead-of-time", "sm89")
    assert result.exit_code == 2 and "pip install 'sigedge[tensorrt]'" in result.stderr


def test_serving_without_a_plan_or_gpu_is_code_2(run, master_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    result = run("selftest", master_bundle, "--engine", "tensorrt")
    assert result.exit_code == 2 and "TensorRT cannot be loaded" in result.stderr
