"""The shape of the repository: what pyproject.toml, the folders and the public names promise."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:  # the standard library has it from 3.11 on
    tomllib = pytest.importorskip("tomli", reason="reading pyproject.toml needs Python 3.11 or tomli")

PACKAGES = {
    "sigedge": "sigedge",
    "sigedge_models": "models/sigedge_models",
    "sigedge_export": "export/sigedge_export",
    "sigedge_runtime": "runtime/sigedge_runtime",
}
FLAT_APIS = (
    "sigedge",
    "sigedge.data",
    "sigedge.evaluation",
    "sigedge.synthesis",
    "sigedge_export",
    "sigedge_runtime",
)
EXTRAS = {"litert", "tflite", "onnx", "tensorrt", "train", "export", "sign", "kiosk", "distributed", "fuzz", "dev"}


@pytest.fixture(scope="module")
def pyproject(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())


def requirement_name(requirement: str) -> str:
    return re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_a_device_installs_two_packages_and_the_command_line_two_more(pyproject: dict) -> None:
    names = {requirement_name(entry) for entry in pyproject["project"]["dependencies"]}
    assert names == {"numpy", "opencv-python-headless", "typer", "rich"}


def test_every_extra_is_there(pyproject: dict) -> None:
    assert set(pyproject["project"]["optional-dependencies"]) == EXTRAS


def test_constraints_pin_exact_versions_and_one_opencv(repository: Path) -> None:
    lines = (repository / "constraints.txt").read_text().splitlines()
    pins = dict(re.fullmatch(r"([\w-]+)==([^;]+)(?:;.*)?", line).groups() for line in lines if line and line[0] != "#")
    assert pins["opencv-python"] == pins["opencv-python-headless"]
    assert pins["numpy"].startswith("1.")


@pytest.mark.parametrize("folder", ["export", "runtime", "models"])
def test_folders_that_are_no_packages_hold_no_module(repository: Path, folder: str) -> None:
    assert not list((repository / folder).glob("*.py"))


@pytest.mark.parametrize("folder", PACKAGES.values())
def test_every_package_ships_its_types(repository: Path, folder: str) -> None:
    assert (repository / folder / "py.typed").is_file()


@pytest.mark.parametrize("name", FLAT_APIS)
def test_all_is_exactly_the_public_surface(name: str) -> None:
    """Every name of `__all__` exists and is listed once, and no other class or function is public."""
    module = importlib.import_module(name)
    assert len(module.__all__) == len(set(module.__all__))
    assert set(module.__all__) == public_names(module)


def public_names(module: ModuleType) -> set[str]:
    """Public names that a module defines or re-exports: no submodules, no names of other distributions."""
    ours = tuple(PACKAGES)
    names = set(module.__all__) & set(dir(module))
    for name, value in vars(module).items():
        own = (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith(ours)
        if own and not name.startswith("_"):
            names.add(name)
    return names


def test_no_source_file_is_longer_than_a_reader_bears(repository: Path) -> None:
    long = {
        str(path.relative_to(repository)): count
        for folder in PACKAGES.values()
        for path in (repository / folder).rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert not long


def test_the_licence_is_apache_2(repository: Path, pyproject: dict) -> None:
    text = (repository / "LICENSE").read_text()
    assert "Apache License" in text and "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text
    assert pyproject["project"]["license"] == "Apache-2.0"
