"""`auto`: which engine, and how many threads, run an artefact fastest here; measured once and kept.

It never chooses the artefact: templates belong to one, so a choice by speed could lock a user out of a store. And a
cold process must not import every library to find out which one to import, so a measurement is kept in the user's
cache folder under everything it depends on, and made only where there is something to choose between.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sigedge_runtime import _user_cache
from sigedge_runtime._machine import cpu_name, gpu_names, usable_cores
from sigedge_runtime.engines.base import Engine
from sigedge_runtime.errors import EngineError, EngineUnavailableError
from sigedge_runtime.manifest import Artifact

FORMAT_VERSION = 1
CACHE = "engines"
WARM_UP, RUNS, LEAST_RUNS, BUDGET_MS = 3, 40, 5, 100.0
# Below these a difference is taken for noise: the preferred engine, or fewer threads, are kept.
WORTH_ANOTHER_ENGINE, WORTH_MORE_THREADS = 0.95, 0.85


@dataclass(frozen=True)
class Measurement:
    """Median time of one inference, milliseconds, of an engine on a number of threads."""

    engine: str
    version: str
    threads: int
    milliseconds: float


@dataclass(frozen=True)
class EngineChoice:
    """What runs, and why.

    Attributes:
        engine: its name.
        artifact: name of the artefact.
        precision: of the artefact.
        threads: CPU threads.
        why: a clause that goes on "..., because it is", e.g. ``the only one installed that runs tiny-int8-tflite``.
        milliseconds: of an inference as measured here; None when nothing was measured.
        measured: all that was measured.
    """

    engine: str
    artifact: str
    precision: str
    threads: int
    why: str
    milliseconds: float | None = None
    measured: tuple[Measurement, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def choose_engine(
    candidates: Iterable[type[Engine]], artifact: Artifact, path: Path, threads: int | None, *, anew: bool = False
) -> EngineChoice:
    """Choose one of several installed engines, and a number of threads, for an artefact.

    Args:
        candidates: engines that run the artefact's format, best first.
        artifact: what the manifest says of the file.
        path: where the file is.
        threads: CPU threads; None chooses them, too.
        anew: measure although a measurement is kept, or nothing has to be chosen.

    Raises:
        EngineUnavailableError: none of the candidates can be loaded.
        EngineError: none of them runs the file.
    """
    engines = list(candidates)
    if len(engines) == 1 and threads is not None and not anew:
        engines[0].library()
        return _choice(engines[0].name, artifact, threads, "the only one installed that runs this file")
    key = _key(engines, artifact, threads)
    if not anew and (kept := _kept(key, artifact, threads, engines)):
        return kept
    if not anew and not _user_cache.is_writable(CACHE):
        return _first_usable(engines, artifact, threads)
    measured, date = tuple(_measure(engines, artifact, path, threads)), time.strftime("%Y-%m-%d")
    _user_cache.keep(CACHE, key, {"date": date, "measured": [asdict(one) for one in measured]})
    return _pick(measured, artifact, threads, date)


def time_engine(engine: Engine) -> float:
    """Median time of one inference on an open engine, milliseconds; takes about a tenth of a second at most."""
    canvas = np.zeros(engine.canvas_shape, np.uint8)
    canvas[::3, ::2] = 255  # ink all over: no zero may be skipped
    for _ in range(WARM_UP):
        engine.infer(canvas)
    times = list[float]()
    while len(times) < RUNS and (len(times) < LEAST_RUNS or sum(times) < BUDGET_MS):
        start = time.perf_counter()
        engine.infer(canvas)
        times.append((time.perf_counter() - start) * 1e3)
    return round(float(np.median(times)), 4)


def thread_counts(cores: int) -> list[int]:
    """Numbers of threads worth a try: 1, 2, 4 and so on, and all cores."""
    counts = [1]
    while counts[-1] * 2 <= cores:
        counts.append(counts[-1] * 2)
    return sorted({*counts, max(1, cores)})


def _measure(engines: list[type[Engine]], artifact: Artifact, path: Path, threads: int | None) -> Iterator[Measurement]:
    """Every engine that runs the file on one number of threads; then, where that is asked for, the best one on more."""
    errors, found = list[EngineError](), list[Measurement]()
    for kind in engines:
        try:
            found.append(_measurement(kind, artifact, path, threads or 1))
        except EngineError as error:
            errors.append(error)
        else:
            yield found[-1]
    if not found:
        raise next((one for one in errors if not isinstance(one, EngineUnavailableError)), errors[0])
    if threads is None:
        best = _best(found).engine
        kind = next(kind for kind in engines if kind.name == best)
        for count in thread_counts(usable_cores())[1:]:
            yield _measurement(kind, artifact, path, count)


def _measurement(kind: type[Engine], artifact: Artifact, path: Path, threads: int) -> Measurement:
    with kind(artifact, path, threads) as engine:
        return Measurement(kind.name, kind.version(), threads, time_engine(engine))


def _best(measured: Iterable[Measurement]) -> Measurement:
    """The first of those on the fewest threads that is about as fast as the fastest; more threads where they gain."""
    every = list(measured)
    fewest = [one for one in every if one.threads == every[0].threads]
    fastest = min(one.milliseconds for one in fewest)
    best = next(one for one in fewest if one.milliseconds * WORTH_ANOTHER_ENGINE <= fastest)
    for one in every:
        gains = one.milliseconds < best.milliseconds * WORTH_MORE_THREADS
        if one.engine == best.engine and one.threads > best.threads and gains:
            best = one
    return best


def _pick(measured: tuple[Measurement, ...], artifact: Artifact, threads: int | None, date: str) -> EngineChoice:
    best = _best(measured)
    if len(measured) == 1:
        return _choice(best.engine, artifact, best.threads, f"the only one that ran here on {date}", best, measured)
    figures = ", ".join(f"{one.engine} on {_threads(one.threads)} {one.milliseconds:.2f} ms" for one in measured)
    return _choice(best.engine, artifact, best.threads, f"the fastest here on {date} ({figures})", best, measured)


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count != 1)}"


def _kept(key: object, artifact: Artifact, threads: int | None, engines: list[type[Engine]]) -> EngineChoice | None:
    """The choice that a kept measurement gives; None without one, or when its engine does not load any more."""
    found = _user_cache.load(CACHE, key)
    try:
        measured = tuple(Measurement(**one) for one in found["measured"])
        choice = _pick(measured, artifact, threads, str(found["date"]))
        next(kind for kind in engines if kind.name == choice.engine).library()
    except (TypeError, KeyError, IndexError, ValueError, StopIteration, EngineUnavailableError):
        return None
    return choice


def _first_usable(engines: list[type[Engine]], artifact: Artifact, threads: int | None) -> EngineChoice:
    """Without a place to keep a measurement every cold process would measure again: the order decides instead."""
    errors = list[EngineUnavailableError]()
    for kind in engines:
        try:
            kind.library()
        except EngineUnavailableError as error:
            errors.append(error)
            continue
        place = _user_cache.cache_folder(CACHE) or "a home folder"
        why = f"the first in order; nothing was measured, because {place} cannot be written to (set SIGEDGE_CACHE)"
        return _choice(kind.name, artifact, threads or 1, why)
    raise errors[0]


def _choice(
    engine: str,
    artifact: Artifact,
    threads: int,
    why: str,
    best: Measurement | None = None,
    measured: tuple[Measurement, ...] = (),
) -> EngineChoice:
    milliseconds = None if best is None else best.milliseconds
    return EngineChoice(engine, artifact.name, artifact.precision, threads, why, milliseconds, measured)


def _key(engines: list[type[Engine]], artifact: Artifact, threads: int | None) -> dict[str, Any]:
    """Everything that a measurement depends on, as far as it can be had without importing anything."""
    return {
        "format_version": FORMAT_VERSION,
        "artifact": artifact.sha256,
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "gpus": gpu_names(),
        "threads": threads,
        "engines": [[kind.name, kind.stamp()] for kind in engines],
    }
