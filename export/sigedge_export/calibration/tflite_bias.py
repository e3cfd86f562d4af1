"""Bias correction in TFLite files: `sigedge_export.calibration.bias` says what for.

An activation fused into a layer hides what comes before it, and a TFLite file has no other tensor for that. A layer is
linear, though: its mean output by channel follows from its mean input under each tap of its kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from sigedge_export.calibration.bias import some_canvases
from sigedge_export.watching import dequantised, open_interpreter

CORRECTED_OPERATORS = (
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
)
BIAS_TYPES: dict[int, Any] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
}

Canvases = NDArray[np.uint8]
Means = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Layer:
    """One operator of a file.

    Attributes:
        input: index of the tensor that it reads.
        kernel: float32 [O, kh, kw, I / groups], dequantised; a fully connected layer has one tap, a depthwise one as
            many groups as input channels.
        step: the most that rounding may have moved a weight; 0 for a kernel in float.
        bias: index of its tensor; -1 without one.
        options: of the operator; strides, dilations and padding where it is a convolution.
    """

    input: int
    kernel: NDArray[np.float32]
    step: float
    bias: int
    options: Any

    def rounds(self, other: _Layer) -> bool:
        """Whether the kernel is the other one but for rounding."""
        if self.kernel.shape != other.kernel.shape:
            return False
        return bool(np.abs(self.kernel - other.kernel).max() <= self.step)

    def mean_patch(self, values: NDArray[np.float32]) -> Means:
        """The mean input under each tap, [kh, kw, I], of an input [1, H, W, I] or, fully connected, [..., I]."""
        options, (rows, columns, inputs) = self.options, self.kernel.shape[1:]
        if not hasattr(options, "padding"):
            return np.asarray(values.reshape(-1, 1, 1, inputs).mean(axis=0, dtype=np.float64))
        same = options.padding == schema.Padding.SAME
        down = _shares(values.shape[1], rows, options.strideH, options.dilationHFactor, same)
        across = _shares(values.shape[2], columns, options.strideW, options.dilationWFactor, same)
        patch: Means = np.einsum("yh,hwi,xw->yxi", down, values[0], across, optimize=True)
        return patch

    def mean_output(self, patch: Means) -> Means:
        """The mean output without bias, [O], of a mean patch [kh, kw, I]."""
        outputs, rows, columns, inputs = self.kernel.shape
        groups = patch.shape[2] // inputs
        kernel = self.kernel.reshape(groups, outputs // groups, rows, columns, inputs)
        mean: Means = np.einsum("goyxi,yxgi->go", kernel, patch.reshape(rows, columns, groups, inputs))
        return mean.ravel()


def correct_tflite_biases(float_model: bytes, quantised_model: bytes, canvases: Canvases) -> bytes:
    """Change the biases of a quantised file so that each layer's mean output by channel is the float model's.

    The means are those before an activation. Layers are corrected in the order of the file, each with those before it
    corrected (M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019,
    section 4.2). Left alone are operators not in `CORRECTED_OPERATORS`, layers without a bias of their own, and those
    whose kernel the float model does not have.

    Args:
        float_model: content of the float32 file, input [1, H, W, 1] of canvas values.
        quantised_model: content of a file made of it, with the same input in any type.
        canvases: uint8 [N, H, W] that calibration saw; `some_canvases` of them are taken.

    Returns:
        Content of the corrected file; nothing but biases differs from `quantised_model`.
    """
    some, content = some_canvases(canvases), bytearray(quantised_model)
    pairs = _pairs(float_model, quantised_model)
    wanted = _mean_outputs(float_model, [exact for exact, _ in pairs], some)
    for (_, layer), mean in zip(pairs, wanted, strict=True):
        (found,) = _mean_outputs(bytes(content), [layer], some)
        _shift_bias(content, layer.bias, mean - found)
    return bytes(content)


def _pairs(float_model: bytes, quantised_model: bytes) -> list[tuple[_Layer, _Layer]]:
    """Each layer to correct, after the one in float whose kernel it rounds: converters rename outputs."""
    own, exact, pairs = _own_biases(quantised_model), _layers(float_model), []
    for layer in _layers(quantised_model):
        partner = next((other for other in exact if layer.rounds(other)), None)
        if partner is not None:
            exact.remove(partner)
            pairs.append((partner, layer))
    return [(partner, layer) for partner, layer in pairs if layer.bias in own]


def _layers(model: bytes) -> list[_Layer]:
    interpreter = open_interpreter(model)
    details = {entry["index"]: entry for entry in interpreter.get_tensor_details()}
    file = schema.ModelT.InitFromPackedBuf(model, 0)
    found = []
    for operator in file.subgraphs[0].operators:
        code = file.operatorCodes[operator.opcodeIndex]
        # Old files have the old field only.
        if max(code.builtinCode, code.deprecatedBuiltinCode) not in CORRECTED_OPERATORS:
            continue
        given, kernel, bias = [*map(int, operator.inputs), -1][:3]
        values = dequantised(interpreter, details[kernel])
        if values.ndim == 2:
            values = values[:, None, None]
        elif hasattr(operator.builtinOptions, "depthMultiplier"):
            values = values.transpose(3, 1, 2, 0)
        step = max(details[kernel]["quantization_parameters"]["scales"], default=0.0)
        found.append(_Layer(given, values, float(step), bias, operator.builtinOptions))
    return found


def _own_biases(model: bytes) -> set[int]:
    """Tensors that may be biases and that one operator reads, in a buffer that holds no other tensor."""
    file = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = file.subgraphs[0]
    read = [int(index) for operator in graph.operators for index in operator.inputs]
    held = [tensor.buffer for tensor in graph.tensors]
    return {
        index
        for index, tensor in enumerate(graph.tensors)
        if tensor.type in BIAS_TYPES
        and read.count(index) == held.count(tensor.buffer) == 1
        and file.buffers[tensor.buffer].data is not None
    }


def _mean_outputs(model: bytes, layers: Sequence[_Layer], canvases: Canvases) -> list[Means]:
    """Means by channel before an activation, [O] each."""
    interpreter = open_interpreter(model)
    details = {entry["index"]: entry for entry in interpreter.get_tensor_details()}
    (taken,) = interpreter.get_input_details()
    patches: list[Any] = [0.0] * len(layers)
    for canvas in canvases:
        interpreter.set_tensor(taken["index"], canvas[None, :, :, None].astype(taken["dtype"]))
        interpreter.invoke()
        for place, layer in enumerate(layers):
            patches[place] = patches[place] + layer.mean_patch(dequantised(interpreter, details[layer.input]))
    means = [layer.mean_output(patch / len(canvases)) for layer, patch in zip(layers, patches, strict=True)]
    biases = [dequantised(interpreter, details[layer.bias]) if layer.bias >= 0 else 0.0 for layer in layers]
    return [mean + bias for mean, bias in zip(means, biases, strict=True)]


def _shares(length: int, taps: int, stride: int, dilation: int, same: bool) -> Means:
    """The share of a convolution's outputs in which a tap reads a place of one axis: [taps, length].

    What a tap reads beyond the ends is 0. With padding "same" no fewer places lie after the end than before it.
    """
    reach = (taps - 1) * dilation + 1
    outputs = -(-length // stride) if same else (length - reach) // stride + 1
    before = max((outputs - 1) * stride + reach - length, 0) // 2 if same else 0
    places = np.arange(taps)[:, None] * dilation + np.arange(outputs) * stride - before
    return np.asarray((places[:, :, None] == np.arange(length)).mean(axis=1))


def _shift_bias(content: bytearray, bias: int, shift: Means) -> None:
    """Add real values [O] to a bias in place, so that all else stays where and what the converter wrote."""
    model = schema.Model.GetRootAs(content, 0)
    tensor = model.Subgraphs(0).Tensors(bias)
    stored = model.Buffers(tensor.Buffer()).DataAsNumpy().view(BIAS_TYPES[tensor.Type()])
    if tensor.Type() == schema.TensorType.FLOAT32:
        stored += shift.astype(np.float32)
        return
    scales = np.broadcast_to(tensor.Quantization().ScaleAsNumpy(), shift.shape)
    steps = np.rint(np.divide(shift, scales, out=np.zeros_like(shift), where=scales > 0))
    limits = np.iinfo(stored.dtype)
    stored[:] = np.clip(stored + steps, limits.min, limits.max)
