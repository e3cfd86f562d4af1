"""What commands print: tables and sentences for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RichCast

    from sigedge.cli.types import ProgressCallback

STDOUT = "-"
WIDTH_WITHOUT_TERMINAL = 140
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class Output:
    """One command's output: text for people on stdout, and one JSON object where the user asked for it.

    With `--json -` the JSON object is all that stdout holds; the text for people moves to stderr.
    """

    def __init__(self, json_target: str | None = None) -> None:
        self._json_target = json_target
        self._to_stderr = json_target == STDOUT

    def say(self, sentence: str, style: str = "") -> None:
        """Print one line, unwrapped."""
        print_line(sentence, style, stderr=self._to_stderr)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table: the first column and the names of engines left, figures right."""
        from rich import box
        from rich.table import Table

        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 or column == "engine" else "right", overflow="fold")
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        _console(stderr=self._to_stderr).print(table)

    def result(self, payload: Mapping[str, Any]) -> None:
        """Write `payload` as JSON to where `--json` points; nothing without it."""
        if self._json_target is None:
            return
        text = json.dumps(payload, indent=2, sort_keys=True, allow_nan=False) + "\n"
        if self._json_target == STDOUT:
            print(text, end="", flush=True)
        else:
            write_text(Path(self._json_target), text)
            self.say(f"Results: {self._json_target}")

    def status(self, step: str) -> None:
        """Print on stderr what is being done, so that a long command never looks dead."""
        print_line(f"  {step}", "dim", stderr=True)

    @contextmanager
    def live(self, drawing: RichCast) -> Iterator[bool]:
        """Draw `drawing` again and again on stderr; yields False, and draws nothing, where that is no terminal."""
        from rich.live import Live

        console = _console(stderr=True)
        if not console.is_terminal:
            yield False
            return
        with Live(drawing, console=console):
            yield True

    @contextmanager
    def progress(self, label: str) -> Iterator[ProgressCallback]:
        """A progress bar on stderr; yields `callback(done, total)`."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=_console(stderr=True), transient=True) as bars:
            task = bars.add_task(label, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)


def complain(sentence: str) -> None:
    """Print one sentence on stderr, unwrapped, so that file names in it stay whole."""
    print_line(f"sigedge: {sentence}", "red", stderr=True)


def print_line(sentence: str, style: str = "", *, stderr: bool = False) -> None:
    """Print a sentence as one line, in colour on a terminal; without rich, which takes longer to import than a verdict.

    Control characters, which a file name may hold, are shown and not obeyed.
    """
    stream = sys.stderr if stderr else sys.stdout
    shown = (sign if unicodedata.category(sign) != "Cc" or sign == "\n" else repr(sign)[1:-1] for sign in sentence)
    text = "".join(shown)
    codes = ";".join(_STYLES[word] for word in style.split()) if _in_colour(stream) else ""
    line = f"\x1b[{codes}m{text}\x1b[0m\n" if codes else f"{text}\n"
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _in_colour(stream: TextIO) -> bool:
    """Whether escape sequences are wanted there (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown") or os.name == "nt":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step, making its folder: the old content or the new, never half of it."""
    from sigedge_runtime.atomic import write_atomically

    write_atomically(path, text.encode())


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr)
    # A log file or a pipe is as wide as a table needs; only a terminal is as wide as it is.
    return console if console.is_terminal else Console(stderr=stderr, width=WIDTH_WITHOUT_TERMINAL)
