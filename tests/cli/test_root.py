"""The command line as a whole: which commands there are, help, versions and usage errors."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from sigedge import __version__
from sigedge.cli import app

COMMANDS = (
    "train",
    "evaluate",
    "calibrate",
    "export",
    "parity",
    "report",
    "bench",
    "build-engine",
    "engines",
    "enroll",
    "verify",
    "identify",
    "classify",
    "selftest",
    "synth",
    "demo",
    "bundle keygen",
    "bundle sign",
    "bundle verify",
    "bundle audit",
    "data index",
    "data check",
    "data leaks",
    "data prepare",
)


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner(env={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(runner: CliRunner, command: str) -> None:
    result = runner.invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_help_names_every_command_and_the_exit_codes(runner: CliRunner) -> None:
    text = runner.invoke(app, ["--help"]).stdout
    assert all(command.split()[0] in text for command in COMMANDS)
    assert "1 rejected" in text and "2 bad usage" in text


def test_version(runner: CliRunner) -> None:
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"sigedge {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["verify"],
        ["verify", "q.png"],
        ["verify", "q.png", "--user", "ada"],
        ["verify", "q.png", "--store", "s.db"],
        ["verify", "q.png", "--reference", "r.png", "--user", "ada", "--store", "s.db"],
        ["enroll", "a.png", "--store", "s.db"],
        ["identify", "q.png"],
        ["evaluate"],
        ["export", "x.safetensors"],
        ["synth", "x", "--signers", "0"],
        ["bench", "--repeats", "many"],
    ],
)
def test_wrong_usage_is_code_2(runner: CliRunner, arguments: list[str]) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
