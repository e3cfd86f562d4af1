"""ONNX float32 to ONNX float16, as TensorRT takes it for a strongly typed network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def onnx_to_float16(onnx_file: Path, float16_file: Path) -> Path:
    """Store weights and compute in float16; the input and the output stay float32 behind casts.

    Args:
        onnx_file: input ``canvas`` float32 [1, 1, H, W], output ``embedding`` float32 [1, D].
        float16_file: file to write.

    Returns:
        `float16_file`.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = convert_float_to_float16(onnx.load(onnx_file), keep_io_types=True)
    # The casts of the input and the output come last, which onnxruntime forgives and the format does not.
    OnnxModel(model).topological_sort()
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, float16_file)
    return float16_file


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="onnx_to_float16", description=__doc__)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--float16", type=Path, required=True)
    options = parser.parse_args(arguments)
    onnx_to_float16(options.onnx, options.float16)


if __name__ == "__main__":
    main()
