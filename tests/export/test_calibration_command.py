"""`sigedge calibrate`: draw, check and refuse, as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sigedge.cli import app
from sigedge.synthesis import write_dataset
from sigedge_export.calibration import load_calibration

SIGNERS = [f"signer_{number:04d}" for number in range(1, 7)]


def run(*arguments: object) -> Result:
    return CliRunner(env={"NO_COLOR": "1"}).invoke(app, ["calibrate", *map(str, arguments)])


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six signers; the last two are for testing."""
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "people", signers=6, genuine=4, forged=2, seed=21)
    (folder / "splits.json").write_text(json.dumps({"people": {"train": SIGNERS[:4], "test": SIGNERS[4:]}}))
    return folder


def data(people: Path) -> tuple[object, ...]:
    return ("--index", people / "people", "--splits", people / "splits.json")


@pytest.fixture(scope="module")
def drawn(people: Path) -> Path:
    path = people / "set.npz"
    result = run("--out", path, *data(people), "--count", 110)
    assert result.exit_code == 0, result.output
    return path


def test_draws_training_signers_alone(drawn: Path) -> None:
    found = load_calibration(drawn)
    real = {origin.signer for origin in found.origins if origin.seed is None}
    assert len(found) == 110 and found.seed == 900001
    assert real and real < set(SIGNERS[:4]), "two of the four are validation signers"


def test_a_sound_set_passes_the_lint_against_evaluation_signers(drawn: Path, people: Path, tmp_path: Path) -> None:
    options = ("--evaluation-index", people / "people", "--splits", people / "splits.json", "--cache", tmp_path)
    result = run("--lint", drawn, *options, "--json", "-")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["canvases"] == 110 and found["datasets"].keys() == {"people", "synthetic"}
    assert not [finding for finding in found["findings"] if finding["severity"] == "error"]


def test_a_set_of_test_signers_fails_the_lint(drawn: Path, people: Path, tmp_path: Path) -> None:
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"people": {"train": [], "test": SIGNERS}}))
    result = run("--lint", drawn, "--evaluation-index", people / "people", "--splits", splits, "--cache", tmp_path)
    assert result.exit_code == 1
    assert "validation or test signers are in it" in result.output and "canvases equal one" in result.output


def test_few_canvases_are_drawn_with_a_warning_or_an_error(tmp_path: Path) -> None:
    warned = run("--out", tmp_path / "warned.npz", "--count", 20)
    assert warned.exit_code == 0 and "warning: It holds 20 different canvases" in warned.output
    assert (tmp_path / "warned.npz").is_file()
    assert run("--out", tmp_path / "few.npz", "--count", 3).exit_code == 1


@pytest.mark.parametrize("options", [[], ["--out", "a.npz", "--lint", "b.npz"]])
def test_exactly_one_thing_is_done(options: list[str]) -> None:
    result = run(*options)
    assert result.exit_code == 2 and "exactly one of --out FILE" in result.stderr


def test_a_file_that_is_no_set(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_text("x")
    result = run("--lint", tmp_path / "x.npz")
    assert result.exit_code == 2 and "x.npz is no calibration set" in result.stderr


@pytest.mark.slow
def test_a_comparison_writes_its_figures_and_where_they_came_from(
    checkpoint: Path, drawn: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    from sigedge_export import calibration

    quick = partial(calibration.compare_ranges, methods=("minmax", "mse"), writers=("onnx-qdq",))
    monkeypatch.setattr(calibration, "compare_ranges", quick)
    result = run("--compare", checkpoint, "--calibration", drawn, *data(people), "--json", tmp_path / "result.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "result.json").read_text())
    assert [row["method"] for row in found["rows"]] == ["minmax", "mse"]
    assert found["source"] == "validation signers of people" and found["meta"]["calibration"]["canvases"] == 110
    assert len(found["meta"]["model"]["checkpoint_sha256"]) == 64
    assert "EER change" in result.output and "moves the EER by" in result.output
