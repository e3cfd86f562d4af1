"""Which version of each builtin operator a TFLite engine accepts, by asking the engine itself.

An interpreter looks up every operator code of a file before anything else, so a file that names one operator at one
version and holds no network is accepted exactly when the engine knows that version.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sigedge_runtime.atomic import write_atomically

HIGHEST_VERSION = 30
"""Versions above it are not asked for; the highest that any engine knew in 2025 is 14."""

ORIGIN = "Asked of the engines themselves by `python -m sigedge_export.steps.probe_operators`."


def probe_operators(engine: str, table_file: Path) -> Path:
    """Ask an engine for every builtin operator of the schema.

    Args:
        engine: name of a TFLite engine of `sigedge_runtime`, which must be installed.
        table_file: JSON in which the engine's entry is written anew, and others stay: ``distribution``, ``version`` and
            ``operators``, which maps the name of each builtin operator to the lowest and highest version that the
            engine accepts.

    Returns:
        `table_file`.
    """
    from ai_edge_litert import schema_py_generated as schema

    from sigedge_runtime.engines import engine_class

    found = engine_class(engine)
    library = found.library()
    codes = {name: code for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    accepted: dict[str, list[int]] = {}
    for name, code in sorted(codes.items()):
        versions = [version for version in range(1, HIGHEST_VERSION + 1) if _accepts(library, code, version)]
        if versions:
            accepted[name] = [versions[0], versions[-1]]
    table = json.loads(table_file.read_text(encoding="utf-8")) if table_file.exists() else {"engines": {}}
    table["origin"] = ORIGIN
    table["engines"][engine] = {
        "distribution": found.distribution,
        "version": found.version(),
        "operators": accepted,
    }
    return write_atomically(table_file, _layout(table).encode())


def _layout(table: dict[str, Any]) -> str:
    """JSON with one operator a line, to be read and compared by people."""
    text = json.dumps(table, indent=2, sort_keys=True)
    return re.sub(r"\[\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2]", text) + "\n"


def _accepts(library: Any, code: int, version: int) -> bool:
    try:
        library.Interpreter(model_content=_model_naming(code, version))
    except (ValueError, RuntimeError):
        return False
    return True


def _model_naming(code: int, version: int) -> bytes:
    """A file with one operator code and an empty network."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    operator = schema.OperatorCodeT()
    operator.builtinCode, operator.version = code, version
    operator.deprecatedBuiltinCode = min(code, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [operator], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="probe_operators", description=__doc__)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--table", type=Path, required=True)
    options = parser.parse_args(arguments)
    probe_operators(options.engine, options.table)


if __name__ == "__main__":
    main()
