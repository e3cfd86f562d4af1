"""The tiny bundle of the runtime's tests, signatures on disk, and a way to run commands."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner, Result

from sigedge.cli import app

Run = Callable[..., Result]

_spec = importlib.util.spec_from_file_location(
    "tiny_bundle_fixtures", Path(__file__).parent.parent / "runtime" / "conftest.py"
)
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)
draw, master_bundle, bundle_folder, sign_off = tiny.draw, tiny.master_bundle, tiny.bundle_folder, tiny.sign_off
cells_bundle = tiny.cells_bundle


@pytest.fixture
def run() -> Run:
    """Run a command as a shell would: `run("verify", path, "--json", "-")`."""

    def invoke(*arguments: object) -> Result:
        return CliRunner(env={"NO_COLOR": "1"}).invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def signatures(tmp_path: Path) -> Path:
    """A folder with `ada/0.png` ... `ada/3.png` and `bob/0.png` ... `bob/3.png`."""
    folder = tmp_path / "signatures"
    for signer, name in enumerate(("ada", "bob")):
        (folder / name).mkdir(parents=True)
        for sample in range(4):
            cv2.imwrite(str(folder / name / f"{sample}.png"), tiny.draw_signature(signer, sample))
    return folder
