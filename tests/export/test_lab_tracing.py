"""From a bundle to the stages that can be traced, and from stored integers to real values."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_export.lab.tracing import BEFORE, STEPS, stages
from sigedge_export.watching import dequantised
from sigedge_runtime.errors import ExportError
from sigedge_runtime.manifest import FORMATS


def bundle(*keys: str) -> Any:
    """Stands in for a bundle that holds artefacts such as ``int8-tflite``."""
    pairs = [key.rsplit("-", 1) for key in keys]
    held = [
        SimpleNamespace(name=key, precision=precision, format=format_, file=key)
        for key, (precision, format_) in zip(keys, pairs, strict=True)
    ]
    return SimpleNamespace(manifest=SimpleNamespace(artifacts=held), path=Path)


def way(*keys: str) -> tuple[list[str], list[str]]:
    """Names of the stages to the last of the artefacts, and of those that are missing."""
    held = bundle(*keys)
    found, missing = stages(held, held.manifest.artifacts[-1], Path("weights"))
    return [stage.name for stage in found], missing


def test_every_format_can_be_traced() -> None:
    assert set(STEPS) == set(BEFORE) == set(FORMATS)


@pytest.mark.parametrize(
    ("keys", "names", "missing"),
    [
        (("float32-onnx",), ["torch", "float32-onnx"], []),
        (("float32-torch_program",), ["torch", "float32-torch_program"], []),
        (("float32-onnx", "int8-onnx"), ["torch", "float32-onnx", "int8-onnx"], []),
        (("int8-tflite",), ["torch", "int8-tflite"], ["float32 onnx", "float32 saved_model", "float32 tflite"]),
        (
            ("float32-tflite", "int8-onnx", "float32-onnx", "int8-tflite"),
            ["torch", "float32-onnx", "float32-tflite", "int8-tflite"],
            ["float32 saved_model"],
        ),
    ],
)
def test_the_way_to_an_artefact(keys: tuple[str, ...], names: list[str], missing: list[str]) -> None:
    assert way(*keys) == (names, missing)


def test_a_format_of_which_no_tensor_can_be_seen() -> None:
    with pytest.raises(ExportError, match=r"float32-plan cannot be traced; name an artefact of .*onnx"):
        way("float32-plan")


def dequantise(stored: NDArray[Any], scales: list[float], zero_points: list[int], axis: int = 0) -> list[Any]:
    parameters = {
        "scales": np.array(scales, np.float32),
        "zero_points": np.array(zero_points),
        "quantized_dimension": axis,
    }
    interpreter = SimpleNamespace(get_tensor=lambda _: stored)
    values = dequantised(interpreter, {"index": 0, "quantization_parameters": parameters})
    assert values.dtype == np.float32
    found: list[Any] = values.tolist()
    return found


def test_integers_become_real_values() -> None:
    stored = np.array([[1, 2], [3, 4]], np.int8)
    assert dequantise(stored, [], []) == [[1, 2], [3, 4]]
    assert dequantise(stored, [0.5], [1]) == [[0, 0.5], [1, 1.5]]
    assert dequantise(stored, [0.5, 2], [0, 1]) == [[0.5, 1], [4, 6]]
    assert dequantise(stored, [0.5, 2], [0, 1], axis=1) == [[0.5, 2], [1.5, 6]]
    assert dequantise(np.array([-128], np.int8), [1], [-128]) == [0]
