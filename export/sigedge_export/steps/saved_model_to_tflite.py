"""SavedModel to TFLite: float32, float16 and full int8, by TensorFlow's own converter."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.calibration.tflite_bias import correct_tflite_biases

PRECISIONS = ("float32", "float16", "int8")


def saved_model_to_tflite(
    saved_model: Path, tflite_file: Path, precision: str, calibration: Path | None = None
) -> Path:
    """Convert a SavedModel at one precision.

    An int8 file is integer throughout and takes the canvas as it is: its input is uint8 with scale 1 and zero
    point 0, which holds when the calibration canvases reach both 0 and 255. Its output is float32, so that no
    embedding is lost to one coarse output scale. Its biases are corrected by the float32 file's means, see
    `sigedge_export.calibration.tflite_bias`.

    Args:
        saved_model: folder with the signature that `onnx_to_saved_model` writes.
        tflite_file: file to write.
        precision: ``"float32"``, ``"float16"`` (weights) or ``"int8"``.
        calibration: ``.npy`` of canvases uint8 [N, H, W]; needed for int8 only.

    Returns:
        `tflite_file`.

    Raises:
        ValueError: an unknown precision, or int8 without calibration canvases.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; choose one of {PRECISIONS}")
    if precision != "int8":
        tflite_file.write_bytes(_convert(saved_model, precision))
        return tflite_file
    if calibration is None:
        raise ValueError("an int8 file needs calibration canvases (--calibration)")
    canvases: NDArray[np.uint8] = np.load(calibration)
    rounded = _convert(saved_model, precision, canvases)
    tflite_file.write_bytes(correct_tflite_biases(_convert(saved_model, "float32"), rounded, canvases))
    return tflite_file


def _convert(saved_model: Path, precision: str, canvases: NDArray[np.uint8] | None = None) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    elif canvases is not None:
        _make_int8(converter, canvases)
    return bytes(converter.convert())


def _make_int8(converter: Any, canvases: NDArray[np.uint8]) -> None:
    import tensorflow as tf

    def samples() -> Iterator[dict[str, NDArray[np.float32]]]:
        for canvas in canvases:
            yield {"canvas": canvas[None, :, :, None].astype(np.float32)}

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.float32


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program; several precisions share one start of TensorFlow."""
    parser = argparse.ArgumentParser(prog="saved_model_to_tflite", description=__doc__)
    parser.add_argument("--saved-model", type=Path, required=True)
    parser.add_argument("--calibration", type=Path)
    for precision in PRECISIONS:
        parser.add_argument(f"--{precision}", type=Path, help=f"{precision} file to write")
    options = parser.parse_args(arguments)
    for precision in PRECISIONS:
        tflite_file = getattr(options, precision)
        if tflite_file is not None:
            saved_model_to_tflite(options.saved_model, tflite_file, precision, options.calibration)


if __name__ == "__main__":
    main()
