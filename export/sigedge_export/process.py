"""Run one step of the chain in a child process and turn its failure into a sentence."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sigedge_runtime.errors import ExportError

TAIL_LINES = 5

# First match wins; the text is what the log's last lines, or the way the child ended, must contain.
REMEDIES = (
    ("ModuleNotFoundError", "install the converters with: pip install 'sigedge[export]'"),
    ("No space left on device", "free some disc space and export again"),
    ("MemoryError", "free some memory and export again"),
    ("SIGKILL", "the system probably ran out of memory: free some and export again"),
    ("", "the log tells what the converter met"),
)


def run_step(name: str, arguments: Sequence[str | Path], logs: Path) -> None:
    """Run ``python -m sigedge_export.steps.<name>`` with everything it prints in ``logs/<name>.log``.

    The child works in the log folder, so that neither stray files of a converter nor modules of the caller's
    current folder matter; paths among the arguments must be absolute.

    Args:
        name: module name below `sigedge_export.steps`.
        arguments: command line of the step.
        logs: existing folder of the log file.

    Raises:
        ExportError: the child did not end with exit code 0; the text names the step, its log file and the
            remedy.
    """
    log = logs / f"{name}.log"
    command = [sys.executable, "-m", f"sigedge_export.steps.{name}", *map(str, arguments)]
    with log.open("wb") as sink:
        code = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=logs,
            env=_environment(),
            check=False,
        ).returncode
    if code != 0:
        raise ExportError(_explain(name, code, log))


@contextmanager
def step_folder(purpose: str) -> Iterator[Path]:
    """A temporary folder for a step that needs none of its own; kept on failure, as the error names a log in it."""
    folder = Path(tempfile.mkdtemp(prefix=f"sigedge-{purpose}-"))
    yield folder
    shutil.rmtree(folder)


def _environment() -> dict[str, str]:
    # The packages may be importable only through this process's sys.path (a checkout, a test run).
    paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
    return {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONIOENCODING": "utf-8"}


def _explain(name: str, code: int, log: Path) -> str:
    end = f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-TAIL_LINES:]
    last = lines[-1].strip() if lines else "it printed nothing"
    remedy = next(remedy for sign, remedy in REMEDIES if sign in "\n".join([*lines, end]))
    return f"Step {name} of the export failed with {end} ({last[:300]}); {remedy} (log: {log})."
