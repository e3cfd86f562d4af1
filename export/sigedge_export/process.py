"""Run steps of the chain in child processes and turn their failures into sentences."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sigedge_runtime.errors import ExportError

TAIL_LINES = 5
TICK = 0.02
"""Seconds between two looks at a running child."""

FULL = "No space left on device"
LEAST_FREE = 1 << 20
"""Bytes; with less than that, even the log that would have named the reason may be cut off."""

# First match wins; the text is what the log's last lines, or the way the child ended, must contain.
REMEDIES = (
    ("ModuleNotFoundError", "install the converters with: pip install 'sigedge[export]'"),
    (FULL, "free some disc space and export again"),
    ("MemoryError", "free some memory and export again"),
    ("SIGKILL", "the system probably ran out of memory: free some and export again"),
    ("SIGTERM", "somebody ended it: export again"),
    ("", "the log tells what the converter met"),
)


@dataclass(frozen=True)
class Usage:
    """What a finished child took.

    Attributes:
        seconds: wall-clock time.
        peak_memory: largest resident set, bytes, as of the last look; 0 where the system does not tell.
    """

    seconds: float
    peak_memory: int


class Child:
    """A running ``python -m sigedge_export.steps.<name>`` with everything it prints in a log file.

    The child works in the log folder, so that neither stray files of a converter nor modules of the caller's current
    folder matter; paths among the arguments must be absolute. It leads a process group of its own, so that `end` takes
    along what it started.

    Args:
        name: module name below `sigedge_export.steps`.
        arguments: command line of the step.
        logs: existing folder of the log file.
        log: name of the log file without its suffix; None takes `name`.
    """

    def __init__(self, name: str, arguments: Sequence[str | Path], logs: Path, log: str | None = None) -> None:
        self._name, self._log = name, logs / f"{log or name}.log"
        command = [sys.executable, "-m", f"sigedge_export.steps.{name}", *map(str, arguments)]
        self._start, self._peak = time.perf_counter(), 0
        with self._log.open("wb") as sink:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=logs,
                env=_environment(),
                start_new_session=True,
            )

    def poll(self) -> Usage | None:
        """What the child took, or None while it runs.

        Raises:
            ExportError: it did not end with exit code 0; the text names the step, its log file and the remedy.
        """
        self._peak = max(self._peak, _peak_memory(self._process.pid))
        code = self._process.poll()
        if code is None:
            return None
        if code != 0:
            raise ExportError(_explain(self._name, code, self._log))
        return Usage(time.perf_counter() - self._start, self._peak)

    def end(self) -> None:
        """Kill the child and its own children; nothing happens when it has ended."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def run_step(name: str, arguments: Sequence[str | Path], logs: Path) -> Usage:
    """Run a step as a `Child` and wait for it; an exception meanwhile ends it.

    Raises:
        ExportError: as `Child.poll`.
    """
    child = Child(name, arguments, logs)
    try:
        while (usage := child.poll()) is None:
            time.sleep(TICK)
    finally:
        child.end()
    return usage


@contextmanager
def step_folder(purpose: str) -> Iterator[Path]:
    """A temporary folder for a step that needs none of its own; kept on failure, as the error names a log in it."""
    folder = Path(tempfile.mkdtemp(prefix=f"sigedge-{purpose}-"))
    yield folder
    shutil.rmtree(folder)


def _peak_memory(pid: int) -> int:
    """Largest resident set of a running process, bytes; `ru_maxrss` would count the parent before the exec."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _environment() -> dict[str, str]:
    # The packages may be importable only through this process's sys.path (a checkout, a test run).
    paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
    return {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONIOENCODING": "utf-8"}


def _explain(name: str, code: int, log: Path) -> str:
    end = f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-TAIL_LINES:]
    last = lines[-1].strip() if lines else "it printed nothing"
    full = [FULL] if shutil.disk_usage(log.parent).free < LEAST_FREE else []
    remedy = next(remedy for sign, remedy in REMEDIES if sign in "\n".join([*lines, end, *full]))
    return f"Step {name} of the export failed with {end} ({last[:300]}); {remedy} (log: {log})."
