"""What a TFLite file says of itself. A damaged file takes the interpreter's process down, so this is a child."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def inspect_tflite(tflite_file: Path, facts_file: Path, engine: str) -> Path:
    """Load the file, run it once on an empty canvas and write down what no engine of the runtime checks.

    Args:
        tflite_file: the file.
        facts_file: JSON to write: ``inputs`` and ``outputs`` (names in the signature ``serving_default``), ``scale``
            and ``zero_point`` of the input (0 and 0 for a float tensor).
        engine: name of a TFLite engine of `sigedge_runtime`.

    Returns:
        `facts_file`.
    """
    from sigedge_runtime.engines import engine_class

    library = engine_class(engine).library()
    interpreter = library.Interpreter(model_path=str(tflite_file))
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    interpreter.set_tensor(taken["index"], np.zeros(taken["shape"], taken["dtype"]))
    interpreter.invoke()
    signature = interpreter.get_signature_list().get("serving_default", {"inputs": [], "outputs": []})
    scale, zero_point = taken["quantization"]
    facts = {**signature, "scale": float(scale), "zero_point": int(zero_point)}
    facts_file.write_text(json.dumps(facts), encoding="utf-8")
    return facts_file


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="inspect_tflite", description=__doc__)
    parser.add_argument("--tflite", type=Path, required=True)
    parser.add_argument("--facts", type=Path, required=True)
    parser.add_argument("--engine", required=True)
    options = parser.parse_args(arguments)
    inspect_tflite(options.tflite, options.facts, options.engine)


if __name__ == "__main__":
    main()
