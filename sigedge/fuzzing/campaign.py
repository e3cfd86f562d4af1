"""Running many cases in child processes and counting what became of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sigedge.fuzzing.cases import CASES
from sigedge_runtime.errors import DataError

# One thread, as on a device, so that times and memory compare; and no word about each file that is damaged.
_SETTINGS = {"OPENCV_LOG_LEVEL": "SILENT", "OMP_NUM_THREADS": "1"}


@dataclass
class Report:
    """What became of the cases of one kind.

    Attributes:
        kind: key of `cases.CASES`.
        seed: that the cases were drawn with.
        cases: how many were run.
        bytes: how many bytes they had in total.
        outcomes: cases by outcome: ``read``, ``written`` or ``refused``.
        defects: a line for each case that ended otherwise, with its number: an exception that is not documented, a
            crash, a hang.
        slowest_ms: longest time of a case, milliseconds.
        slowest: number of that case.
        peak_growth_kb: by how much the largest resident memory grew over that of an idle process, kB.
        digests: outcome of each case in full, by number; with the check sum of the pixels where an image was read.
    """

    kind: str
    seed: int
    cases: int = 0
    bytes: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    slowest: int = 0
    peak_growth_kb: int = 0
    digests: dict[int, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a result file, without the digests."""
        plain = {name: value for name, value in vars(self).items() if name != "digests"}
        return {**plain, "outcomes": dict(sorted(self.outcomes.items()))}

    def note(self, number: int, size: int, milliseconds: float, growth: int, outcome: str) -> None:
        """Count one case."""
        self.cases += 1
        self.bytes += size
        self.digests[number] = outcome
        self.peak_growth_kb = max(self.peak_growth_kb, growth)
        if milliseconds > self.slowest_ms:
            self.slowest_ms, self.slowest = milliseconds, number
        if outcome.startswith("DEFECT"):
            self.defects.append(f"case {number}: {outcome.removeprefix('DEFECT ')}")
        else:
            self.outcomes[outcome.split(" ")[0]] += 1


def run(
    kind: str,
    seed: int,
    count: int,
    *,
    first: int = 0,
    environment: Mapping[str, str] | None = None,
    module: str = "sigedge.fuzzing.child",
) -> Report:
    """Run cases `first` to `first + count - 1` of a kind; a process that dies is followed by another.

    Args:
        kind: key of `cases.CASES`.
        seed: of the cases.
        count: of the cases.
        first: number of the first.
        environment: added to that of the child, such as ``MALLOC_PERTURB_``.
        module: what runs the cases, with the arguments of `sigedge.fuzzing.child`.

    Raises:
        DataError: there is no such kind, or the child cannot even begin.
    """
    if kind not in CASES:
        raise DataError(f"There are no cases called {kind!r}; use one of: {', '.join(CASES)}.")
    report, number, end = Report(kind, seed), first, first + count
    while number < end:
        command = [sys.executable, "-m", module, kind, str(seed), str(number), str(end - number)]
        settings = {**os.environ, **_SETTINGS, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # A file, for libraries that warn of each case would fill a pipe that nobody empties.
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as trouble,
            subprocess.Popen(
                command, env={**settings, **(environment or {})}, stdout=subprocess.PIPE, stderr=trouble, text=True
            ) as child,
        ):
            for line in _lines(child):
                report.note(*line)
                number = line[0] + 1
            child.wait()
            trouble.seek(0)
            said = trouble.read().strip()[-500:]
        if child.returncode:
            if child.returncode > 0:
                raise DataError(f"The process for {kind} failed: {said}.")
            report.note(number, 0, 0.0, 0, f"DEFECT {_death(-child.returncode)}")
            number += 1
    return report


def _lines(child: subprocess.Popen[str]) -> Iterator[tuple[int, int, float, int, str]]:
    for line in child.stdout or ():
        number, size, milliseconds, growth, outcome = line.rstrip("\n").split("\t")
        yield int(number), int(size), float(milliseconds), int(growth), outcome


def _death(number: int) -> str:
    name = signal.Signals(number).name
    return "took too long" if number in (signal.SIGPROF, signal.SIGALRM) else f"ended the process by {name}"
