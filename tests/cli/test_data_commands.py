"""`sigedge synth` and `sigedge data`: from nothing to an indexed, checked data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sigedge.cli import app
from sigedge.data import read_index


def run(*arguments: object) -> Result:
    return CliRunner(env={"NO_COLOR": "1"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "people"
    result = run("synth", folder, "--signers", 2, "--genuine", 3, "--forged", 2, "--seed", 7)
    assert result.exit_code == 0, result.output
    return folder


def test_synth_writes_the_plain_layout(dataset: Path) -> None:
    assert len(list(dataset.glob("signer_*/genuine/*.png"))) == 6
    assert len(list(dataset.glob("signer_*/forged/*.png"))) == 4


def test_synth_refuses_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("my thesis")
    result = run("synth", tmp_path)
    assert result.exit_code == 2 and str(tmp_path) in result.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_index_can_be_read_back(dataset: Path, tmp_path: Path) -> None:
    index = tmp_path / "deep" / "index.csv"
    assert run("data", "index", dataset, "--out", index, "--dataset", "people").exit_code == 0
    records = read_index(index)
    assert len(records) == 10 and all(record.path.is_file() for record in records)
    assert {record.dataset for record in records} == {"people"}


def test_index_of_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("data", "index", tmp_path / "empty", "--out", tmp_path / "index.csv")
    assert result.exit_code == 2 and "empty" in result.stderr
    assert not (tmp_path / "index.csv").exists()


def test_check_counts_and_names_what_is_wrong(dataset: Path, tmp_path: Path) -> None:
    folder = dataset / "signer_0001" / "genuine"
    copy, broken = folder / "77.png", folder / "88.png"
    copy.write_bytes((folder / "01.png").read_bytes())
    broken.write_bytes((folder / "01.png").read_bytes()[:200])
    try:
        result = run("data", "check", dataset, "--cache", tmp_path, "--json", "-")
    finally:
        copy.unlink()
        broken.unlink()
    found = json.loads(result.stdout)
    assert result.exit_code == 1 and "88.png" in result.stderr
    counts = found["datasets"]["people"]
    assert (counts["signers"], counts["genuine"], counts["forged"], counts["duplicates"]) == (2, 7, 4, 1)
    assert [Path(entry["path"]).name for entry in found["unreadable"]] == ["88.png"]


def test_check_of_a_sound_data_set_is_code_0(dataset: Path, tmp_path: Path) -> None:
    assert run("data", "check", dataset, "--cache", tmp_path).exit_code == 0


def test_leaks_measures_raw_and_canvas(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the probes need scikit-learn (pip install 'sigedge[train]')")
    result = run("data", "leaks", dataset, "--cache", tmp_path, "--json", tmp_path / "leaks.json")
    found = json.loads((tmp_path / "leaks.json").read_text())
    assert result.exit_code == (0 if found["passed"] else 1)
    assert {"raw", "canvas"} <= found.keys() and found["signers"] == 2


@pytest.mark.parametrize("command", ["index", "check", "leaks"])
def test_a_missing_folder_is_code_2(command: str, tmp_path: Path) -> None:
    extra = ["--out", tmp_path / "index.csv"] if command == "index" else ["--cache", tmp_path]
    result = run("data", command, tmp_path / "absent", *extra)
    assert result.exit_code == 2 and f"{tmp_path / 'absent'} does not exist" in result.stderr
