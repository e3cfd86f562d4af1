"""Figures in README and docs come from result files, and are up to date."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def tables(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_tables", repository / "benchmarks" / "docs_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FIGURES = {
    "eer_skilled": 0.1234,
    "eer_skilled_ci95": [0.1, 0.15],
    "eer_random": 0.02,
    "eer_per_signer_mean": None,
    "frr_at_far_1pct": 0.5,
    "auc": 0.9,
}


def test_tables_in_the_repository_are_up_to_date(tables: ModuleType, capsys) -> None:
    assert tables.main(["--check"]) == 0, capsys.readouterr().out + "; run make docs-tables"


def test_a_table_is_made_from_the_files(tables: ModuleType, tmp_path: Path) -> None:
    result = {"dataset": "d", "signers": 11, "artifact": "a", "references": {"1": FIGURES}}
    (tmp_path / "evaluate-d.json").write_text(json.dumps(result))
    text = tables.render("x\n<!-- table: accuracy -->\nold\n<!-- /table -->\ny", tmp_path)
    assert "old" not in text and text.startswith("x\n") and text.endswith("y")
    assert "| d (11) | a | 1 | 12.3 (10.0 to 15.0) | 2.0 | - | 50.0 | 0.900 |" in text


def test_rendering_twice_changes_nothing(tables: ModuleType, tmp_path: Path) -> None:
    once = tables.render("<!-- table: leaks -->\n<!-- /table -->", tmp_path)
    assert "Not measured yet" in once and tables.render(once, tmp_path) == once


def test_an_unknown_table_is_an_error(tables: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="nonsense"):
        tables.render("<!-- table: nonsense -->\n<!-- /table -->", tmp_path)


@pytest.mark.parametrize("name", ["accuracy", "leaks", "latency", "parity"])
def test_every_table_reads_the_files_that_are_there(tables: ModuleType, name: str) -> None:
    text = tables.render(f"<!-- table: {name} -->\n<!-- /table -->", tables.RESULTS)
    pattern = tables.TABLES[name][0]
    assert ("Not measured yet" in text) == (not list(tables.RESULTS.glob(pattern)))
