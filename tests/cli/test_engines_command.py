"""`sigedge engines`: what is installed, what auto takes and why; and `--threads auto`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sigedge_runtime import engines
from sigedge_runtime.engines import auto


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Engines in the order in which they were measured; LiteRT is the fastest, and two threads are faster."""
    asked = list[str]()

    def fake(engine: engines.Engine) -> float:
        asked.append(engine.name)
        return (1.0 if engine.name == "litert" else 3.0) / engine.threads

    monkeypatch.setattr(auto, "time_engine", fake)
    monkeypatch.setattr(auto, "usable_cores", lambda: 2)
    return asked


def test_engines_are_listed_and_the_choice_is_explained(run, master_bundle: Path, measured: list[str]) -> None:
    result = run("engines", master_bundle, "--measure", "--json", "-")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert [row["engine"] for row in found["engines"]] == list(engines.names())
    assert found["choice"]["engine"] == "litert" and found["choice"]["milliseconds"] == 1.0
    assert found["choice"]["measured"] and found["fallbacks"] == []
    assert "auto runs tiny-int8-tflite on litert with 1 thread: it is the" in result.stderr
    assert (
        "needs the GPU delegate of this platform" in result.stderr.replace("\n", " ") or "litert-gpu" in result.stderr
    )


def test_a_measurement_is_repeated_only_when_asked_for(run, master_bundle: Path, measured: list[str]) -> None:
    for _ in range(2):
        assert run("engines", master_bundle, "--threads", "auto").exit_code == 0
    once = len(measured)
    result = run("engines", master_bundle, "--threads", "auto", "--measure")
    assert len(measured) == 2 * once > 0
    assert "on litert with 2 threads: it is the fastest here on" in result.stdout


def test_fallbacks_are_told(run, master_bundle: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    kind = engines.engine_class("litert")
    monkeypatch.setattr(kind, "_fallbacks_impl", lambda self: ["The GPU is on holiday."])
    assert "The GPU is on holiday." in run("engines", master_bundle).stdout
    result = run("selftest", master_bundle, "--json", "-")
    assert "The GPU is on holiday." in result.stderr
    assert json.loads(result.stdout)["fallbacks"] == ["The GPU is on holiday."]


def test_verify_says_what_ran(run, master_bundle: Path, signatures: Path, measured: list[str]) -> None:
    arguments = ("verify", signatures / "ada/3.png", "-r", signatures / "ada/0.png", "--bundle", master_bundle)
    result = run(*arguments, "--threads", "auto", "--json", "-")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["engine"]["engine"], found["engine"]["threads"]) == ("litert", 2) and found["fallbacks"] == []
    assert json.loads(run(*arguments, "--engine", "litert", "--json", "-").stdout)["engine"]["why"] == (
        "the one that was asked for"
    )


@pytest.mark.parametrize(
    "command",
    [("selftest",), ("engines",), ("verify", "a.png", "-r", "b.png"), ("identify", "a.png", "--store", "s.db")],
)
@pytest.mark.parametrize("threads", ["0", "-1", "many", "1.5", "²"])
def test_a_wrong_number_of_threads_is_refused(run, command: tuple[str, ...], threads: str) -> None:
    result = run(*command, f"--threads={threads}")
    assert result.exit_code == 2 and "neither auto nor a number above 0" in " ".join(result.stderr.split())
