"""One contestant in a process of its own: `python -m sigedge.bench.worker JOB.json`.

A fresh process is what cold start means, and what keeps the memory, the threads and the caches of one contestant apart
from another's. It prints one JSON object as soon as it has verified for the first time, then does what it is told on
its standard input, one JSON object a line, and answers each with one:

    {"do": "turn", "warm_up": 1, "count": 50}    verify, and tell the milliseconds by stage
    {"do": "batch", "count": 200, "threads": 2}  verify many as fast as it can, and tell how many a second
    {"do": "finish"}                             tell the peak memory and the self-test, and end

Nothing is imported before the clock runs but the standard library.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigedge.bench.contestants import load_maker

if TYPE_CHECKING:
    from sigedge.bench.contestants import Runner


def main(job_file: str) -> None:
    """Open the contestant, then serve."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    pin(job["processors"])
    start = time.perf_counter()
    maker = load_maker(job["maker"])
    maker.import_libraries(**job["arguments"])
    imported = time.perf_counter()
    runner: Runner = maker.open_runner(**job["arguments"])
    loaded = time.perf_counter()
    first, queries = _images(job["references"][:1]), _images(job["queries"])
    began = time.perf_counter()
    runner.embed(first[0])
    parts = {"import": imported - start, "load": loaded - imported, "first_run": time.perf_counter() - began}
    _say({part: 1e3 * seconds for part, seconds in parts.items()})
    try:
        if job["serve"]:
            runner.enroll(_images(job["references"]))
            _serve(runner, runner.prepare(queries), sys.stdin)
    finally:
        runner.close()


def pin(processors: Sequence[int]) -> None:
    """Let this process, and the threads it will start, run on these processors alone, where the system can be asked."""
    if processors and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)


def _images(files: Sequence[str]) -> list[Any]:
    import numpy as np

    return [np.load(file) for file in files]


def _serve(runner: Runner, queries: Sequence[Any], orders: Iterable[str]) -> None:
    done = 0
    for line in orders:
        order = json.loads(line)
        if order["do"] == "turn":
            _say(_turn(runner, queries, done, order["warm_up"], order["count"]))
            done += order["count"]
        elif order["do"] == "batch":
            _say(_batch(runner, queries, order["count"], order["threads"]))
        else:
            from sigedge.bench.machine import peak_rss_mb

            _say({"peak_rss_mb": peak_rss_mb(), "selftest": runner.selftest()})
            return


def _turn(runner: Runner, queries: Sequence[Any], done: int, warm_up: int, count: int) -> dict[str, Any]:
    """Verify the queries in turn; the first ones only make caches warm again after the turns of others."""
    stages: dict[str, list[float]] = {}
    busy = passed = 0.0
    for index in range(-warm_up, count):
        query = queries[(done + index) % len(queries)]
        ran, start = time.process_time(), time.perf_counter()
        spent = runner.verify(query)
        total, ran = (time.perf_counter() - start) * 1e3, (time.process_time() - ran) * 1e3
        if index < 0:
            continue
        busy, passed = busy + ran, passed + total
        for stage, milliseconds in {**spent, "total": total}.items():
            stages.setdefault(stage, []).append(milliseconds)
    return {"stages": stages, "waited": max(0.0, 1 - busy / passed)}


def _batch(runner: Runner, queries: Sequence[Any], count: int, threads: int) -> dict[str, Any]:
    many = [queries[index % len(queries)] for index in range(count)]
    start = time.perf_counter()
    way = runner.verify_all(many, threads)
    return {"per_second": count / (time.perf_counter() - start), "way": way}


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
