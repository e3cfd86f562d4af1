"""Multiply-accumulates, bytes and floors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.bench.costs import (
    Operation,
    floor,
    int8_rate,
    memory_bandwidth,
    onnx_operations,
    tflite_operations,
    totals,
)
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import engine_class

numbers = st.integers(0, 10**9)
operations = st.lists(st.builds(Operation, st.just("Conv"), numbers, numbers, numbers), max_size=9)


@given(operations, st.floats(1e6, 1e12), st.floats(1e6, 1e12))
def test_a_floor_is_no_less_than_either_of_its_parts(found: list[Operation], rate: float, bandwidth: float) -> None:
    least = floor(found, rate, bandwidth)
    assert least.together_ms >= max(least.arithmetic_ms, least.memory_ms) * (1 - 1e-9)
    assert least.together_ms <= (least.arithmetic_ms + least.memory_ms) * (1 + 1e-9)
    twice = floor(found, 2 * rate, 2 * bandwidth)
    assert twice.together_ms == pytest.approx(least.together_ms / 2)


def test_the_shipped_network_costs_what_its_convolutions_do() -> None:
    with Bundle.open() as bundle:
        artifact = bundle.artifact(format="tflite", precision="int8")
        found = tflite_operations(bundle.path(artifact.file), engine_class("litert").library())
        parameters = bundle.manifest.model.parameters
    counted = totals(found)
    assert parameters <= counted["weight_bytes"] < 1.1 * parameters, "int8 weights, and biases of four bytes"
    height, width = artifact.input.canvas_shape
    assert counted["multiply_accumulates"] > height * width, "every pixel is read by some kernel"
    assert all((one.activation_bytes == 0) == (one.multiply_accumulates == 0) for one in found)


def convolution(precision: str = "float32") -> Any:
    """Conv 1 to 4 channels, 3x3, on 8x6, ReLU, then a matrix product to 5; quantised where wanted."""
    onnx = pytest.importorskip("onnx", reason="costs of ONNX files need onnx (pip install 'sigedge[export]')")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    kernel = onnx.numpy_helper.from_array(np.ones((4, 1, 3, 3), np.float32), "kernel")
    shape = onnx.numpy_helper.from_array(np.array([1, 192], np.int64), "shape")
    matrix = onnx.numpy_helper.from_array(np.ones((192, 5), np.float32), "matrix")
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Reshape", ["b", "shape"], ["c"]),
        helper.make_node("MatMul", ["c", "matrix"], ["y"]),
    ]
    constants = [kernel, shape, matrix]
    if precision == "int8":
        constants[0] = onnx.numpy_helper.from_array(np.ones((4, 1, 3, 3), np.int8), "kernel_stored")
        constants += [onnx.numpy_helper.from_array(np.array(1, np.float32), "scale")]
        constants += [onnx.numpy_helper.from_array(np.array(0, np.int8), "zero")]
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["x_stored"]),
            helper.make_node("DequantizeLinear", ["x_stored", "scale", "zero"], ["x_again"]),
            helper.make_node("DequantizeLinear", ["kernel_stored", "scale", "zero"], ["kernel"]),
            helper.make_node("Conv", ["x_again", "kernel"], ["a"], pads=[1, 1, 1, 1]),
            *nodes[1:],
        ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", kind, [1, 1, 8, 6])],
        [helper.make_tensor_value_info("y", kind, [1, 5])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)


@pytest.mark.parametrize("batch", [1, 32])
def test_an_onnx_file_is_counted_by_hand(batch: int) -> None:
    found = {one.kind: one for one in onnx_operations(convolution(), batch)}
    assert found["Conv"] == Operation("Conv", batch * 8 * 6 * 4 * 9, 4 * 36, batch * 4 * (48 + 192))
    assert found["MatMul"] == Operation("MatMul", batch * 192 * 5, 4 * 960, batch * 4 * (192 + 5))
    assert found["Relu"].multiply_accumulates == found["Relu"].activation_bytes == 0


def test_quantised_tensors_count_as_they_are_stored() -> None:
    found = {one.kind: one for one in onnx_operations(convolution("int8"))}
    assert set(found) == {"Conv", "Relu", "Reshape", "MatMul"}
    assert found["Conv"].weight_bytes == 36 and found["Conv"].multiply_accumulates == 8 * 6 * 4 * 9
    assert found["Conv"].activation_bytes == 48 + 4 * 192, "integers in; what comes out is not quantised here"


def test_rates_are_those_of_a_machine() -> None:
    assert 1e8 < memory_bandwidth(2**20, seconds=0.05) < 1e13
    rate = int8_rate(seconds=0.05)
    assert rate is None or 1e8 < rate < 1e14


def test_a_file_is_read_without_running_it(tmp_path: Path) -> None:
    class Library:
        class Interpreter:
            def __init__(self, model_path: str) -> None:
                self.path = model_path

            def get_tensor_details(self) -> list[dict[str, Any]]:
                shapes = {0: (1, 4, 4, 2), 1: (3, 3, 3, 2), 2: (1, 4, 4, 3), 3: (1, 3, 3, 3), 4: (1, 4, 4, 3)}
                return [{"index": i, "shape": np.array(s), "dtype": np.int8} for i, s in shapes.items()]

            def get_input_details(self) -> list[dict[str, Any]]:
                return [{"index": 0}]

            def _get_ops_details(self) -> list[dict[str, Any]]:
                return [
                    {"op_name": "CONV_2D", "inputs": [0, 1, -1], "outputs": [2]},
                    {"op_name": "DEPTHWISE_CONV_2D", "inputs": [2, 3], "outputs": [4]},
                    {"op_name": "ADD", "inputs": [2, 4], "outputs": [4]},
                ]

    conv, depthwise, add = tflite_operations(tmp_path / "x.tflite", Library)
    assert conv == Operation("CONV_2D", 48 * 18, 54, 32 + 48)
    assert depthwise == Operation("DEPTHWISE_CONV_2D", 48 * 9, 27, 48 + 48)
    assert add == Operation("ADD", 0, 0, 0)
