"""Inner tensors of a run: they are there, they are right, and the model is left as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sigedge_export.watching import open_interpreter, open_session

TINY = Path(__file__).parent.parent / "runtime" / "tiny"


@pytest.fixture
def model() -> onnx.ModelProto:
    """``out = max(x + x, 0) * x``."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["kept"]),
        helper.make_node("Mul", ["kept", "x"], ["out"]),
    ]
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [3])] for name in ("x", "out")]
    graph = helper.make_graph(nodes, "little", *ends)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize("names", [["sum"], ["out", "kept", "sum"], ["out"]])
def test_any_tensor_can_be_asked_for(model: onnx.ModelProto, names: list[str], optimised: bool) -> None:
    before = model.SerializeToString(deterministic=True)
    given = np.array([-1, 0, 2], np.float32)
    wanted = {"sum": [-2, 0, 4], "kept": [0, 0, 4], "out": [0, 0, 8]}
    found = open_session(model, names, optimised=optimised).run(names, {"x": given})
    assert [values.tolist() for values in found] == [wanted[name] for name in names]
    assert model.SerializeToString(deterministic=True) == before


def test_every_tensor_of_a_tflite_run_is_kept() -> None:
    interpreter = open_interpreter(TINY / "float32.tflite")
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    inner = [entry for entry in interpreter.get_tensor_details() if entry["index"] != taken["index"]]
    seen = []
    for value in (0, 255):
        interpreter.set_tensor(taken["index"], np.full(taken["shape"], value, np.float32))
        interpreter.invoke()
        seen.append({entry["name"]: np.array(interpreter.get_tensor(entry["index"])) for entry in inner})
    changed = [name for name in seen[0] if not np.array_equal(seen[0][name], seen[1][name])]
    assert given["name"] in changed and len(changed) > 1, "what lies between input and output follows the input too"
