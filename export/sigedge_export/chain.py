"""Run the hops from a checkpoint to every wanted file, two at a time, reusing what an earlier export made."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sigedge_export.hop_cache import HopCache
from sigedge_export.options import ExportOptions
from sigedge_export.plan import Conversion, plan
from sigedge_export.process import TICK, Child
from sigedge_export.targets import CALIBRATED, Target
from sigedge_runtime.errors import ExportError

Canvases = NDArray[np.uint8]
AT_ONCE = 2
"""Children that run side by side. A converter keeps one core busy and holds about a gigabyte."""


@dataclass(frozen=True)
class Hop:
    """One hop of the chain, as far as it has come.

    Attributes:
        name: what it makes, as ``<precision>-<format>``.
        step: which step makes it.
        state: a hop ends as ``done`` or ``cached``.
        seconds: wall-clock time it took; of a cached one, the time to copy its result.
        peak_memory: of the child, bytes; 0 for a cached hop, which has none.
    """

    name: str
    step: str
    state: Literal["waiting", "running", "done", "cached"] = "waiting"
    seconds: float = 0.0
    peak_memory: int = 0

    @property
    def cached(self) -> bool:
        """Whether an earlier export's result was taken."""
        return self.state == "cached"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "step": self.step,
            "cached": self.cached,
            "seconds": round(self.seconds, 3),
            "peak_memory": self.peak_memory,
        }


Watch = Callable[[Hop], None]


@dataclass(frozen=True)
class Made:
    """What `run_chain` made.

    Attributes:
        files: the file (folder for a SavedModel) of each target.
        hops: every hop in the order of the plan.
    """

    files: dict[Target, Path]
    hops: tuple[Hop, ...]


def run_chain(
    checkpoint: Path,
    work: Path,
    targets: Sequence[Target],
    calibration: Canvases | None,
    *,
    logs: Path,
    options: ExportOptions | None = None,
    cache: HopCache | None = None,
    watch: Watch = lambda _: None,
) -> Made:
    """Make the wanted files and, on the way, no hop that none of them needs.

    Args:
        checkpoint: the trained model.
        work: existing folder for intermediate and final files.
        targets: what to make.
        calibration: canvases uint8 [N, H, W]; needed when a target is calibrated.
        logs: existing folder; each hop writes ``<name>.log`` there.
        options: of the model; None for none.
        cache: where results are kept; None runs every hop.
        watch: told every hop at the beginning, and again each time its state changes.

    Raises:
        ExportError: a step failed or wrote nothing, the cache cannot be used, or calibration canvases are wanted and
            unusable.
    """
    work = work.resolve()
    file = work / "calibration.npy"
    if any(target.calibrated for target in targets):
        np.save(file, check_calibration(calibration))
    conversions = plan(checkpoint.resolve(), work, targets, file, options or ExportOptions())
    run = _Run(conversions, logs.resolve(), cache, watch)
    try:
        run.to_the_end()
    finally:
        run.end_children()
    files = {conversion.target: conversion.output for conversion in conversions}
    return Made({target: files[target] for target in targets}, tuple(run.hops.values()))


def check_calibration(canvases: Canvases | None) -> Canvases:
    """The canvases, when an artefact with measured ranges can be calibrated on them.

    Raises:
        ExportError: there are none, or they do not reach from 0 to 255, which the input scale of 1 rests on.
    """
    if canvases is None or len(canvases) == 0:
        raise ExportError(
            f"An artefact of precision {', '.join(CALIBRATED)} needs calibration canvases; give some, or leave it out."
        )
    if canvases.dtype != np.uint8 or canvases.ndim != 3 or (canvases.min(), canvases.max()) != (0, 255):
        raise ExportError(
            f"The calibration canvases ({canvases.dtype}, shape {canvases.shape}) must be uint8 [N, H, W] and "
            "reach both 0 and 255; make them with sigedge_runtime.preprocessing.harmonise."
        )
    return canvases


class _Run:
    """The hops on their way."""

    def __init__(self, conversions: Sequence[Conversion], logs: Path, cache: HopCache | None, watch: Watch) -> None:
        self._logs, self._cache, self._watch = logs, cache, watch
        self._waiting = list(conversions)
        self._running: dict[str, tuple[Conversion, Child]] = {}
        self._keys: dict[str, str] = {}
        self.hops: dict[str, Hop] = {}
        for conversion in conversions:
            self._report(Hop(conversion.target.key, conversion.recipe.step))

    def to_the_end(self) -> None:
        while self._waiting or self._running:
            for conversion in [entry for entry in self._waiting if self._ready(entry)][: AT_ONCE - len(self._running)]:
                self._waiting.remove(conversion)
                self._begin(conversion)
            for conversion, child in list(self._running.values()):
                self._look(conversion, child)
            if self._running:
                time.sleep(TICK)

    def end_children(self) -> None:
        for _, child in self._running.values():
            child.end()

    def _ready(self, conversion: Conversion) -> bool:
        source = conversion.recipe.source
        return source is None or self.hops[source].state in ("done", "cached")

    def _begin(self, conversion: Conversion) -> None:
        name, start = conversion.target.key, time.perf_counter()
        if self._cache is not None:
            self._keys[name] = self._cache.key(conversion)
            if self._cache.fetch(self._keys[name], conversion.output):
                self._report(replace(self.hops[name], state="cached", seconds=time.perf_counter() - start))
                return
        child = Child(conversion.recipe.step, conversion.command, self._logs, log=name)
        self._running[name] = (conversion, child)
        self._report(replace(self.hops[name], state="running"))

    def _look(self, conversion: Conversion, child: Child) -> None:
        name = conversion.target.key
        usage = child.poll()
        if usage is None:
            return
        del self._running[name]
        if not conversion.output.exists():
            raise ExportError(
                f"Step {conversion.recipe.step} reported success but wrote no {conversion.output.name}; read "
                f"{self._logs / name}.log and report it as a bug."
            )
        if self._cache is not None:
            self._cache.store(self._keys[name], conversion.output)
        self._report(replace(self.hops[name], state="done", seconds=usage.seconds, peak_memory=usage.peak_memory))

    def _report(self, hop: Hop) -> None:
        self.hops[hop.name] = hop
        self._watch(hop)
