"""TFLite float32 to the quantised kinds of TFLite that keep float inputs and outputs, by ai-edge-quantizer.

TensorFlow's converter could make the first two, but not leave chosen layers in float, and takes much longer.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.calibration.histogram import Histogram
from sigedge_export.calibration.ranges import DEFAULT_METHOD, METHODS, choose_ranges
from sigedge_export.calibration.tflite_bias import correct_tflite_biases
from sigedge_export.watching import open_interpreter

PRECISIONS = ("dynamic_range", "int16_activations", "mixed")
SIGNATURE = "serving_default"
INPUT = "canvas"


def tflite_to_quantized(
    tflite_file: Path,
    quantized_file: Path,
    precision: str,
    calibration: Path | None = None,
    float_layers: Sequence[str] = (),
    ranges: str = DEFAULT_METHOD,
) -> Path:
    """Quantise a float32 file; weights become int8, one scale for each channel.

    Args:
        tflite_file: float32, input ``canvas`` [1, H, W, 1].
        quantized_file: file to write; inputs and outputs stay float32.
        precision: ``"dynamic_range"`` (the engine quantises activations while it runs), ``"int16_activations"`` or
            ``"mixed"`` (int8 activations, chosen layers in float).
        calibration: ``.npy`` of canvases uint8 [N, H, W], whose activations set the ranges where they are not dynamic
            and, with 8 bits, correct the biases by `sigedge_export.calibration.tflite_bias`.
        float_layers: layers that stay in float, by the name of their output tensor; for mixed precision.
        ranges: one of `sigedge_export.calibration.METHODS`, how the ranges of 8-bit activations follow from their
            values; with 16 bits there is nothing to spare, and all values are covered.

    Returns:
        `quantized_file`.

    Raises:
        ValueError: an unknown precision, calibration canvases are missing, or the file has no such layer.
        ExportError: an unknown way to choose ranges.
    """
    from ai_edge_quantizer import quantizer

    manager = recipe_of(precision)
    keep_in_float(manager, tflite_file, float_layers)
    machine = quantizer.Quantizer(str(tflite_file), manager.get_quantization_recipe())
    if calibration is None:
        raise ValueError(f"a file of precision {precision} needs calibration canvases (--calibration)")
    canvases: NDArray[np.uint8] = np.load(calibration)
    chosen = None
    if manager.need_calibration():
        chosen = choose_activation_ranges(machine, tflite_file, canvases, ranges if precision == "mixed" else "minmax")
    rounded = bytes(machine.quantize(chosen).quantized_model)
    if precision != "int16_activations":
        rounded = correct_tflite_biases(tflite_file.read_bytes(), rounded, canvases)
    quantized_file.write_bytes(rounded)
    return quantized_file


def recipe_of(precision: str) -> Any:
    """The quantiser's recipe manager with everything at a precision, but for the input and the output.

    Raises:
        ValueError: an unknown precision.
    """
    from ai_edge_quantizer import qtyping, recipe_manager
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    manager = recipe_manager.RecipeManager()
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    if precision == "dynamic_range":
        manager.add_dynamic_config(".*", everything, num_bits=8)
    elif precision in PRECISIONS:
        bits = 16 if precision == "int16_activations" else 8
        manager.add_static_config(".*", everything, activation_num_bits=bits, weight_num_bits=8)
    else:
        raise ValueError(f"unknown precision {precision!r}; choose one of {PRECISIONS}")
    for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        manager.add_quantization_config(".*", end, algorithm_key=AlgorithmName.NO_QUANTIZE)
    return manager


def keep_in_float(manager: Any, tflite_file: Path, layers: Sequence[str]) -> None:
    """Take layers, by the name of their output tensor, out of a recipe.

    Raises:
        ValueError: the file has no such layer.
    """
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    if not layers:
        return
    known = {tensor["name"] for tensor in open_interpreter(tflite_file).get_tensor_details()}
    if unknown := [layer for layer in layers if layer not in known]:
        raise ValueError(f"the file has no layer {unknown[0]!r}; name float_layers by the output tensors it has")
    for layer in layers:
        # The quantiser takes a regular expression for the name, which it ends with a semicolon.
        pattern = f"^{re.escape(layer)};?$"
        manager.add_quantization_config(
            pattern, qtyping.TFLOperationName.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE
        )


def choose_activation_ranges(machine: Any, tflite_file: Path, canvases: NDArray[np.uint8], method: str) -> Any:
    """The range of each activation, in the form that the quantiser takes."""
    # One canvas, for the names of the tensors: its own calibration averages the extremes over the canvases.
    found = machine.calibrate({SIGNATURE: [{INPUT: _tensor(canvases[0])}]}, num_threads=1)
    histograms = measure_activations(tflite_file, canvases, [name for name, extremes in found.items() if extremes])
    inputs = tuple(detail["name"] for detail in open_interpreter(tflite_file).get_input_details())
    for name, bounds in choose_ranges(histograms, method, symmetric=False, exact=inputs).items():
        for end, bound in zip(("min", "max"), bounds, strict=True):
            found[name][end] = np.full_like(found[name][end], bound)
    return found


def measure_activations(tflite_file: Path, canvases: NDArray[np.uint8], names: Sequence[str]) -> dict[str, Histogram]:
    """Values of the named tensors of a float32 file, over canvases uint8 [N, H, W]."""
    interpreter = open_interpreter(tflite_file)
    places = {detail["name"]: detail["index"] for detail in interpreter.get_tensor_details()}
    taken = interpreter.get_input_details()[0]["index"]
    histograms = {name: Histogram() for name in names}
    for canvas in canvases:
        interpreter.set_tensor(taken, _tensor(canvas))
        interpreter.invoke()
        for name, histogram in histograms.items():
            histogram.update(interpreter.get_tensor(places[name]))
    return histograms


def _tensor(canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
    return canvas[None, :, :, None].astype(np.float32)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="tflite_to_quantized", description=__doc__)
    parser.add_argument("--tflite", type=Path, required=True)
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--float-layer", action="append", default=[])
    parser.add_argument("--ranges", choices=METHODS, default=DEFAULT_METHOD)
    for precision in PRECISIONS:
        parser.add_argument(f"--{precision.replace('_', '-')}", type=Path, help="file to write")
    options = parser.parse_args(arguments)
    for precision in PRECISIONS:
        file = getattr(options, precision)
        if file is not None:
            layers = options.float_layer
            tflite_to_quantized(options.tflite, file, precision, options.calibration, layers, options.ranges)


if __name__ == "__main__":
    main()
