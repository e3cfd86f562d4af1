"""What a TFLite file and the engines say of it. A damaged file takes the interpreter's process down: hence a child."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

XNNPACK_LINE = "XNNPACK delegate"
"""LiteRT says on stderr that it made one; its list of operators calls every delegate DELEGATE."""


def inspect_tflite(tflite_file: Path, facts_file: Path, engines: Sequence[str]) -> Path:
    """Load and run the file once on an empty canvas with every engine, and write down what they and the file say.

    Args:
        tflite_file: the file.
        facts_file: JSON to write. ``operators``: name and version of each; ``weights``: dtype, elements and bytes of
            each constant; ``engines``: by name either ``refusal``, the engine's words, or ``inputs`` and ``outputs``
            (names in the signature ``serving_default``), ``scale`` and ``zero_point`` of the input (0 and 0 for a
            float tensor), and ``delegate``, ``delegated`` and ``nodes``.
        engines: names of installed TFLite engines of `sigedge_runtime`.

    Returns:
        `facts_file`.

    Raises:
        ValueError: no engine loads it.
    """
    facts: dict[str, Any] = {"engines": {name: _try(tflite_file, name) for name in engines}}
    refusals = [entry["refusal"] for entry in facts["engines"].values() if "refusal" in entry]
    if len(refusals) == len(engines):
        raise ValueError(f"no engine loads it: {'; '.join(refusals)}")
    facts |= _read(tflite_file.read_bytes())
    facts_file.write_text(json.dumps(facts), encoding="utf-8")
    return facts_file


def _try(tflite_file: Path, name: str) -> dict[str, Any]:
    from sigedge_runtime.engines import engine_class

    library = engine_class(name).library()
    try:
        with _stderr() as said:
            interpreter = library.Interpreter(model_path=str(tflite_file), num_threads=1)
            before = len(interpreter._get_ops_details())
            interpreter.allocate_tensors()
            (taken,) = interpreter.get_input_details()
            interpreter.set_tensor(taken["index"], np.zeros(taken["shape"], taken["dtype"]))
            interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        return {"refusal": " ".join(str(error).split())}
    signature = interpreter.get_signature_list().get("serving_default", {"inputs": [], "outputs": []})
    scale, zero_point = taken["quantization"]
    delegated = _delegated(interpreter._get_ops_details(), before)
    name = ("XNNPACK" if XNNPACK_LINE in said[0] else "unknown") if delegated else "none"
    placement = {"delegate": name, "delegated": delegated, "nodes": before}
    return {**signature, "scale": float(scale), "zero_point": int(zero_point), **placement}


def _delegated(operators: Sequence[dict[str, Any]], before: int) -> int:
    """How many of the file's nodes a delegate computes.

    A delegate adds nodes of its own behind the file's, and does not tell which it replaces: those on the way from its
    inputs to its outputs.
    """
    maker = {int(tensor): index for index in range(before) for tensor in operators[index]["outputs"]}
    replaced: set[int] = set()
    for delegate in operators[before:]:
        known = {int(tensor) for tensor in delegate["inputs"]}
        wanted = [int(tensor) for tensor in delegate["outputs"]]
        while wanted:
            tensor = wanted.pop()
            index = maker.get(tensor)
            if tensor not in known and index is not None and index not in replaced:
                replaced.add(index)
                wanted += [int(one) for one in operators[index]["inputs"]]
    return len(replaced)


def _read(content: bytes) -> dict[str, Any]:
    """Operators and constants, by the schema that comes with LiteRT."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    dtypes = {code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
    operators = {(_operator(code, names), code.Version()) for code in codes}
    weights: dict[int, tuple[str, int, int]] = {}
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
            size = model.Buffers(tensor.Buffer()).DataLength() or model.Buffers(tensor.Buffer()).Size()
            if size:
                elements = int(np.prod(tensor.ShapeAsNumpy())) if tensor.ShapeLength() else 1
                weights[tensor.Buffer()] = (dtypes[tensor.Type()], elements, size)
    return {"operators": sorted(operators), "weights": list(weights.values())}


def _operator(code: Any, names: dict[int, str]) -> str:
    # Files of old converters keep the code in a field of one byte, which new files fill up to 127.
    builtin = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
    return builtin if builtin != "CUSTOM" else f"custom {code.CustomCode().decode('utf-8', 'replace')}"


@contextmanager
def _stderr() -> Iterator[list[str]]:
    """Catch what native code writes to file descriptor 2; the list holds it at the end of the block."""
    said: list[str] = []
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            sink.seek(0)
            said.append(sink.read().decode("utf-8", "replace"))
            os.write(2, said[0].encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="inspect_tflite", description=__doc__)
    parser.add_argument("--tflite", type=Path, required=True)
    parser.add_argument("--facts", type=Path, required=True)
    parser.add_argument("--engine", action="append", required=True)
    options = parser.parse_args(arguments)
    inspect_tflite(options.tflite, options.facts, options.engine)


if __name__ == "__main__":
    main()
