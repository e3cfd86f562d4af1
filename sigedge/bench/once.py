"""From the start of a process to its first verdict: `sigedge verify`, and the same in PyTorch.

A peer does it by `python -m sigedge.bench.once JOB.json`: it imports its libraries, loads its weights, reads an image
file and compares it with references that lie in a file, as `sigedge verify` does with those in its store.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigedge.bench.contestants import Contestant, load_maker
from sigedge.bench.worker import pin

if TYPE_CHECKING:
    from sigedge.bench.pipeline import Pipeline

USER = "bench"
SECONDS = 300
ACCEPTED_OR_NOT = (0, 1)


class OnceError(Exception):
    """A process gave no verdict; the text says why."""


def peer_command(contestant: Contestant, references: Sequence[Path], query: Path, folder: Path) -> list[str]:
    """The command that verifies once with a peer; its references are embedded now.

    Args:
        contestant: whose runner is a `Pipeline`.
        references: arrays ``.npy``.
        query: image file.
        folder: existing folder for what the command reads.

    Raises:
        OnceError: it does not run here.
    """
    stored = folder / "references.npy"
    job = {
        "maker": contestant.maker,
        "arguments": dict(contestant.arguments),
        "references": [str(path) for path in references],
        "stored": str(stored),
        "query": str(query),
    }
    file = folder / "once.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-m", __name__, str(file)]
    run([*command, "enroll"])
    return command


def our_command(bundle: Path | None, engine: str, precision: str, store: Path, query: Path) -> list[str]:
    """`sigedge verify` against a store that is there."""
    options = ["--user", USER, "--store", str(store), "--engine", engine, "--precision", precision]
    named = [] if bundle is None else ["--bundle", str(bundle)]
    return [sys.executable, "-m", "sigedge", "verify", str(query), *options, *named]


def take_turns(
    commands: Mapping[str, Sequence[str]], rounds: Sequence[Sequence[int]], processors: Sequence[int]
) -> dict[str, list[float]]:
    """Milliseconds of each command, once a round in the given orders.

    Raises:
        OnceError: a command gave no verdict.
    """
    taken: dict[str, list[float]] = {name: [] for name in commands}
    names = list(commands)
    for order in rounds:
        for index in order:
            start = time.perf_counter()
            run(commands[names[index]], processors)
            taken[names[index]].append((time.perf_counter() - start) * 1e3)
    return taken


def run(command: Sequence[str], processors: Sequence[int] = ()) -> None:
    """Run a command to its end.

    Raises:
        OnceError: it failed; a signature that is not accepted is no failure.
    """
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        preexec_fn=(lambda: pin(processors)) if processors else None,
    )
    if done.returncode not in ACCEPTED_OR_NOT or "Traceback" in done.stderr:
        raise OnceError((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])


def main(job_file: str, enroll: bool) -> None:
    """Run the job: with `enroll` write the references down, else verify once."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    maker = load_maker(job["maker"])
    maker.import_libraries(**job["arguments"])
    runner: Pipeline = maker.open_runner(**job["arguments"])
    import numpy as np

    if enroll:
        runner.enroll([np.load(path) for path in job["references"]])
        runner.save(Path(job["stored"]))
        return
    import cv2

    runner.load(Path(job["stored"]))
    image: Any = cv2.imread(job["query"], cv2.IMREAD_GRAYSCALE)
    print(json.dumps({"score": runner.score(image)}))


if __name__ == "__main__":
    main(sys.argv[1], enroll="enroll" in sys.argv[2:])
