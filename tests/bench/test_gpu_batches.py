"""Batches on a GPU: what needs none is tested; no figure comes from here."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sigedge.bench.costs import Floor
from sigedge_runtime.errors import EngineError


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def batches(repository: Path) -> ModuleType:
    return load("gpu_batches", repository / "benchmarks" / "gpu_batches.py")


@pytest.fixture(scope="module")
def engines(repository: Path) -> ModuleType:
    return load("gpu_engines", repository / "benchmarks" / "gpu_engines.py")


@pytest.fixture
def network() -> Any:
    costs = load("costs_of_small_networks", Path(__file__).with_name("test_bench_costs.py"))
    return costs.convolution()


def run(model: Any, tensor: Any) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime", reason="running ONNX needs it (pip install 'sigedge[onnx]')")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": tensor})[0]


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_a_batch_gives_what_single_runs_give(engines: ModuleType, network: Any, batch: int) -> None:
    tensors = np.random.default_rng(0).normal(size=(batch, 1, 8, 6)).astype(np.float32)
    found = run(engines.with_batch(network, batch), tensors)
    singly = np.concatenate([run(network, tensors[index : index + 1]) for index in range(batch)])
    assert np.allclose(found, singly, atol=1e-4) and found.shape == (batch, 5)
    assert network.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1, "the model given stays as it is"


def test_a_model_of_another_batch_size_is_refused(engines: ModuleType, network: Any) -> None:
    with pytest.raises(EngineError, match="no batch size of 1"):
        engines.with_batch(engines.with_batch(network, 2), 4)


def test_canvases_fill_whole_batches(batches: ModuleType) -> None:
    canvases = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), np.uint8)
    tensors = list(batches.in_batches(canvases, 4, (1, 1, 2, 3)))
    assert [tensor.shape for tensor in tensors] == [(4, 1, 2, 3)] * 2
    assert [int(tensor[0, 0, 0]) for tensor in np.concatenate(tensors)] == [0, 1, 2, 3, 4, 0, 1, 2]
    assert tensors[0].dtype == np.float32


def test_a_floor_counts_the_copies_too(batches: ModuleType) -> None:
    tensor = SimpleNamespace(shape=(1, 1, 10, 10), dtype="float32")
    artifact = SimpleNamespace(input=tensor, output=SimpleNamespace(shape=(1, 100), dtype="float32"))
    transfer = batches.transfer_ms(artifact, 32, rate=800_000)
    assert transfer == pytest.approx(32.0)
    assert batches.whole_floor(Floor(1.0, 2.0, 2.5), transfer) == pytest.approx(34.5)


def test_who_does_not_open_is_named_and_the_others_run(batches: ModuleType) -> None:
    def absent() -> Any:
        raise RuntimeError("no GPU here\nand more")

    everybody = [
        batches.Contender("torch", "float16", 32, absent),
        batches.Contender("fake", "float32", 32, lambda: (lambda tensor: tensor, lambda: None)),
    ]
    ready, missing = batches.opened(iter(everybody))
    assert [contender.engine for contender, _, _ in ready] == ["fake"]
    assert missing == [{"contender": "torch float16, batch 32", "reason": "no GPU here"}]


def test_everybody_gets_a_row_beside_the_floor(batches: ModuleType, network: Any, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="costs of ONNX files need onnx (pip install 'sigedge[export]')")
    onnx.save(network, str(tmp_path / "small.onnx"))
    shape = SimpleNamespace(shape=(1, 1, 8, 6), dtype="float32")
    artifact = SimpleNamespace(
        precision="float32", file="small.onnx", input=shape, output=SimpleNamespace(shape=(1, 5), dtype="float32")
    )
    bundle = SimpleNamespace(
        artifacts=lambda format: (artifact,),
        artifact=lambda format, precision: artifact,
        path=lambda file: tmp_path / file,
    )
    contender = batches.Contender("fake", "float32", 4, lambda: None)

    def flattened(tensor: Any) -> Any:
        time.sleep(0.001)
        return tensor.reshape(len(tensor), -1)

    ready = [(contender, flattened, lambda: None)]
    canvases = np.zeros((6, 8, 6), np.uint8)
    rates = batches.Rates({"float32": 1e12}, 1e12, 1e12)
    (row,) = batches.timed_rows(ready, bundle, canvases, 3, rates, lambda found: {"rows": len(found)})
    assert row["latency_ms"]["n"] == 3 and row["parity"] == {"rows": 6} and row["times_floor"] > 1
    assert row["cost"]["multiply_accumulates"] == 4 * (8 * 6 * 4 * 9 + 192 * 5)
    (unknown,) = batches.timed_rows(ready, bundle, canvases, 3, None, lambda found: {})
    assert unknown["floor"] is None and unknown["times_floor"] is None
