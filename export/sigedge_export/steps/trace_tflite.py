"""Every tensor that a TFLite file computes on some canvases, dequantised by the file's own parameters."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sigedge_export.lab.trace import INPUT, Recorder
from sigedge_export.watching import dequantised, open_interpreter


def trace_tflite(model: Path, canvases: Path, trace: Path) -> Path:
    """Run the file canvas by canvas on LiteRT's own kernels, see `sigedge_export.watching.open_interpreter`.

    Args:
        model: TFLite file, one input [1, H, W, 1] of canvas values, float32 or integers that are fed as they are.
        canvases: ``.npy`` of uint8 [N, H, W].
        trace: file to write.

    Returns:
        `trace`.
    """
    operators = list(read_operators(model))
    interpreter = open_interpreter(model)
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    details = {entry["index"]: entry for entry in interpreter.get_tensor_details()}
    recorder = Recorder("NHWC")
    places: dict[int, int] = {}
    for canvas in np.load(canvases):
        interpreter.set_tensor(taken["index"], canvas[None, :, :, None].astype(taken["dtype"]))
        interpreter.invoke()
        recorder.begin()
        places = {taken["index"]: recorder.add(taken["name"], INPUT, [], dequantised(interpreter, taken))}
        for operator, inputs, outputs in operators:
            before = [places[index] for index in inputs if index in places]
            for index in outputs if before else ():
                if _is_real(details[index]):
                    entry = details[index]
                    places[index] = recorder.add(entry["name"], operator, before, dequantised(interpreter, entry))
    return recorder.save(trace, places[given["index"]])


def read_operators(model: Path) -> Iterator[tuple[str, list[int], list[int]]]:
    """Name with fused activation, inputs and outputs of each operator; the interpreter does not tell the activation."""
    from ai_edge_litert import schema_py_generated as schema

    content = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model.read_bytes(), 0))
    names = _names(schema.BuiltinOperator)
    activations = _names(schema.ActivationFunctionType)
    for operator in content.subgraphs[0].operators:
        code = content.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]  # old files have the old field only
        fused = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
        yield (f"{name}+{activations[fused]}" if fused else name), list(operator.inputs), list(operator.outputs)


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _is_real(details: dict[str, Any]) -> bool:
    return np.issubdtype(details["dtype"], np.floating) or len(details["quantization_parameters"]["scales"]) > 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="trace_tflite", description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--canvases", type=Path, required=True)
    parser.add_argument("--trace", type=Path, required=True)
    options = parser.parse_args(arguments)
    trace_tflite(options.model, options.canvases, options.trace)


if __name__ == "__main__":
    main()
