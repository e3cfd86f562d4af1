"""ONNX float32 to ONNX int8 with explicit quantize/dequantize pairs, as TensorRT accepts it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.calibration.bias import correct_biases, some_canvases
from sigedge_export.calibration.histogram import Histogram
from sigedge_export.calibration.ranges import DEFAULT_METHOD, METHODS, choose_ranges
from sigedge_export.watching import open_session

INPUT = "canvas"

QUANTISED_OPERATORS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
"""Only their inputs get a pair: one between a convolution and its ReLU keeps TensorRT from fusing the two. An addition
is not among them: a shortcut reads what is quantised for the layer beside it, whose own sum stays in float."""

OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    # TensorRT's parser rejects the int32 dequantization of a quantised bias.
    "QuantizeBias": False,
    "OpTypesToExcludeOutputQuantization": QUANTISED_OPERATORS,
}


def onnx_to_qdq(
    onnx_file: Path, qdq_file: Path, calibration: Path, ranges: str = DEFAULT_METHOD, *, keep_biases: bool = False
) -> Path:
    """Quantise weights per channel and activations per tensor, both signed and symmetric, and correct the biases.

    Args:
        onnx_file: input ``canvas`` float32 [1, 1, H, W], output ``embedding`` float32 [1, D].
        qdq_file: file to write; inputs and outputs stay float32.
        calibration: ``.npy`` of canvases uint8 [N, H, W], whose activations set the ranges.
        ranges: one of `sigedge_export.calibration.METHODS`, how the ranges follow from the activations.
        keep_biases: leave the biases as they are; see `sigedge_export.calibration.bias`.

    Returns:
        `qdq_file`.

    Raises:
        ExportError: an unknown method.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    canvases: NDArray[np.uint8] = np.load(calibration)
    chosen = choose_ranges(measure_activations(onnx_file, canvases), ranges, symmetric=True, exact=(INPUT,))

    class OneCanvas(CalibrationDataReader):  # type: ignore[misc]
        """The quantiser insists on measuring something; every range that it uses is overridden."""

        def __init__(self) -> None:
            self._samples: Iterator[dict[str, NDArray[np.float32]]] = iter([_feed(canvases[0])])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._samples, None)

    quantize_static(
        str(onnx_file),
        str(qdq_file),
        OneCanvas(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=QUANTISED_OPERATORS,
        extra_options={**OPTIONS, "TensorQuantOverrides": _overrides(chosen)},
    )
    if not keep_biases:
        correct_biases(onnx_file, qdq_file, [_feed(canvas) for canvas in some_canvases(canvases)])
    return qdq_file


def measure_activations(onnx_file: Path, canvases: NDArray[np.uint8]) -> dict[str, Histogram]:
    """Values of every tensor that `QUANTISED_OPERATORS` read and no weight is, over canvases uint8 [N, H, W]."""
    import onnx

    model = onnx.load(onnx_file)
    names = _quantised_tensors(model)
    histograms = {name: Histogram() for name in names}
    inner = [name for name in names if name != INPUT]
    session = open_session(model, inner, optimised=True)
    for canvas in canvases:
        feed = _feed(canvas)
        # An engine asked for no tensor gives all outputs.
        for name, values in zip(inner, session.run(inner, feed) if inner else (), strict=True):
            histograms[name].update(values)
        if INPUT in histograms:
            histograms[INPUT].update(feed[INPUT])
    return histograms


def _quantised_tensors(model: Any) -> list[str]:
    """Names of the activations, in the order in which the graph reads them first."""
    constant = {weight.name for weight in model.graph.initializer}
    constant |= {name for node in model.graph.node if node.op_type == "Constant" for name in node.output}
    read = (name for node in model.graph.node if node.op_type in QUANTISED_OPERATORS for name in node.input if name)
    return list(dict.fromkeys(name for name in read if name not in constant))


def _overrides(ranges: dict[str, tuple[float, float]]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [{"rmin": np.array(low, np.float32), "rmax": np.array(high, np.float32)}]
        for name, (low, high) in ranges.items()
    }


def _feed(canvas: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    return {INPUT: canvas[None, None].astype(np.float32)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="onnx_to_qdq", description=__doc__)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--qdq", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--ranges", choices=METHODS, default=DEFAULT_METHOD)
    parser.add_argument("--keep-biases", action="store_true")
    options = parser.parse_args(arguments)
    onnx_to_qdq(options.onnx, options.qdq, options.calibration, options.ranges, keep_biases=options.keep_biases)


if __name__ == "__main__":
    main()
