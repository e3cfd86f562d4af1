"""The short way of a plain `sigedge verify`: the same answers as the long one, and the long one whenever in doubt."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sigedge.cli import quick, verify
from sigedge.cli.guard import BAD_INPUT, DEFECT
from sigedge.cli.verdict import Request

STORED = ["verify", "q.png", "--user", "ada", "--store", "s.db"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["--version"],
        ["enroll", "a.png"],
        ["verify"],
        ["verify", "--help"],
        ["verify", "q.png"],
        ["verify", "q.png", "--user", "ada"],
        ["verify", "q.png", "extra.png", "-r", "a.png"],
        ["verify", "q.png", "-r", "a.png", "--store", "s.db"],
        [*STORED, "--help"],
        [*STORED, "--unknown"],
        [*STORED, "--thr", "2"],
        [*STORED, "--threads", "0"],
        [*STORED, "--threads", "many"],
        [*STORED, "--threads", "-1"],
        [*STORED, "--engine"],
        ["verify", "--user", "ada", "--store", "s.db", "--", "q.png"],
    ],
)
def test_what_is_not_plain_is_left_to_the_whole_command_line(arguments: list[str]) -> None:
    assert quick.read_request(arguments) is None
    assert quick.run_quickly(arguments) is None


def test_a_plain_request_is_read() -> None:
    assert quick.read_request(STORED) == Request(Path("q.png"), "ada", Path("s.db"))
    options = ["--bundle", "b.zip", "--engine", "litert", "--precision", "int8", "--threads", "auto", "--json", "-"]
    found = quick.read_request([*STORED, *options, "--operating-point=high-security"])
    assert found == Request(
        Path("q.png"), "ada", Path("s.db"), None, None, Path("b.zip"), "litert", "int8", "high-security", None, "-"
    )
    found = quick.read_request(["verify", "-r", "a.png", "q.png", "--reference", "b", "-b", "x", "--threads", "2"])
    assert found == Request(Path("q.png"), reference=[Path("a.png"), Path("b")], bundle=Path("x"), threads=2)


def test_both_ways_know_the_same_options() -> None:
    long = set(inspect.signature(verify.verify).parameters)
    short = {action.dest for action in quick._parser()._actions}
    assert long == short == set(Request.__dataclass_fields__)


def shell(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sigedge", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_both_ways_give_the_same_answer(run, signatures: Path, master_bundle: Path) -> None:
    for query in (signatures / "ada" / "3.png", signatures / "bob" / "3.png", signatures / "none.png"):
        arguments = ("verify", query, "-r", signatures / "ada" / "0.png", "--bundle", master_bundle, "--json", "-")
        short, long = shell(*arguments), run(*arguments)
        assert short.returncode == long.exit_code
        if short.stdout:
            found, expected = json.loads(short.stdout), json.loads(long.stdout)
            assert (found.pop("timings"), expected.pop("timings")) and found == expected
        else:
            assert short.stderr == long.stderr and short.returncode == BAD_INPUT


def test_a_mistake_is_explained_by_the_whole_command_line() -> None:
    done = shell("verify", "q.png", "--user", "ada")
    assert done.returncode == 2 and "Give --user with --store" in done.stderr


def test_the_short_way_imports_neither_typer_nor_rich(signatures: Path, master_bundle: Path) -> None:
    heavy = ("typer", "rich", "pydantic", "click", "zipfile", "importlib.metadata", "sigedge_runtime.tensorrt")
    heavy += ("sigedge_runtime.network", "sigedge_runtime.vectors", "sigedge_runtime.selftest")
    arguments = ["sigedge", "verify", str(signatures / "ada/3.png"), "-r", str(signatures / "ada/0.png")]
    code = (
        "import sys\nfrom sigedge.cli import main\n"
        f"sys.argv = {[*arguments, '--bundle', str(master_bundle), '--engine', 'litert']!r}\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print(end.code)\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
    )
    for expected in (["sigedge_runtime.selftest"], []):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        loaded = eval(done.stdout.splitlines()[-1])
        assert done.stdout.startswith("ACCEPTED") and done.stdout.splitlines()[-2] == "0"
        assert [name for name in loaded if name in ("typer", "rich", "pydantic", "click")] == []
        assert ("sigedge_runtime.selftest" in loaded) == bool(expected), "only the first process replays"
    assert loaded == []


def test_a_defect_is_confessed(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(quick, "decide", lambda request: 1 // 0)
    assert quick.run_quickly(STORED) == DEFECT
    assert "ZeroDivisionError" in (error := capsys.readouterr().err) and "defect of sigedge" in error


def test_an_interruption_is_code_130(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def stopped(request: Request) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(quick, "decide", stopped)
    assert quick.run_quickly(STORED) == 130 and capsys.readouterr().err == "sigedge: Stopped.\n"
