"""The script that measures TensorRT on a GPU, run whole on the fake: its figures mean nothing, its structure does."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, expected: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> Any:
    fake = load("fake_tensorrt", Path(__file__).with_name("fake_tensorrt.py"))
    recorder = fake.Recorder(lambda tensor: expected(tensor[0, 0]))
    recorder.install(monkeypatch)
    return recorder


@pytest.fixture(scope="module")
def script(repository: Path) -> ModuleType:
    return load("tensorrt_gpu", repository / "benchmarks" / "tensorrt_gpu.py")


@pytest.fixture
def arguments(master_bundle: Path, tmp_path: Path) -> list[str]:
    options = {"--out": tmp_path / "result.json", "--cache": tmp_path / "plans", "--repeats": 3, "--signers": 2}
    return [str(master_bundle), *(str(part) for option in options.items() for part in option)]


def test_the_result_file_holds_what_was_measured_and_on_what(
    gpu: Any, script: ModuleType, arguments: list[str]
) -> None:
    result = json.loads(script.main(arguments).read_text())
    assert result["meta"]["gpu"] == {
        "gpu": "Fake GPU",
        "compute_capability": "8.7",
        "tensorrt": "TensorRT 10.3.0",
        "cuda_runtime": "12.6",
        "cuda_driver": "12.8",
        "clocks": "not locked by this script",
        "power_mode": result["meta"]["gpu"]["power_mode"],
    }
    assert result["meta"]["model"]["checkpoint_sha256"] == "ab" * 32
    assert [row["precision"] for row in result["rows"]] == ["float32", "int8"]
    assert result["not_in_bundle"] == ["float16"]
    for row in result["rows"]:
        assert row["plan"]["artifact"] == row["artifact"] and row["graph_equals_enqueue"] is True
        assert {way: row["latency_ms"][way]["n"] for way in ("graph", "enqueue")} == {"graph": 3, "enqueue": 3}
    assert result["rows"][0]["parity"]["flipped"] == 0
    assert result["rows"][0]["parity"]["max_score_difference"] < 1e-5
    assert not gpu.live
    beside = result["batches"]
    assert beside["rates"] is None and {(row["engine"], row["batch"]) for row in beside["rows"]} == {("tensorrt", 1)}
    assert all(row["latency_ms"]["n"] == 3 and row["floor"] is None for row in beside["rows"])
    named = {entry["contender"] for entry in beside["not_run"]}
    assert {"rates of the GPU", "tensorrt int8, batch 256", "onnxruntime-cuda float32, batch 1"} <= named


def test_a_wrong_result_shows(gpu: Any, script: ModuleType, arguments: list[str]) -> None:
    right = gpu.compute
    gpu.compute = lambda tensor: right(tensor[:, :, ::-1])
    row = json.loads(script.main(arguments).read_text())["rows"][0]
    assert row["parity"]["max_score_difference"] > 0.01


def test_plans_are_compared_as_the_bundle_compares(
    gpu: Any, script: ModuleType, cells_bundle: Path, arguments: list[str]
) -> None:
    right = gpu.compute
    # Cosines stay as they are when all embeddings are turned alike, but numbers leave their cells.
    gpu.compute = lambda tensor: np.roll(right(tensor), 2)
    found = {}
    for folder in (arguments[0], str(cells_bundle)):
        row = json.loads(script.main([folder, *arguments[1:]]).read_text())["rows"][0]
        found[Path(folder).name] = row["parity"]["max_score_difference"]
    assert found["tiny"] < 1e-5 and found["cells"] > 0.01


def test_figures_without_a_graph_are_not_written_as_those_with_one(
    gpu: Any, script: ModuleType, arguments: list[str], tmp_path: Path
) -> None:
    gpu.fail = {"cudaStreamEndCapture": 1}
    with pytest.raises(SystemExit, match="runs without a CUDA graph"):
        script.main(arguments)
    assert not (tmp_path / "result.json").exists() and not gpu.live


def test_the_default_name_is_of_model_and_gpu(script: ModuleType) -> None:
    assert script.slug("NVIDIA Orin (nvgpu)") == "nvidia-orin-nvgpu"
    assert script.cuda_version(12060) == "12.6"
