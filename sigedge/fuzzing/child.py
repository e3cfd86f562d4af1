"""The process in which cases run, so that a crash, a hang or a memory bomb is seen from outside.

    python -m sigedge.fuzzing.child KIND SEED FIRST COUNT

Prints a line a case: number, outcome, milliseconds, and by how many kB the largest memory so far has grown since the
start. A case that computes for longer than `SECONDS`, or waits for longer than `WAITING`, ends the process by a signal.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time

from sigedge.bench.machine import peak_rss_mb
from sigedge.fuzzing.cases import CASES
from sigedge.fuzzing.targets import TARGETS

SECONDS = 30.0
"""Of processor time, so that a busy machine makes no hang out of a slow case."""
WAITING = 600.0
ADDRESS_SPACE = 6 * 2**30
"""What the process may map, in bytes: a last resort that keeps a bomb from taking the machine with it."""


def main(kind: str, seed: int, first: int, count: int) -> None:
    """Run the cases, one after the other."""
    target, make = CASES[kind]
    run = TARGETS[target]
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    make(seed, first)  # what is made once is made before anything is measured
    base = _peak()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        # Libraries print warnings of their own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        for number in range(first, first + count):
            data = make(seed, number)
            _limit(SECONDS, WAITING)
            began = time.perf_counter()
            outcome = _outcome(run, data)
            milliseconds = 1000 * (time.perf_counter() - began)
            _limit(0, 0)
            print(number, len(data), f"{milliseconds:.2f}", _peak() - base, outcome, sep="\t", file=out, flush=True)


def _limit(computing: float, waiting: float) -> None:
    """Have SIGPROF or SIGALRM end the process, unless the limits are lifted before; Python handles neither."""
    signal.setitimer(signal.ITIMER_PROF, computing)
    signal.setitimer(signal.ITIMER_REAL, waiting)


def _outcome(run: object, data: bytes) -> str:
    try:
        return str(run(data))  # type: ignore[operator]
    except Exception as error:
        return f"DEFECT {type(error).__name__}: {error}".replace("\n", " ").replace("\t", " ")[:300]


def _peak() -> int:
    """Largest resident memory so far, kB."""
    return round(peak_rss_mb() * 1024)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
