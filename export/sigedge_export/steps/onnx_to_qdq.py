"""ONNX float32 to ONNX int8 with explicit quantize/dequantize pairs, as TensorRT accepts it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

QUANTISED_OPERATORS = ["Conv", "ConvTranspose", "Gemm", "MatMul", "Add"]
"""Only their inputs get a pair: one between a convolution and its ReLU keeps TensorRT from fusing the two."""

OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    # TensorRT's parser rejects the int32 dequantization of a quantised bias.
    "QuantizeBias": False,
    "OpTypesToExcludeOutputQuantization": QUANTISED_OPERATORS,
}


def onnx_to_qdq(onnx_file: Path, qdq_file: Path, calibration: Path) -> Path:
    """Quantise weights per channel and activations per tensor, both signed and symmetric.

    Args:
        onnx_file: input ``canvas`` float32 [1, 1, H, W], output ``embedding`` float32 [1, D].
        qdq_file: file to write; inputs and outputs stay float32.
        calibration: ``.npy`` of canvases uint8 [N, H, W], whose extremes set the activation ranges.

    Returns:
        `qdq_file`.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    canvases: NDArray[np.uint8] = np.load(calibration)

    class Canvases(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples: Iterator[NDArray[np.uint8]] = iter(canvases)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            canvas = next(self._samples, None)
            return None if canvas is None else {"canvas": canvas[None, None].astype(np.float32)}

    quantize_static(
        str(onnx_file),
        str(qdq_file),
        Canvases(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=QUANTISED_OPERATORS,
        extra_options=OPTIONS,
    )
    return qdq_file


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="onnx_to_qdq", description=__doc__)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--qdq", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    options = parser.parse_args(arguments)
    onnx_to_qdq(options.onnx, options.qdq, options.calibration)


if __name__ == "__main__":
    main()
