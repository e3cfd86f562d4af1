"""What commands print, and where."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from sigedge.cli.console import Output, print_line, write_text


def test_without_json_everything_is_for_people(capsys) -> None:
    output = Output()
    output.say("hello")
    output.result({"a": 1})
    assert capsys.readouterr().out == "hello\n"


def test_json_on_stdout_is_alone_there(capsys) -> None:
    output = Output("-")
    output.say("hello")
    output.table("t", ("a",), [("x",)])
    output.result({"a": 1})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": 1}
    assert "hello" in captured.err and "x" in captured.err


def test_json_goes_to_a_file_whose_folder_is_made(tmp_path: Path, capsys) -> None:
    path = tmp_path / "new" / "result.json"
    Output(str(path)).result({"b": 2, "a": 1})
    assert json.loads(path.read_text()) == {"a": 1, "b": 2}
    assert str(path) in capsys.readouterr().out
    assert [entry.name for entry in path.parent.iterdir()] == ["result.json"]


def test_what_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        Output(str(path)).result({"a": float("nan")})
    assert path.read_text() == "old"


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(OSError, match="folder"):
        write_text(target, "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_cells_may_hold_anything(capsys) -> None:
    Output().table("t", ("a", "b"), [("[red]x[/red]", 1.5)])
    assert "1.5" in capsys.readouterr().out


def test_status_goes_to_stderr(capsys) -> None:
    Output().status("step")
    captured = capsys.readouterr()
    assert captured.out == "" and "step" in captured.err


def test_progress_reports_numbers_without_a_terminal(capsys) -> None:
    with Output().progress("work") as update:
        update(1, 2)
        update(2, 2)
    assert capsys.readouterr().out == ""


class Terminal(io.TextIOWrapper):
    """A stream that says to be a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding, newline="\n")

    def isatty(self) -> bool:
        return True

    def printed(self) -> bytes:
        self.flush()
        return self.bytes.getvalue()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def test_a_terminal_gets_colour(terminal: Terminal) -> None:
    with redirect_stdout(terminal):
        print_line("yes", "bold green")
        print_line("plain")
    assert terminal.printed() == b"\x1b[1;32myes\x1b[0m\nplain\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colour_gets_none(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with redirect_stdout(terminal):
        print_line("yes", "bold green")
    assert terminal.printed() == b"yes\n"


def test_colour_can_be_forced_into_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    print_line("no", "red", stderr=True)
    assert capsys.readouterr().err == "\x1b[31mno\x1b[0m\n"


def test_control_characters_of_a_file_name_are_shown(terminal: Terminal) -> None:
    with redirect_stdout(terminal):
        print_line("a\x1b[2Jb\rc\x07.png\nsecond line")
    assert terminal.printed() == b"a\\x1b[2Jb\\rc\\x07.png\nsecond line\n"


def test_what_the_terminal_cannot_show_is_escaped() -> None:
    stream = Terminal("ascii")
    with redirect_stdout(stream):
        print_line("Müller \udcff.png")
    assert stream.printed() == b"M\\xfcller \\udcff.png\n"
