"""Bias correction: what rounding shifts on average in a layer's output is taken out of the layer's bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.watching import open_session

CORRECTED_OPERATORS = ("Conv", "ConvTranspose", "Gemm")
BIAS = 2
"""Place of the bias among the inputs of each of them."""

CORRECTION_CANVASES = 64
"""Enough for the mean of a channel, which is over all of its pixels, too."""

Feed = Mapping[str, NDArray[np.float32]]


def some_canvases(canvases: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At most `CORRECTION_CANVASES` of the calibration canvases [N, H, W], evenly spaced."""
    return canvases[:: -(-len(canvases) // CORRECTION_CANVASES)]


def correct_biases(onnx_file: Path, qdq_file: Path, feeds: Sequence[Feed]) -> int:
    """Change the float biases of a QDQ file so that each layer's mean output by channel is the float model's.

    Most of a signature canvas is empty, so one value fills most of a feature map, and its rounding error is the same
    everywhere: it does not average out, but adds up from layer to layer. Layers are corrected in order, each with those
    before it corrected (M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV
    2019, section 4.2, the empirical form).

    Args:
        onnx_file: the float32 model.
        qdq_file: made of it, with the same names of tensors; replaced.
        feeds: inputs by name, as calibration saw them.

    Returns:
        How many layers were corrected; those without a bias of their own in float are left alone.
    """
    import onnx
    from onnx import numpy_helper

    quantised = onnx.load(qdq_file)
    held = {tensor.name: tensor for tensor in quantised.graph.initializer}
    layers = [node for node in quantised.graph.node if _has_own_bias(quantised.graph, node, held)]
    if not layers:  # an engine asked for no tensor gives all
        return 0
    wanted = _mean_outputs(onnx.load(onnx_file), [node.output[0] for node in layers], feeds)
    for node, mean in zip(layers, wanted, strict=True):
        (found,) = _mean_outputs(quantised, [node.output[0]], feeds)
        bias = held[node.input[BIAS]]
        corrected = numpy_helper.to_array(bias).astype(np.float64) + mean - found
        bias.CopyFrom(numpy_helper.from_array(corrected.astype(np.float32), bias.name))
    onnx.save(quantised, qdq_file)
    return len(layers)


def _has_own_bias(graph: Any, node: Any, held: Mapping[str, Any]) -> bool:
    import onnx

    if node.op_type not in CORRECTED_OPERATORS or len(node.input) <= BIAS or node.input[BIAS] not in held:
        return False
    bias = held[node.input[BIAS]]
    readers = sum(bias.name in other.input for other in graph.node)
    return bool(bias.data_type == onnx.TensorProto.FLOAT and len(bias.dims) == 1 and readers == 1)


def _mean_outputs(model: Any, names: Sequence[str], feeds: Sequence[Feed]) -> list[NDArray[np.float64]]:
    """Means by channel, axis 1, float64 [C] each."""
    session = open_session(model, names)
    sums: list[Any] = [0.0] * len(names)
    for feed in feeds:
        for place, values in enumerate(session.run(list(names), dict(feed))):
            sums[place] = sums[place] + values.astype(np.float64).mean(axis=(0, *range(2, values.ndim)))
    return [np.asarray(total) / len(feeds) for total in sums]
