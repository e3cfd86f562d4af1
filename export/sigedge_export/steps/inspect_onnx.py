"""What an ONNX file says of itself, and where ONNX Runtime computes it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def inspect_onnx(onnx_file: Path, facts_file: Path) -> Path:
    """Check the file by ONNX's own rules and write down what no engine of the runtime checks.

    Args:
        onnx_file: the file.
        facts_file: JSON to write. ``inputs`` and ``outputs``: name, dtype and shape (0 for a free side) of each;
            ``opset`` of the default domain; ``domains``: other domains that a node needs; ``operators``: their names;
            ``external``: names of tensors kept in other files; ``weights``: dtype, elements and bytes of each constant;
            ``nodes``: how many; ``providers`` of an ONNX Runtime session as the runtime opens it, empty without it or
            when tensors are missing.

    Returns:
        `facts_file`.

    Raises:
        ValidationError: of `onnx.checker`: the file is no valid model.
    """
    import onnx

    model = onnx.load(onnx_file, load_external_data=False)
    constants = list(_constants(model.graph))
    external = [one.name for one in constants if one.data_location == onnx.TensorProto.EXTERNAL]
    if not external:
        onnx.checker.check_model(model, full_check=True)
    known = {one.name for one in model.graph.initializer}
    nodes = list(_nodes(model.graph))
    facts = {
        "inputs": [_tensor(value) for value in model.graph.input if value.name not in known],
        "outputs": [_tensor(value) for value in model.graph.output],
        "opset": max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0),
        "domains": sorted({node.domain for node in nodes} - {"", "ai.onnx"}),
        "operators": sorted({node.op_type for node in nodes}),
        "external": external,
        "weights": [_weight(one) for one in constants],
        "nodes": len(nodes),
        "providers": [] if external else _providers(onnx_file),
    }
    facts_file.write_text(json.dumps(facts), encoding="utf-8")
    return facts_file


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes, those of branches and loops as well."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _constants(graph: Any) -> Iterator[Any]:
    """Initializers, and tensors that nodes carry."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            for inner in (attribute.g, *attribute.graphs):
                yield from _constants(inner)


def _tensor(value: Any) -> dict[str, Any]:
    import onnx

    kind = value.type.tensor_type
    dtype = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
    shape = [side.dim_value for side in kind.shape.dim]
    return {"name": value.name, "dtype": "float32" if dtype == "float" else dtype, "shape": shape}


def _weight(tensor: Any) -> tuple[str, int, int]:
    import numpy as np
    import onnx

    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    elements = int(np.prod(tensor.dims)) if tensor.dims else 1
    return dtype.name, elements, elements * dtype.itemsize


def _providers(onnx_file: Path) -> list[str]:
    try:
        import onnxruntime
    except ImportError:
        return []
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(onnx_file), options, providers=["CPUExecutionProvider"])
    found: list[str] = session.get_providers()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="inspect_onnx", description=__doc__)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--facts", type=Path, required=True)
    options = parser.parse_args(arguments)
    inspect_onnx(options.onnx, options.facts)


if __name__ == "__main__":
    main()
