"""The demo as `make demo` runs it, on the committed weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sigedge.cli import app
from sigedge_runtime.manifest import PRECISIONS


@pytest.mark.slow
def test_the_whole_way_once(repository: Path, tmp_path: Path) -> None:
    weights = repository / "models" / "weights" / "edgesig.safetensors"
    out = tmp_path / "demo"
    result = CliRunner(env={"NO_COLOR": "1"}).invoke(
        app, ["demo", "--checkpoint", str(weights), "--out", str(out), "--json", str(out / "demo.json")]
    )
    assert result.exit_code == 0, result.output
    found = json.loads((out / "demo.json").read_text())
    assert [case["verdict"]["accepted"] for case in found["cases"]] == [True, False, False]
    assert {row["precision"] for row in found["artifacts"]} == set(PRECISIONS)
    assert (out / "report.html").stat().st_size > 50_000 and (out / "bundle.zip").is_file()
    assert "Skilled forgery: rejected" in result.stdout and "median ms" in result.stdout


def test_missing_weights_are_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent.safetensors"
    result = CliRunner().invoke(app, ["demo", "--checkpoint", str(absent), "--out", str(tmp_path / "demo")])
    assert result.exit_code == 2 and str(absent) in result.stderr
    assert not list(tmp_path.iterdir())
