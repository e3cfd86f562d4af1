"""Contestants that take turns: each in a process of its own, all in one process group, one running at a time."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from sigedge.bench.contestants import Contestant
from sigedge_runtime.errors import EngineError

WORKER = "sigedge.bench.worker"


class MemberError(Exception):
    """A contestant does not run here; the text says why."""


@dataclass(frozen=True)
class Images:
    """Files of arrays uint8 [H, W], ``.npy``."""

    references: Sequence[Path]
    queries: Sequence[Path]


@dataclass
class Turns:
    """What a contestant measured.

    Attributes:
        rounds: milliseconds by stage, one dictionary a round; ``total`` is the whole verification.
        waited: share of each round, 0 to 1, that the process waited for a processor.
    """

    rounds: list[dict[str, list[float]]] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def stage(self, name: str) -> list[float]:
        """All measurements of a stage in order; empty where the contestant has no such stage."""
        return [value for taken in self.rounds for value in taken.get(name, ())]


class Member:
    """The process of one contestant, started and ready; a context manager that ends it.

    Attributes:
        contestant: who it is.
        cold_starts: milliseconds of ``import``, ``load``, ``first_run``, and of ``process`` from the start of the
            process to its answer; one entry, to which those of other processes may be added.
        turns: what was measured so far.
        peak_rss_mb, selftest: known when it has finished.
    """

    def __init__(self, contestant: Contestant, images: Images, folder: Path, *, serve: bool = True) -> None:
        """Start it and wait for its first verification.

        Args:
            contestant: who it is.
            images: what is verified.
            folder: existing folder for the job, and for what a process leaves to the next one.
            serve: whether it stays for orders.

        Raises:
            MemberError: it does not run.
        """
        self.contestant, self.turns = contestant, Turns()
        self.peak_rss_mb = 0.0
        self.selftest: dict[str, Any] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        start = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", WORKER, str(_write_job(contestant, images, folder, serve))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(contestant.threads), "SIGEDGE_BENCH_FOLDER": str(folder)},
        )
        try:
            parts = self._answer()
        except MemberError:
            self.__exit__(None, None, None)
            raise
        self.cold_starts: list[dict[str, float]] = [{**parts, "process": (time.perf_counter() - start) * 1e3}]

    def turn(self, count: int, warm_up: int) -> None:
        """Verify `count` times after `warm_up` verifications that are not counted."""
        answer = self._ask({"do": "turn", "count": count, "warm_up": warm_up})
        self.turns.rounds.append(answer["stages"])
        self.turns.waited.append(answer["waited"])

    def probe(self) -> float:
        """Milliseconds of one verification, by which turns can be planned; it is not counted."""
        self._ask({"do": "turn", "count": 2, "warm_up": 0})
        answer = self._ask({"do": "turn", "count": 1, "warm_up": 1})
        return float(answer["stages"]["total"][0])

    def batch(self, count: int, threads: int) -> dict[str, Any]:
        """``per_second`` of so many verifications at once, and by which ``way``."""
        return self._ask({"do": "batch", "count": count, "threads": threads})

    def finish(self) -> None:
        """Ask for peak memory and self-test; the process ends."""
        answer = self._ask({"do": "finish"})
        self.peak_rss_mb, self.selftest = answer["peak_rss_mb"], answer["selftest"]

    def __enter__(self) -> Member:
        """Return the member itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended already, with an order unread
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the answer that does not come says why
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        self._process.wait()
        self._log.seek(0)
        said = self._log.read().decode("utf-8", "replace").strip().splitlines()
        raise MemberError((said or ["it ended without a word"])[-1].strip())


def _write_job(contestant: Contestant, images: Images, folder: Path, serve: bool) -> Path:
    job = {
        "maker": contestant.maker,
        "arguments": dict(contestant.arguments),
        "processors": processors(contestant.threads),
        "references": [str(path) for path in images.references],
        "queries": [str(path) for path in images.queries],
        "serve": serve,
    }
    file = folder / "job.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    return file


def processors(count: int) -> list[int]:
    """The first `count` processors that this process may use; empty where the system does not tell."""
    return sorted(os.sched_getaffinity(0))[:count] if hasattr(os, "sched_getaffinity") else []


def orders(members: int, rounds: int, seed: int = 0) -> Iterator[list[int]]:
    """For each round the members in an order drawn anew, so that nobody always runs after the same one."""
    order, draw = list(range(members)), random.Random(seed)
    for _ in range(rounds):
        draw.shuffle(order)
        yield list(order)


def block(one_ms: float, repeats: int, rounds: int, longest_ms: float) -> int:
    """How many verifications a turn holds: as many as make `repeats` in all, unless the turn gets too long."""
    return max(1, min(-(-repeats // rounds), int(longest_ms / max(one_ms, 1e-3))))


def needed(contestant: Contestant, error: MemberError) -> EngineError:
    """The error for one of ours that does not run."""
    return EngineError(f"Measuring {contestant.name} failed ({error}); run `sigedge selftest` on it.")
