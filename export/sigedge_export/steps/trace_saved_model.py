"""Every tensor that a TensorFlow SavedModel computes on some canvases."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sigedge_export.lab.trace import INPUT, Recorder


def trace_saved_model(model: Path, canvases: Path, trace: Path) -> Path:
    """Run the frozen graph canvas by canvas with every tensor as a result.

    Args:
        model: folder with the signature that `onnx_to_saved_model` writes.
        canvases: ``.npy`` of uint8 [N, H, W].
        trace: file to write.

    Returns:
        `trace`.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = tf.saved_model.load(str(model)).signatures["serving_default"]
    frozen = convert_variables_to_constants_v2(signature)  # flat: the calls are inlined
    (taken,), (given,) = frozen.inputs, frozen.outputs
    layers = _dependent(frozen.graph, taken)
    run = frozen.prune(taken, [layer for layer, _ in layers])
    recorder = Recorder("NHWC")
    places: dict[str, int] = {}
    for canvas in np.load(canvases):
        canvas_values = canvas[None, :, :, None].astype(np.float32)
        recorder.begin()
        places = {taken.name: recorder.add(taken.op.name, INPUT, [], canvas_values)}
        for (layer, inputs), value in zip(layers, run(tf.constant(canvas_values)), strict=True):
            before = [places[name] for name in inputs]
            places[layer.name] = recorder.add(layer.op.name, layer.op.type, before, value.numpy())
    return recorder.save(trace, places[given.name])


def _dependent(graph: Any, canvas: Any) -> list[tuple[Any, list[str]]]:
    """The float tensors that depend on the canvas, in order, each with those it is computed from."""
    known = {canvas.name}
    found: list[tuple[Any, list[str]]] = []
    for operation in graph.get_operations():
        inputs = [tensor.name for tensor in operation.inputs if tensor.name in known]
        for tensor in operation.outputs if inputs else ():
            if tensor.dtype.is_floating:
                known.add(tensor.name)
                found.append((tensor, inputs))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="trace_saved_model", description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--canvases", type=Path, required=True)
    parser.add_argument("--trace", type=Path, required=True)
    options = parser.parse_args(arguments)
    trace_saved_model(options.model, options.canvases, options.trace)


if __name__ == "__main__":
    main()
