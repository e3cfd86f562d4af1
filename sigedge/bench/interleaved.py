"""Inference times of several artefacts side by side, for deciding which is faster.

Every artefact runs once a round, in an order drawn anew for each round, in one fresh process and on one thread: what
slows the machine for a while slows all of them. That does not help where the process has to wait for the processor in
most rounds: all times then approach the scheduler's time slice, and each other. So the waiting is measured too.
How long a whole verification takes is the matter of `measure`, in whose turns each contestant has its own process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigedge.bench.team import orders
from sigedge_runtime.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigedge_runtime.bundle import Bundle

ROUNDS = 60
WARM_UP = 5
WORKER_SECONDS = 600
CANVASES = 20
PROTOCOL = {
    "rounds": ROUNDS,
    "warm_up": WARM_UP,
    "canvases": CANVASES,
    "threads": 1,
    "order": "every artefact once a round, in an order drawn anew for each",
    "measured": "inference alone",
    "outliers": "kept",
}


@dataclass(frozen=True)
class Timing:
    """Inference times of one artefact on one engine, milliseconds, one for each round.

    Attributes:
        artifact: name in the bundle.
        format, precision: of the artefact.
        engine: name of the engine.
        times: in the order of the rounds, which all artefacts share.
        waited: share of its time that the process was not running, 0 to 1, median over the rounds.
    """

    artifact: str
    format: str
    precision: str
    engine: str
    times: tuple[float, ...]
    waited: float


def time_artifacts(
    bundle: Bundle, canvases: NDArray[np.uint8], *, rounds: int = ROUNDS, warm_up: int = WARM_UP
) -> tuple[Timing, ...]:
    """Time every artefact on every installed engine of the runtime that runs it; none when there is no such engine.

    Args:
        bundle: opened.
        canvases: uint8 [N, H, W]; the first 20 take turns.
        rounds: measurements of each artefact.
        warm_up: rounds before them that are not counted.

    Raises:
        EngineError: an artefact does not run.
    """
    from sigedge.bench.entries import combinations
    from sigedge.bench.options import BenchOptions

    chosen = list(combinations(bundle.manifest.artifacts, BenchOptions()))
    if not chosen:
        return ()
    with tempfile.TemporaryDirectory(prefix="sigedge-times-") as name:
        folder = Path(name)
        np.save(folder / "canvases.npy", canvases[:CANVASES])
        job = {
            "bundle": str(bundle.root.resolve()),
            "runs": [[entry.artifact.name, entry.engine] for entry in chosen],
            "canvases": str(folder / "canvases.npy"),
            "rounds": rounds,
            "warm_up": warm_up,
        }
        taken = run_worker(__name__, job, folder, "inference side by side")["taken"]
    return tuple(
        Timing(artifact.name, artifact.format, artifact.precision, engine, *_split(rounds))
        for (artifact, engine), rounds in zip(chosen, taken, strict=True)
    )


def _split(rounds: list[tuple[float, float]]) -> tuple[tuple[float, ...], float]:
    """Times, and the median share of them that the processor spent elsewhere."""
    passed, busy = np.array(rounds, dtype=np.float64).T
    return tuple(passed.tolist()), float(np.median(np.clip(1 - busy / passed, 0, 1)))


def run_worker(module: str, job: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """Run a job in a fresh process.

    Args:
        module: run as ``python -m MODULE JOB.json``; prints one JSON object as its last line.
        job: plain values.
        folder: existing folder for the job file.
        where: how an error calls the job.

    Returns:
        What the process printed, and its own wall-clock time in milliseconds as ``process``.

    Raises:
        EngineError: the process failed.
    """
    file = folder / "job.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", module, str(file)],
        capture_output=True,
        text=True,
        timeout=WORKER_SECONDS,
        check=False,
    )
    elapsed = (time.perf_counter() - start) * 1e3
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise EngineError(f"Measuring {where} failed ({last}); run `sigedge selftest` on it.")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**result, "process": elapsed}


def main(job_file: str) -> None:
    """Run the job and print its result."""
    from contextlib import ExitStack

    from sigedge_runtime.bundle import Bundle
    from sigedge_runtime.engines import open_engine

    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    with ExitStack() as stack:
        bundle = stack.enter_context(Bundle.open(job["bundle"]))
        artifacts = [(bundle.artifact(name), engine) for name, engine in job["runs"]]
        opened = [
            stack.enter_context(open_engine(engine, artifact, bundle.path(artifact.file), threads=1))
            for artifact, engine in artifacts
        ]
        taken = take_turns([engine.infer for engine in opened], np.load(job["canvases"]), job["rounds"], job["warm_up"])
    print(json.dumps({"taken": taken}))


def take_turns(
    runs: Sequence[Callable[[NDArray[np.uint8]], object]], canvases: NDArray[np.uint8], rounds: int, warm_up: int
) -> list[list[tuple[float, float]]]:
    """Call every run on a canvas once a round, in a drawn order.

    Returns:
        By run and counted round: milliseconds that passed, and milliseconds that the process was running.
    """
    taken: list[list[tuple[float, float]]] = [[] for _ in runs]
    for number, order in enumerate(orders(len(runs), warm_up + rounds)):
        for index in order:
            start, running = time.perf_counter(), time.process_time()
            runs[index](canvases[number % len(canvases)])
            ran, passed = time.process_time() - running, time.perf_counter() - start
            if number >= warm_up:
                taken[index].append((passed * 1e3, ran * 1e3))
    return taken


if __name__ == "__main__":
    main(sys.argv[1])
