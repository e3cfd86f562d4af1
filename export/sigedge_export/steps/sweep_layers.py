"""What a network loses when only some of its layers are quantised: embeddings of many partly quantised files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.calibration.ranges import DEFAULT_METHOD
from sigedge_export.lab.operators import MOVED, kinds
from sigedge_export.steps.tflite_to_quantized import choose_activation_ranges, keep_in_float, recipe_of
from sigedge_export.steps.trace_tflite import read_operators
from sigedge_export.watching import open_interpreter

Canvases = NDArray[np.uint8]
Embeddings = NDArray[np.float32]


def sweep_layers(
    tflite_file: Path, calibration: Path, canvases: Path, sweep_file: Path, keep: Path | None = None
) -> Path:
    """Quantise to int8 with other layers left in float each time, and embed the canvases.

    A layer is an operator that computes, with the paddings and reshapes in front of it: were those quantised, it would
    read quantised values even when it is left in float itself.

    Args:
        tflite_file: float32.
        calibration: ``.npy`` of canvases uint8 [N, H, W], whose activations set the ranges.
        canvases: ``.npy`` of uint8 [M, H, W] to embed.
        sweep_file: ``.npz`` to write: ``layers`` (JSON, a list of objects with ``operator`` and ``tensors``, the names
            of the output tensors, that of the operator last), ``float32`` [M, D], and ``variants`` float32 [V, M, D].
        keep: JSON, for each variant the list of the places of the layers that stay in float; None makes one variant
            for each layer, in which it alone is quantised.

    Returns:
        `sweep_file`.
    """
    layers = _layers(tflite_file)
    places = range(len(layers))
    alone = [[other for other in places if other != place] for place in places]
    plans: list[list[int]] = alone if keep is None else json.loads(keep.read_text(encoding="utf-8"))
    images = np.load(canvases)
    ranges = _ranges(tflite_file, np.load(calibration))
    variants = []
    for plan in plans:
        names = [name for place in plan for name in layers[place]["tensors"]]
        variants.append(_embed(_quantise(tflite_file, names, ranges), images))
    header = np.array(json.dumps(layers))
    np.savez(sweep_file, layers=header, float32=_embed(tflite_file.read_bytes(), images), variants=np.stack(variants))
    return sweep_file


def _layers(tflite_file: Path) -> list[dict[str, Any]]:
    names = {detail["index"]: detail["name"] for detail in open_interpreter(tflite_file).get_tensor_details()}
    layers: list[dict[str, Any]] = []
    waiting: list[str] = []
    for operator, _, outputs in read_operators(tflite_file):
        waiting += [names[index] for index in outputs]
        if MOVED not in kinds(operator):
            layers.append({"operator": operator, "tensors": waiting})
            waiting = []
    if layers and waiting:  # what only moves the embedding goes with the layer that computed it
        layers[-1]["tensors"] = [*waiting, *layers[-1]["tensors"]]
    return layers


def _ranges(tflite_file: Path, canvases: Canvases) -> Any:
    """Ranges of all activations, measured once for all variants."""
    from ai_edge_quantizer import quantizer

    machine = quantizer.Quantizer(str(tflite_file), recipe_of("mixed").get_quantization_recipe())
    return choose_activation_ranges(machine, tflite_file, canvases, DEFAULT_METHOD)


def _quantise(tflite_file: Path, float_layers: Sequence[str], ranges: Any) -> bytes:
    from ai_edge_quantizer import quantizer

    manager = recipe_of("mixed")
    keep_in_float(manager, tflite_file, float_layers)
    machine = quantizer.Quantizer(str(tflite_file), manager.get_quantization_recipe())
    return bytes(machine.quantize(ranges).quantized_model)


def _embed(content: bytes, canvases: Canvases) -> Embeddings:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for canvas in canvases:
        interpreter.set_tensor(taken["index"], canvas[None, :, :, None].astype(np.float32))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(given["index"]).reshape(-1))
    return np.stack(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="sweep_layers", description=__doc__)
    parser.add_argument("--tflite", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--canvases", type=Path, required=True)
    parser.add_argument("--sweep", type=Path, required=True)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args(arguments)
    sweep_layers(options.tflite, options.calibration, options.canvases, options.sweep, options.keep)


if __name__ == "__main__":
    main()
