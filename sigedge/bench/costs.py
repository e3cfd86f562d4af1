"""What a network cannot do without: multiply-accumulates and bytes moved, operation by operation, and what they take.

The floor of an operation is the longer of two times: its multiply-accumulates at the processor's rate, and its bytes,
weights, inputs and outputs each moved once, at the memory's rate (S. Williams et al., "Roofline", CACM 52(4), 2009).
Operations without multiply-accumulates move nothing: an engine joins them to their neighbours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SECONDS = 0.5
MATRIX = 1024
COPIED_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Operation:
    """One operation of a network on a batch.

    Attributes:
        kind: as the file calls it, e.g. ``CONV_2D`` or ``Conv``.
        multiply_accumulates: of convolutions and matrix products; 0 for others.
        weight_bytes: of constants, which are moved once a batch.
        activation_bytes: of inputs and outputs of an operation that multiplies.
    """

    kind: str
    multiply_accumulates: int
    weight_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class Floor:
    """The least that operations can take, milliseconds.

    Attributes:
        arithmetic_ms: all multiply-accumulates at the processor's rate.
        memory_ms: all bytes at the memory's rate.
        together_ms: the sum over operations of the longer of the two.
    """

    arithmetic_ms: float
    memory_ms: float
    together_ms: float


def floor(operations: Iterable[Operation], rate: float, bandwidth: float) -> Floor:
    """The floor of operations that run one after the other.

    Args:
        operations: of `tflite_operations` or `onnx_operations`.
        rate: multiply-accumulates a second, above 0.
        bandwidth: bytes a second, above 0.
    """
    arithmetic = [1e3 * one.multiply_accumulates / rate for one in operations]
    memory = [1e3 * (one.weight_bytes + one.activation_bytes) / bandwidth for one in operations]
    longer = sum(max(pair) for pair in zip(arithmetic, memory, strict=True))
    return Floor(sum(arithmetic), sum(memory), longer)


def tflite_operations(path: Path, library: Any) -> list[Operation]:
    """Operations of a ``.tflite`` file with static shapes.

    Args:
        path: the file.
        library: module of an interpreter, e.g. ``ai_edge_litert.interpreter``.
    """
    # Without allocating, no delegate has replaced any operation yet.
    interpreter = library.Interpreter(model_path=str(path))
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    made = {int(index) for detail in interpreter._get_ops_details() for index in detail["outputs"]}
    made |= {detail["index"] for detail in interpreter.get_input_details()}
    return [_of_tflite(operation, tensors, made) for operation in interpreter._get_ops_details()]


def _of_tflite(operation: dict[str, Any], tensors: dict[int, Any], made: set[int]) -> Operation:
    inputs = [int(index) for index in operation["inputs"] if index >= 0]
    output = tensors[int(operation["outputs"][0])]
    kind, elements = operation["op_name"], math.prod(int(side) for side in output["shape"])
    each = 0
    if kind in ("CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"):
        each = math.prod(int(side) for side in tensors[inputs[1]]["shape"][1:])
    elif kind == "DEPTHWISE_CONV_2D":
        each = math.prod(int(side) for side in tensors[inputs[1]]["shape"][1:3])
    weights = sum(_bytes(tensors[index]) for index in inputs if index not in made)
    activations = sum(_bytes(tensors[index]) for index in inputs if index in made) + _bytes(output)
    return Operation(kind, elements * each, weights, activations if each else 0)


def _bytes(tensor: dict[str, Any]) -> int:
    return math.prod(int(side) for side in tensor["shape"]) * np.dtype(tensor["dtype"]).itemsize


def onnx_operations(model: Any, batch: int = 1) -> list[Operation]:
    """Operations of an ONNX model with static shapes and batch 1, on a batch.

    Quantise and dequantise nodes count for nothing: an engine fuses them into their neighbours.

    Args:
        model: `onnx.ModelProto`.
        batch: what multiply-accumulates and activations are multiplied with.
    """
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = dict(_onnx_shapes(graph))
    constants = {one.name: (tuple(one.dims), _onnx_size(one.data_type)) for one in graph.initializer}
    # Where a tensor passes a quantise or dequantise node, the integers are what lies in memory.
    stored = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    stored |= {node.input[0]: node.output[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    return [
        _of_onnx(node, shapes, constants, stored, batch)
        for node in graph.node
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear", "Constant")
    ]


def _of_onnx(
    node: Any,
    shapes: dict[str, tuple[tuple[int, ...], int]],
    constants: dict[str, tuple[tuple[int, ...], int]],
    stored: dict[str, str],
    batch: int,
) -> Operation:
    inputs = [stored.get(name, name) for name in node.input if name]
    weights = [constants[name] for name in inputs if name in constants]
    output = shapes.get(stored.get(node.output[0], node.output[0]), ((), 0))
    each = 0
    if node.op_type == "Conv" and weights:
        each = math.prod(weights[0][0][1:])
    elif node.op_type in ("Gemm", "MatMul") and weights:
        each = math.prod(weights[0][0]) // max(1, output[0][-1])
    activations = [shapes[name] for name in inputs if name in shapes and name not in constants]
    return Operation(
        node.op_type,
        batch * each * math.prod(output[0]),
        sum(size * math.prod(shape) for shape, size in weights),
        batch * sum(size * math.prod(shape) for shape, size in [*activations, output]) if each else 0,
    )


def _onnx_shapes(graph: Any) -> Iterator[tuple[str, tuple[tuple[int, ...], int]]]:
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        yield value.name, (tuple(side.dim_value for side in tensor.shape.dim), _onnx_size(tensor.elem_type))


def _onnx_size(element: int) -> int:
    import onnx

    return int(onnx.helper.tensor_dtype_to_np_dtype(element).itemsize)


def memory_bandwidth(size: int = COPIED_BYTES, seconds: float = SECONDS) -> float:
    """Bytes a second that one thread reads and writes while it copies an array of so many bytes again and again.

    256 MiB, far more than caches hold, measure the memory; what fits into a cache measures that.
    """
    source = np.ones(size, np.uint8)
    target = np.empty_like(source)
    return 2 * size / _fastest(lambda: np.copyto(target, source), seconds)


def int8_rate(seconds: float = SECONDS) -> float | None:
    """Multiply-accumulates a second of one thread: the best of the integer matrix products that are installed.

    None where neither ONNX Runtime (with onnx) nor PyTorch is.
    """
    rates = [rate for rate in (_onnxruntime_rate(seconds), _torch_rate(seconds)) if rate is not None]
    return max(rates, default=None)


def _onnxruntime_rate(seconds: float) -> float | None:
    try:
        import onnxruntime
        from onnx import TensorProto, helper
    except ImportError:
        return None
    shape = [MATRIX, MATRIX]
    node = helper.make_node("MatMulInteger", ["a", "b"], ["c"])
    weights = np.ones(shape, np.int8)
    graph = helper.make_graph(
        [node],
        "rate",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("c", TensorProto.INT32, shape)],
        [helper.make_tensor("b", TensorProto.INT8, shape, weights.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"a": np.ones(shape, np.uint8)}
    return MATRIX**3 / _fastest(lambda: session.run(None, feed), seconds)


def _torch_rate(seconds: float) -> float | None:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    one = torch.ones((MATRIX, MATRIX), dtype=torch.int8)
    product: Callable[..., Any] | None = getattr(torch, "_int_mm", None)
    return None if product is None else MATRIX**3 / _fastest(lambda: product(one, one), seconds)


def _fastest(run: Callable[[], Any], seconds: float) -> float:
    """Seconds of the fastest of as many calls as fit: a rate is what the machine can do undisturbed."""
    run()
    found: list[float] = []
    end = time.perf_counter() + seconds
    while not found or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def totals(operations: Sequence[Operation]) -> dict[str, int]:
    """Multiply-accumulates, weight bytes and activation bytes of all operations."""
    names = ("multiply_accumulates", "weight_bytes", "activation_bytes")
    return {name: sum(getattr(one, name) for one in operations) for name in names}
