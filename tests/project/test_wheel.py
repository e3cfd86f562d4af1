"""What a user installs: the wheel holds what it must, and a clean device environment verifies with it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import pytest

from sigedge.synthesis import Synthesiser

CONSTRAINTS = "constraints.txt"
ON_A_DEVICE = """
import importlib.util, sys
from sigedge_runtime import Verifier
with Verifier.open() as verifier:
    verdicts = [verifier.compare(["a.png", "b.png"], query) for query in ("genuine.png", "random.png")]
assert verifier is not None and not {"torch", "tensorflow", "onnx"} & set(sys.modules), "imported"
assert all(importlib.util.find_spec(name) is None for name in ("torch", "tensorflow", "onnx")), "installed"
print(*(int(verdict.accepted) for verdict in verdicts))
"""


def run(*command: object, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, repository, cwd=folder)
    (built,) = folder.glob("sigedge-*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_exactly_the_four_packages(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "sigedge",
        "sigedge_models",
        "sigedge_export",
        "sigedge_runtime",
    }


@pytest.mark.parametrize(
    "name",
    [
        "sigedge/py.typed",
        "sigedge_models/py.typed",
        "sigedge_export/py.typed",
        "sigedge_runtime/py.typed",
        "sigedge_runtime/manifest.schema.json",
        "sigedge_runtime/bundles/edgesig/manifest.json",
        "sigedge_models/edgesig/recipe.yaml",
        "sigedge_models/edgesig/parity.json",
        "sigedge_models/edgesig/CARD.md",
        "sigedge_models/edgesig/export.json",
        "sigedge_export/audits/operator_versions.json",
        "sigedge_export/report/templates/page.css",
        "sigedge_export/report/templates/report.html.j2",
        "sigedge/evaluation/report/templates/evaluation.html.j2",
        "sigedge/demo/templates/report.html.j2",
    ],
)
def test_the_wheel_ships_its_data_files(names: set[str], name: str) -> None:
    assert name in names


def test_the_wheel_ships_the_default_bundle_whole(names: set[str], repository: Path) -> None:
    package = repository / "runtime"
    files = [path for path in (package / "sigedge_runtime" / "bundles").rglob("*") if path.is_file()]
    assert files and {path.relative_to(package).as_posix() for path in files} <= names


def test_the_wheel_carries_no_litter(names: set[str]) -> None:
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".log", ".ckpt"))]


@pytest.fixture(scope="module")
def device(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a clean environment in which a device's installation was done; skipped without a package index."""
    folder = tmp_path_factory.mktemp("device")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    pip = (folder / "venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
    constraints = ("--constraint", repository / CONSTRAINTS)
    reachable = run(*pip, "download", "-q", "--no-deps", "-d", "index", *constraints, "rich", cwd=folder, check=False)
    if reachable.returncode != 0:
        pytest.skip(f"no package index can be reached: {reachable.stderr.strip().splitlines()[-1]}")
    run(*pip, "install", "-q", *constraints, f"{repository}[litert]", cwd=folder)
    write_images(folder)
    return folder


def write_images(folder: Path) -> None:
    population = Synthesiser(900_004)
    signer = population.signer(0)
    images = {
        "a": signer.genuine(0),
        "b": signer.genuine(1),
        "genuine": signer.genuine(2),
        "random": population.signer(1).genuine(0),
    }
    for name, sample in images.items():
        cv2.imwrite(str(folder / f"{name}.png"), sample.image)


@pytest.mark.slow
def test_a_clean_device_verifies_two_images_without_torch(device: Path) -> None:
    done = run(device / "venv" / "bin" / "python", "-c", ON_A_DEVICE, cwd=device)
    assert done.stdout.split() == ["1", "0"]


@pytest.mark.slow
@pytest.mark.parametrize(("query", "code"), [("genuine.png", 0), ("random.png", 1), ("absent.png", 2)])
def test_the_command_line_of_a_clean_device(device: Path, query: str, code: int) -> None:
    sigedge = device / "venv" / "bin" / "sigedge"
    done = run(sigedge, "verify", query, "-r", "a.png", "-r", "b.png", cwd=device, check=False)
    assert done.returncode == code, done.stderr


@pytest.mark.slow
def test_a_device_is_told_what_to_install_for_the_workstation_commands(device: Path) -> None:
    done = run(device / "venv" / "bin" / "sigedge", "train", "--data", ".", cwd=device, check=False)
    assert done.returncode == 2 and "sigedge[train]" in done.stderr
