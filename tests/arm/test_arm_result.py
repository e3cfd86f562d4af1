"""The committed result is about what is shipped, and says that nothing differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sigedge.arm.__main__ import SHIPPED_NAMES
from sigedge.arm.comparison import failures
from sigedge.arm.processors import PROCESSORS
from sigedge.evaluation.results import read_result
from sigedge_runtime.bundle import SHIPPED, Bundle


@pytest.fixture(scope="module")
def result(repository: Path) -> dict:
    return read_result(repository / "benchmarks" / "results" / "arm-parity.json")


def test_nothing_differed_on_any_core(result: dict) -> None:
    assert set(result["processors"]) == {processor.name for processor in PROCESSORS}
    assert result["failures"] == [problem for figures in result["processors"].values() for problem in failures(figures)]
    assert result["failures"] == []


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_it_is_about_the_files_that_are_shipped(result: dict, name: str) -> None:
    with Bundle.open(SHIPPED / name) as bundle:
        shipped = {(name, artifact.sha256) for artifact in bundle.artifacts()}
    for figures in result["processors"].values():
        measured = {(row["bundle"], row["sha256"]) for row in figures["artifacts"]}
        assert shipped <= measured, f"{name} was exported again: run make arm-parity"
