"""Exceptions become exit codes and one sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from sigedge.cli.guard import BAD_INPUT, BROKEN_PIPE, DEFECT, INTERRUPTED, REJECTED, explain, guard, run_guarded
from sigedge_runtime.errors import (
    BundleIntegrityError,
    DataError,
    ExportError,
    ImageError,
    ParityError,
    SelftestError,
    SigedgeError,
    StoreLockedError,
    UnknownUserError,
)


def code_of(error: BaseException, kept: str = "") -> int:
    @guard(kept)
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as raised:
        command()
    return raised.value.exit_code


@pytest.mark.parametrize(
    "kind", [SigedgeError, ImageError, BundleIntegrityError, DataError, ExportError, StoreLockedError, UnknownUserError]
)
def test_bad_input_is_code_2_with_its_own_sentence(kind: type[SigedgeError], capsys) -> None:
    assert code_of(kind("scan.png is empty; scan it again.")) == BAD_INPUT
    captured = capsys.readouterr()
    assert captured.err == "sigedge: scan.png is empty; scan it again.\n" and captured.out == ""


@pytest.mark.parametrize("kind", [ParityError, SelftestError])
def test_a_failed_proof_is_code_1(kind: type[SigedgeError]) -> None:
    assert code_of(kind("differs")) == REJECTED


def test_interruption_says_what_was_kept(capsys) -> None:
    assert code_of(KeyboardInterrupt(), kept="The cache stays.") == INTERRUPTED
    assert capsys.readouterr().err == "sigedge: Stopped. The cache stays.\n"


def test_a_file_error_names_the_file(capsys) -> None:
    assert code_of(PermissionError(13, "Permission denied", "/root/x.json")) == BAD_INPUT
    assert "/root/x.json: Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize(("module", "extra"), [("torch", "train"), ("tensorflow.lite", "export"), ("sklearn", "train")])
def test_a_missing_package_names_its_extra(module: str, extra: str) -> None:
    sentence, code = explain(ModuleNotFoundError("No module", name=module))
    assert f"sigedge[{extra}]" in sentence and code == BAD_INPUT


def test_a_missing_module_of_our_own_is_a_defect() -> None:
    with pytest.raises(ModuleNotFoundError):
        explain(ModuleNotFoundError("No module", name="sigedge.nonsense"))


def test_other_exceptions_are_defects() -> None:
    with pytest.raises(ZeroDivisionError):
        explain(ZeroDivisionError("division by zero"))


def test_exit_codes_of_commands_pass_through() -> None:
    assert code_of(typer.Exit(1)) == 1


def test_long_sentences_are_not_broken(capsys) -> None:
    path = "/".join(["folder"] * 60)
    code_of(DataError(f"{path} is not there."))
    assert path in capsys.readouterr().err


def test_markup_in_a_file_name_is_printed_as_it_is(capsys) -> None:
    code_of(DataError("[bold]x[/bold].png is not there."))
    assert "[bold]x[/bold].png" in capsys.readouterr().err


def test_a_closed_pipe_is_quiet() -> None:
    code = "import os\nfrom sigedge.cli.guard import guard\n@guard()\ndef f():\n    raise BrokenPipeError\n"
    code += "import typer\ntry:\n    f()\nexcept typer.Exit as e:\n    os._exit(e.exit_code)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (BROKEN_PIPE, "")


def test_a_defect_ends_with_a_traceback_and_code_70() -> None:
    code = "import sigedge.cli.root as r\nr.app = lambda: 1 / 0\nr.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "ZeroDivisionError" in done.stderr and "defect of sigedge" in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ImageError("x is empty."), BAD_INPUT),
        (SelftestError("differs"), REJECTED),
        (KeyboardInterrupt(), INTERRUPTED),
        (ZeroDivisionError(), DEFECT),
    ],
)
def test_a_command_without_typer_ends_alike(error: BaseException, code: int, capsys) -> None:
    def command() -> int:
        raise error

    assert run_guarded(command) == code
    assert capsys.readouterr().err.startswith("Traceback" if code == DEFECT else "sigedge: ")


def test_a_command_without_typer_gives_its_own_code() -> None:
    assert run_guarded(lambda: 1) == 1
