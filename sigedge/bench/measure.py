"""Measure a bundle: every artefact on every installed engine that runs it, each in fresh processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from sigedge.bench.images import write_images
from sigedge.bench.machine import describe_machine, library_versions
from sigedge.bench.summary import summarise
from sigedge.data import track
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import available, engine_class
from sigedge_runtime.errors import EngineError, EngineUnavailableError
from sigedge_runtime.manifest import Artifact

FORMAT_VERSION = 1
COLD_STARTS = ("import", "load", "first_run", "process")
WORKER = "sigedge.bench.worker"
WORKER_SECONDS = 600


@dataclass(frozen=True)
class BenchOptions:
    """How much to measure.

    Attributes:
        repeats: verifications timed per artefact and engine.
        warm_up: verifications before them that are not counted.
        cold_starts: fresh processes per artefact and engine.
        references: enrolled templates that a query is matched with.
        threads: threads of the inference engine.
        engine: only this engine; None measures every installed one.
        precision: only artefacts of this precision; None measures all.
        seed: seed of the synthetic images.
    """

    repeats: int = 200
    warm_up: int = 10
    cold_starts: int = 5
    references: int = 5
    threads: int = 1
    engine: str | None = None
    precision: str | None = None
    seed: int = 0


class Combination(NamedTuple):
    """An artefact and an engine that runs it."""

    artifact: Artifact
    engine: str


def measure_bundle(bundle: Path | None, options: BenchOptions | None = None) -> dict[str, Any]:
    """Measure a bundle; returns the results as plain JSON types, times in milliseconds.

    Args:
        bundle: folder or zip; None is the bundle shipped with the runtime.
        options: how much to measure; the defaults when None.

    Raises:
        BundleError: the bundle cannot be opened.
        EngineUnavailableError: no installed engine runs any artefact that was asked for.
        EngineError: a measuring process failed.
    """
    options = options or BenchOptions()
    with Bundle.open(bundle) as opened, tempfile.TemporaryDirectory(prefix="sigedge-bench-") as folder:
        chosen = list(combinations(opened.manifest.artifacts, options))
        if not chosen:
            raise EngineUnavailableError(
                f"No engine here ({options.engine or 'any'}) runs an artefact ({options.precision or 'any'}) "
                f"of {bundle or 'the shipped bundle'}; install one: pip install 'sigedge[litert]'."
            )
        images = write_images(Path(folder), options.seed)
        runs = [
            _measure(bundle, combination, images, options)
            for combination in track(chosen, "Measuring", total=len(chosen))
        ]
        model = opened.manifest.model
        return {
            "format_version": FORMAT_VERSION,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "model": {
                "name": model.name,
                "version": model.version,
                "checkpoint_sha256": model.checkpoint_sha256,
            },
            "machine": describe_machine(),
            "libraries": library_versions(),
            "protocol": _protocol(options, len(images)),
            "energy": "not measured",
            "runs": runs,
        }


def combinations(artifacts: tuple[Artifact, ...], options: BenchOptions) -> Iterator[Combination]:
    """Every runnable pair, best engine first."""
    for engine, status in available().items():
        if not status.available or options.engine not in (None, engine):
            continue
        for artifact in artifacts:
            fits = artifact.format in engine_class(engine).formats
            if fits and options.precision in (None, artifact.precision):
                yield Combination(artifact, engine)


def _protocol(options: BenchOptions, images: int) -> dict[str, Any]:
    return {
        **asdict(options),
        "images": images,
        "input": "synthetic signatures as PNG files of scan size, from disk, in turn",
        "outliers": "kept",
        "affinity": "not set",
    }


def _measure(
    bundle: Path | None, combination: Combination, images: list[Path], options: BenchOptions
) -> dict[str, Any]:
    artifact, engine = combination
    job = {
        "bundle": None if bundle is None else str(bundle),
        "engine": engine,
        "precision": artifact.precision,
        "threads": options.threads,
        "references": options.references,
        "warm_up": options.warm_up,
        "images": [str(image) for image in images],
        "repeats": 0,
    }
    folder = images[0].parent
    where = f"{artifact.precision} on {engine}"
    cold = [run_worker(WORKER, job, folder, where) for _ in range(options.cold_starts)]
    warm = run_worker(WORKER, {**job, "repeats": options.repeats}, folder, where)
    return {
        "engine": engine,
        "engine_version": engine_class(engine).version(),
        "artifact": artifact.name,
        "format": artifact.format,
        "precision": artifact.precision,
        "sha256": artifact.sha256,
        "size": artifact.size,
        "cold_start_ms": {part: asdict(summarise([run[part] for run in cold])) for part in COLD_STARTS},
        "stages_ms": {stage: asdict(summarise(times)) for stage, times in warm["stages"].items()},
        "peak_rss_mb": warm["peak_rss_mb"],
        "selftest": warm["selftest"],
    }


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
