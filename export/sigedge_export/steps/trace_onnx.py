"""Every tensor that an ONNX file computes on some canvases, as its graph says: without any optimisation."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from sigedge_export.lab.trace import INPUT, Recorder
from sigedge_export.watching import open_session

Values = dict[str, NDArray[np.generic]]


def trace_onnx(model: Path, canvases: Path, trace: Path) -> Path:
    """Run the file canvas by canvas with every tensor as an output.

    A quantize/dequantize pair counts as part of the layer before it: the layer's values are those after the pair, as
    in a TFLite file, where they are stored as integers. So a range that is wrong shows in the layer it belongs to.

    Args:
        model: ONNX file, one input [1, 1, H, W] of canvas values.
        canvases: ``.npy`` of uint8 [N, H, W].
        trace: file to write.

    Returns:
        `trace`.
    """
    content = onnx.load(model)
    graph = content.graph
    names = list(dict.fromkeys([graph.output[0].name, *(name for node in graph.node for name in node.output if name)]))
    session = open_session(content, names)
    (taken,) = session.get_inputs()
    recorder = Recorder("NCHW")
    output = 0
    for canvas in np.load(canvases):
        given = canvas[None, None].astype(np.float32)
        values: Values = {taken.name: given, **dict(zip(names, session.run(names, {taken.name: given}), strict=True))}
        recorder.begin()
        output = _record(graph, values, recorder)
    return recorder.save(trace, output)


def _record(graph: onnx.GraphProto, values: Values, recorder: Recorder) -> int:
    """Add the tensors that depend on the canvas, in the order of the nodes; return the place of the output."""
    rounded = _rounded(graph)
    canvas = graph.input[0].name
    places = {canvas: recorder.add(canvas, INPUT, [], values[rounded.get(canvas, canvas)])}
    for node in graph.node:
        given = [places[name] for name in node.input if name in places]
        for name in node.output if given else ():
            if node.op_type == "QuantizeLinear" or name in rounded.values():
                places[name] = given[0]
            elif np.issubdtype(values[name].dtype, np.floating):
                places[name] = recorder.add(name, node.op_type, given, values[rounded.get(name, name)])
    return places[graph.output[0].name]


def _rounded(graph: onnx.GraphProto) -> dict[str, str]:
    """The tensors that pass a quantize/dequantize pair, each with what comes out of it."""
    quantised = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    restored = [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in quantised]
    return {quantised[node.input[0]]: node.output[0] for node in restored}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="trace_onnx", description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--canvases", type=Path, required=True)
    parser.add_argument("--trace", type=Path, required=True)
    options = parser.parse_args(arguments)
    trace_onnx(options.model, options.canvases, options.trace)


if __name__ == "__main__":
    main()
