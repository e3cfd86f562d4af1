"""What may import what: the device stays free of everything heavy, and the command line starts fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Whatever a device must do without. Blocking a name also blocks everything below it.
BLOCKED = (
    "torch",
    "lightning",
    "tensorflow",
    "onnx",
    "onnx2tf",
    "scipy",
    "sklearn",
    "typer",
    "rich",
    "sigedge",
    "sigedge_models",
    "sigedge_export",
)

IMPORT_ALL = """
import importlib, pkgutil, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} must not be imported here")
sys.meta_path.insert(0, Block())
import {package}
names = [m.name for m in pkgutil.walk_packages({package}.__path__, "{package}.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""

LOADED = """
import sys
{statement}
print(" ".join(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def run(repository: Path, code: str) -> str:
    """Run code in a fresh interpreter that sees the checkout's packages; its stdout."""
    roots = [repository / root for root in (".", "models", "export", "runtime")]
    path = f"import sys; sys.path[:0] = {[str(root) for root in roots]!r}\n"
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_by(repository: Path, statement: str) -> set[str]:
    return set(run(repository, LOADED.format(statement=statement)).split())


def test_every_runtime_module_imports_without_anything_heavy(repository: Path) -> None:
    count = int(run(repository, IMPORT_ALL.format(package="sigedge_runtime", blocked=BLOCKED)))
    files = [f for f in (repository / "runtime" / "sigedge_runtime").rglob("*.py") if f.name != "__init__.py"]
    assert count >= len(files) > 0


def test_the_block_of_that_guard_works(repository: Path) -> None:
    with pytest.raises(AssertionError, match="torch must not be imported here"):
        run(repository, IMPORT_ALL.format(package="sigedge_models", blocked=("torch",)))


def test_models_import_without_the_packages_above_them(repository: Path) -> None:
    blocked = ("tensorflow", "onnx", "onnx2tf", "lightning", "sigedge", "sigedge_export")
    assert int(run(repository, IMPORT_ALL.format(package="sigedge_models", blocked=blocked))) > 0


def test_importing_the_export_package_loads_no_framework(repository: Path) -> None:
    assert not loaded_by(repository, "import sigedge_export") & {"torch", "tensorflow", "onnx", "onnx2tf"}


@pytest.mark.parametrize("package", ["sigedge_runtime", "sigedge.data", "sigedge.synthesis", "sigedge.evaluation"])
def test_importing_loads_no_framework(repository: Path, package: str) -> None:
    heavy = {"torch", "tensorflow", "onnx", "onnxruntime", "ai_edge_litert", "tflite_runtime"}
    assert not loaded_by(repository, f"import {package}") & heavy


def test_importing_the_command_line_loads_not_even_numpy(repository: Path) -> None:
    heavy = {"numpy", "cv2", "torch", "tensorflow", "onnx", "scipy", "sklearn", "sigedge_runtime"}
    assert not loaded_by(repository, "import sigedge.cli") & heavy


def test_help_loads_not_even_numpy(repository: Path) -> None:
    statement = "from sigedge.cli import app\ntry:\n    app(['--help'])\nexcept SystemExit:\n    pass"
    assert not loaded_by(repository, statement) & {"numpy", "cv2", "torch", "tensorflow"}
