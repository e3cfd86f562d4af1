"""The public face of the device package: exact names, and nothing heavy behind them."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

import sigedge_runtime
from sigedge_runtime import errors

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(name + " must not be imported here")
sys.meta_path.insert(0, Block())
"""
FRAMEWORKS = ("torch", "tensorflow", "onnx", "scipy", "sklearn", "pydantic", "typer", "rich", "jsonschema", "PIL")
ENGINES = ("ai_edge_litert", "tflite_runtime", "onnxruntime")
TYPING = ("annotations", "Any", "TYPE_CHECKING")
PROJECT = ("sigedge", "sigedge_models", "sigedge_export")


def run(code: str, *arguments: object) -> str:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_all_is_exactly_what_is_public() -> None:
    for name in sigedge_runtime.__all__:
        getattr(sigedge_runtime, name)  # some are imported only when asked for
    public = {
        name
        for name, value in vars(sigedge_runtime).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name not in TYPING
    }
    assert public == set(sigedge_runtime.__all__)
    assert sorted(sigedge_runtime.__all__) == sigedge_runtime.__all__


def test_an_unknown_name_is_no_name_of_the_package() -> None:
    assert "Network" in dir(sigedge_runtime)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sigedge_runtime.nonsense


@pytest.mark.parametrize("later", ["network", "selftest", "guidance", "vectors", "_zip", "tensorrt.session"])
def test_importing_the_package_leaves_out_what_a_verdict_does_not_need(later: str) -> None:
    names = (f"sigedge_runtime.{later}", "importlib.metadata", "zipfile")
    assert run(f"import sys, sigedge_runtime\nprint([name for name in {names} if name in sys.modules])") == "[]\n"


def test_every_device_error_is_public() -> None:
    workstation = {"DataError", "RecipeError", "CheckpointError", "ExportError", "ParityError"}
    kinds = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert kinds - workstation == {name for name in sigedge_runtime.__all__ if name.endswith("Error")}


def test_every_public_thing_is_documented() -> None:
    for name in sigedge_runtime.__all__:
        value: Any = getattr(sigedge_runtime, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name


def test_the_package_imports_with_everything_heavy_blocked() -> None:
    code = BLOCK.format(blocked=(*FRAMEWORKS, *ENGINES, *PROJECT)) + "import sigedge_runtime\nprint('imported')"
    assert run(code) == "imported\n"


@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_a_verifier_needs_numpy_opencv_and_one_engine(
    master_bundle: Path, draw: Callable[[int, int], Any], tmp_path: Path, engine: str
) -> None:
    others = {"litert": ("onnxruntime", "tflite_runtime"), "onnxruntime": ("ai_edge_litert", "tflite_runtime")}[engine]
    for name, (signer, sample) in {"a": (0, 0), "b": (0, 1), "genuine": (0, 2), "random": (1, 0)}.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), draw(signer, sample))
    code = BLOCK.format(blocked=(*FRAMEWORKS, *others, *PROJECT)) + (
        "from sigedge_runtime import Verifier\n"
        "with Verifier.open(sys.argv[1], store=sys.argv[2] + '/t.db') as verifier:\n"
        "    verifier.enroll('ada', [sys.argv[2] + '/a.png', sys.argv[2] + '/b.png'])\n"
        "    for name in ('genuine', 'random'):\n"
        "        print(verifier.engine.name, verifier.verify('ada', f'{sys.argv[2]}/{name}.png').accepted)\n"
    )
    assert run(code, master_bundle, tmp_path) == f"{engine} True\n{engine} False\n"
