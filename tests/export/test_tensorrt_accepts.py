"""TensorRT-RTX builds engines on a machine without a GPU: what it parses and builds, a Jetson's TensorRT parses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from sigedge_export import Export

trt: Any = pytest.importorskip("tensorrt_rtx_bindings", reason="tensorrt-rtx-cu12-bindings is not installed")


def build(path: Path) -> tuple[bytes | None, list[str]]:
    """Plan and parser errors of a strongly typed build for the Ada generation."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(path.read_bytes()):
        return None, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    plan = builder.build_serialized_network(network, config)
    return (None if plan is None else bytes(plan)), []


@pytest.mark.parametrize("name", ["small-float32.onnx", "small-int8.onnx"])
def test_every_exported_graph_builds(exported: Export, name: str) -> None:
    plan, errors = build(exported.bundle / "artifacts" / name)
    assert errors == []
    assert plan is not None and len(plan) > 1000


def test_the_build_can_fail(exported: Export, tmp_path: Path) -> None:
    model = onnx.load(exported.bundle / "artifacts" / "small-float32.onnx")
    kernel = next(weight for weight in model.graph.initializer if len(weight.dims) == 4)
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel)[:, :, :1], kernel.name))
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, tmp_path / "broken.onnx")
    plan, errors = build(tmp_path / "broken.onnx")
    assert plan is None and errors
