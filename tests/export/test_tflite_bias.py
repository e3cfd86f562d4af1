"""Bias correction of TFLite files: the engine's own means say whether it is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_export.calibration.tflite_bias import _layers, _mean_outputs, correct_tflite_biases
from sigedge_export.watching import dequantised, open_interpreter

HEIGHT, WIDTH = 12, 17
INK = np.linspace(0, 0.8, HEIGHT)[:, None] * np.linspace(1, 0, WIDTH) ** 2
CANVASES = ((np.random.default_rng(0).random((8, HEIGHT, WIDTH)) < INK) * 255).astype(np.uint8)
"""Denser in one corner, so that every tap of a kernel sees another mean."""
STEM = 4
"""Channels that the first layer makes of a canvas."""
STEP = 0.1
"""Of the second layer's output, where it is int8."""

OPERATORS, TYPES = schema.BuiltinOperator, schema.TensorType
DTYPES = {np.dtype(np.float32): TYPES.FLOAT32, np.dtype(np.int8): TYPES.INT8, np.dtype(np.uint8): TYPES.UINT8}
DTYPES |= {np.dtype(np.int32): TYPES.INT32}


@dataclass(frozen=True)
class Second:
    """The second layer of a network of two."""

    kind: str = "conv"
    taps: tuple[int, int] = (3, 3)
    stride: int = 1
    dilation: int = 1
    same: bool = True
    groups: int = 1

    def kernel(self, rng: np.random.Generator) -> NDArray[np.float32]:
        shape = {
            "conv": (6, *self.taps, STEM // self.groups),
            "depthwise": (1, *self.taps, 2 * STEM),
            "dense": (6, HEIGHT * WIDTH * STEM),
        }[self.kind]
        return rng.normal(0, 0.05 if self.kind == "dense" else 0.2, shape).astype(np.float32)


class Builder:
    """A TFLite file, tensor by tensor."""

    def __init__(self) -> None:
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.graph.outputs = [], [], []
        self.model.version, self.model.operatorCodes, self.model.subgraphs = 3, [], [self.graph]
        self.model.buffers = [schema.BufferT()]

    def tensor(self, shape: Any, dtype: Any, scales: Any = (), zero: int = 0, axis: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), DTYPES[np.dtype(dtype)], 0
        tensor.name = f"t{len(self.graph.tensors)}"
        if len(scales):
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = list(scales), [zero] * len(scales)
            tensor.quantization.quantizedDimension = axis
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, values: NDArray[Any], scales: Any = (), axis: int = 0) -> int:
        index = self.tensor(values.shape, values.dtype, scales, axis=axis)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.graph.tensors[index].buffer = len(self.model.buffers)
        self.model.buffers.append(buffer)
        return index

    def operator(self, code: int, inputs: list[int], output: int, options: Any = None) -> None:
        entry, kind = schema.OperatorT(), schema.OperatorCodeT()
        kind.builtinCode = kind.deprecatedBuiltinCode = code
        kind.version = 3 if options is not None else 1
        entry.opcodeIndex, entry.inputs, entry.outputs = len(self.model.operatorCodes), inputs, [output]
        if options is not None:
            entry.builtinOptions = options
            entry.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.model.operatorCodes.append(kind)
        self.graph.operators.append(entry)

    def content(self) -> bytes:
        self.graph.inputs, self.graph.outputs = [0], [len(self.graph.tensors) - 1]
        builder = flatbuffers.Builder(1 << 12)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def options_of(second: Second, *, relu: bool) -> tuple[int, Any]:
    """Operator and options of a layer."""
    activations = schema.ActivationFunctionType
    fused = activations.RELU if relu else activations.NONE
    if second.kind == "dense":
        dense = schema.FullyConnectedOptionsT()
        dense.fusedActivationFunction = fused
        return OPERATORS.FULLY_CONNECTED, dense
    depthwise = second.kind == "depthwise"
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME if second.same else schema.Padding.VALID
    options.strideH = options.strideW = second.stride
    options.dilationHFactor = options.dilationWFactor = second.dilation
    options.fusedActivationFunction = fused
    if depthwise:
        options.depthMultiplier = 2
    return (OPERATORS.DEPTHWISE_CONV_2D if depthwise else OPERATORS.CONV_2D), options


def extent(second: Second) -> tuple[int, ...]:
    """Shape of the second layer's output."""
    if second.kind == "dense":
        return 1, 6
    sides = []
    for length, taps in zip((HEIGHT, WIDTH), second.taps, strict=True):
        covered = length if second.same else length - (taps - 1) * second.dilation
        sides.append(-(-covered // second.stride))
    return 1, *sides, (2 * STEM if second.kind == "depthwise" else 6)


def network(second: Second, *, rounded: bool, biases: str = "own") -> bytes:
    """Canvas, a convolution with ReLU, the second layer without; in float, or in int8 with all weights rounded down.

    Rounded down instead of to nearest, each kernel lacks half a step a tap: the shift that correction shall find.
    """
    rng, made = np.random.default_rng(1), Builder()
    canvas = made.tensor((1, HEIGHT, WIDTH, 1), np.uint8 if rounded else np.float32, (1.0,) if rounded else ())
    if rounded:
        levels = made.tensor((1, HEIGHT, WIDTH, 1), np.int8, (1.0,), -128)
        made.operator(OPERATORS.QUANTIZE, [canvas], levels)
        canvas = levels
    stem = rng.normal(0.002, 0.004, (STEM, 3, 3, 1)).astype(np.float32)
    inner = (1, HEIGHT, WIDTH, STEM)
    output, operator = (0.04, -128), options_of(Second(), relu=True)
    taken = layer(made, canvas, 1.0, stem, rng, inner, output, operator, rounded, biases)
    kernel, output, operator = second.kernel(rng), (STEP, 0), options_of(second, relu=False)
    layer(made, taken, 0.04, kernel, rng, extent(second), output, operator, rounded, biases)
    if biases == "shared":
        end = made.graph.tensors.pop()
        biased = [made.graph.tensors[entry.inputs[2]] for entry in made.graph.operators if len(entry.inputs) == 3]
        made.graph.tensors += [*biased, end]
        made.graph.operators[-1].outputs = [len(made.graph.tensors) - 1]
    return made.content()


def layer(
    made: Builder,
    taken: int,
    step: float,
    kernel: NDArray[np.float32],
    rng: np.random.Generator,
    shape: tuple[int, ...],
    output: tuple[float, int],
    operator: tuple[int, Any],
    rounded: bool,
    biases: str,
) -> int:
    """Add an operator with its constants; `output` is the scale and zero point that the int8 tensor gets."""
    code, options = operator
    axis = 3 if code == OPERATORS.DEPTHWISE_CONV_2D else 0
    bias = rng.normal(0, 0.3, kernel.shape[axis]).astype(np.float32)
    inputs = [taken]
    if rounded:
        away = tuple(place for place in range(kernel.ndim) if place != axis)
        scales = np.abs(kernel).max(axis=away) / 120
        levels = np.floor(kernel / np.expand_dims(scales, away)).astype(np.int8)
        inputs.append(made.constant(levels, scales, axis))
        stored = made.constant(np.rint(bias / (step * scales)).astype(np.int32), step * scales)
    else:
        inputs.append(made.constant(kernel))
        stored = made.constant(bias)
    # An integer convolution must have a bias.
    inputs.append(-1 if biases == "none" and code == OPERATORS.FULLY_CONNECTED else stored)
    result = made.tensor(shape, np.int8, output[:1], output[1]) if rounded else made.tensor(shape, np.float32)
    made.operator(code, inputs, result, options)
    return result


def means(model: bytes) -> list[NDArray[np.float64]]:
    """What the engine makes of the canvases, by channel, of both layers; the second has no activation."""
    interpreter = open_interpreter(model)
    (taken,) = interpreter.get_input_details()
    details = {entry["index"]: entry for entry in interpreter.get_tensor_details()}
    file = schema.ModelT.InitFromPackedBuf(model, 0)
    outputs = [int(entry.outputs[0]) for entry in file.subgraphs[0].operators if len(entry.inputs) > 1]
    totals = [np.zeros(details[index]["shape"][-1]) for index in outputs]
    for canvas in CANVASES:
        interpreter.set_tensor(taken["index"], canvas[None, :, :, None].astype(taken["dtype"]))
        interpreter.invoke()
        for total, index in zip(totals, outputs, strict=True):
            values = dequantised(interpreter, details[index]).astype(np.float64)
            total += values.reshape(-1, values.shape[-1]).mean(axis=0) / len(CANVASES)
    return totals


def changed_buffers(before: bytes, after: bytes) -> list[int]:
    """Numbers of values, 4 bytes each, of the buffers that differ; all else must be equal byte for byte."""
    models = [schema.ModelT.InitFromPackedBuf(content, 0) for content in (before, after)]
    buffers = [[bytes(() if buffer.data is None else buffer.data) for buffer in model.buffers] for model in models]
    changed = [(old, new) for old, new in zip(*buffers, strict=True) if old != new]
    for old, new in changed:
        assert before.count(old) == 1
        before = before.replace(old, new)
    assert before == after
    return [len(old) // 4 for old, _ in changed]


def drift(model: bytes, exact: bytes) -> list[float]:
    """Largest error of a channel's mean before an activation in each layer, in steps of the bias."""
    layers = _layers(model)
    pairs = zip(
        _mean_outputs(model, layers, CANVASES), _mean_outputs(exact, _layers(exact), CANVASES), layers, strict=True
    )
    steps = (1.0, 0.04)  # of the layers' inputs
    errors = [np.abs(found - mean).max() / layer.step for found, mean, layer in pairs]
    return [float(error) / step for error, step in zip(errors, steps, strict=True)]


@pytest.mark.parametrize(
    "second",
    [
        Second(),
        Second(stride=2, same=False),
        Second(taps=(5, 2), stride=3, dilation=2),
        Second(groups=2),
        Second("depthwise", stride=2),
        Second("dense"),
    ],
    ids=str,
)
def test_a_planted_shift_is_removed_in_every_layer(second: Second) -> None:
    exact, kept = network(second, rounded=False), network(second, rounded=True)
    corrected = correct_tflite_biases(exact, kept, CANVASES)
    assert min(drift(kept, exact)) > 3 and max(drift(corrected, exact)) < 0.51
    before, after = (float(np.abs(means(model)[1] - means(exact)[1]).max()) for model in (kept, corrected))
    assert after < min(before, 0.25 * STEP), "what is left is how the output itself rounds"


@settings(max_examples=25, deadline=None)
@given(
    second=st.builds(
        Second,
        kind=st.sampled_from(["conv", "depthwise"]),
        taps=st.tuples(st.integers(1, 4), st.integers(1, 4)),
        stride=st.integers(1, 4),
        dilation=st.integers(1, 3),
        same=st.booleans(),
    ).filter(lambda second: second.stride == 1 or second.dilation == 1)
)
def test_the_mean_of_a_layer_is_that_of_the_engine(second: Second) -> None:
    model = network(second, rounded=False)
    (found,) = _mean_outputs(model, _layers(model)[1:], CANVASES)
    assert found == pytest.approx(means(model)[1], abs=1e-4)


def test_nothing_but_biases_changes_and_twice_the_same_bytes_come() -> None:
    exact, kept = network(Second(), rounded=False), network(Second(), rounded=True)
    corrected = correct_tflite_biases(exact, kept, CANVASES)
    assert corrected == correct_tflite_biases(exact, kept, CANVASES)
    assert corrected == correct_tflite_biases(exact, corrected, CANVASES), "no shift is left"
    assert changed_buffers(kept, corrected) == [STEM, 6], "the two biases alone"


def test_a_layer_without_a_bias_is_left_alone() -> None:
    exact, kept = (network(Second("dense"), rounded=rounded, biases="none") for rounded in (False, True))
    assert changed_buffers(kept, correct_tflite_biases(exact, kept, CANVASES)) == [STEM]


def test_a_bias_that_is_not_the_layers_own_is_left_alone() -> None:
    kept = network(Second(), rounded=True, biases="shared")
    assert correct_tflite_biases(network(Second(), rounded=False), kept, CANVASES) == kept


def test_a_layer_whose_kernel_the_float_model_lacks_is_left_alone() -> None:
    kept = network(Second(), rounded=True)
    corrected = correct_tflite_biases(network(Second(taps=(2, 2)), rounded=False), kept, CANVASES)
    assert changed_buffers(kept, corrected) == [STEM]


def test_a_float_layer_of_a_mixed_file_takes_the_shift_of_those_before_it_as_it_is() -> None:
    exact = network(Second(), rounded=False)
    file = schema.ModelT.InitFromPackedBuf(exact, 0)
    bias = file.subgraphs[0].tensors[file.subgraphs[0].operators[1].inputs[2]].buffer
    values = np.frombuffer(bytes(file.buffers[bias].data), np.float32)
    file.buffers[bias].data = np.frombuffer((values + np.float32(0.7)).tobytes(), np.uint8)
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(file.Pack(builder), b"TFL3")
    shifted = bytes(builder.Output())
    assert means(shifted)[1] == pytest.approx(means(exact)[1] + 0.7, abs=1e-4)
    assert means(correct_tflite_biases(exact, shifted, CANVASES))[1] == pytest.approx(means(exact)[1], abs=1e-4)
