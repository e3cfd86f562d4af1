"""From a bundle to the data of its report: parity is measured already, here come speed, machine and versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sigedge.bench.interleaved import Timing, time_artifacts
from sigedge.bench.machine import describe_machine, library_versions
from sigedge.bench.summary import ratio_of_medians, summarise
from sigedge_export import Interval, ParityReport, Tolerances, load_tolerances
from sigedge_export.chain import Hop
from sigedge_export.lab import BisectReport, bisect
from sigedge_export.pipeline import Witness
from sigedge_export.report import Latency, ReportData, write_report
from sigedge_export.report.data import MOST_WAITED, REFERENCE
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import DataError

HOPS = "hops.json"


def gather(
    bundle: Bundle,
    parity: ParityReport,
    canvases: NDArray[np.uint8],
    tolerances: Mapping[str, Tolerances],
    *,
    hops: Sequence[Hop] = (),
    bisections: Sequence[BisectReport] = (),
    fault: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> ReportData:
    """Measure the speed of a bundle's artefacts and put everything about it together.

    Args:
        bundle: opened.
        parity: of `measure_parity` on this bundle.
        canvases: uint8 [N, H, W] to measure the speed on.
        tolerances: the model's, by precision.
        hops: steps of the export that made the bundle.
        bisections: of `layer_noise`.
        fault: why the export was refused.
        progress: told what is being measured.

    Raises:
        EngineError: an artefact does not run.
    """
    progress("inference times side by side")
    return ReportData(
        manifest=bundle.manifest,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=describe_machine(),
        versions=library_versions(),
        parity=parity,
        tolerances=tolerances,
        latencies=latencies(time_artifacts(bundle, canvases)),
        hops=hops,
        bisections=bisections,
        fault=fault,
    )


def report_of_export(
    path: Path, canvases: NDArray[np.uint8], *, progress: Callable[[str], None] = lambda _: None
) -> Witness:
    """What `export_bundle` shall show its bundle to: writes the report, of a refused bundle too.

    Args:
        path: HTML file to write.
        canvases: uint8 [N, H, W] to measure the speed on.
        progress: told what is being measured.
    """

    def witness(bundle: Bundle, parity: ParityReport, hops: tuple[Hop, ...], fault: str | None) -> None:
        tolerances = load_tolerances(bundle.manifest.model.architecture)
        write_report(path, gather(bundle, parity, canvases, tolerances, hops=hops, fault=fault, progress=progress))

    return witness


def layer_noise(
    bundle: Bundle, checkpoint: Path, *, progress: Callable[[str], None] = lambda _: None
) -> tuple[BisectReport, ...]:
    """Every artefact below float32, layer by layer against the stage it was made from.

    Args:
        bundle: opened.
        checkpoint: that it was exported from.
        progress: told what is being traced.

    Raises:
        ExportError: a stage cannot be run; the text names its log.
    """
    names = [artifact.name for artifact in bundle.manifest.artifacts if artifact.precision != REFERENCE]
    return tuple(bisect(bundle, name, checkpoint, progress=progress) for name in names)


def latencies(timings: Sequence[Timing]) -> tuple[Latency, ...]:
    """Medians with intervals, and the speed beside the float32 artefact of the same format and engine."""
    whole = {(timing.format, timing.engine): timing for timing in timings if timing.precision == REFERENCE}
    return tuple(_latency(timing, whole.get((timing.format, timing.engine))) for timing in timings)


def _latency(timing: Timing, whole: Timing | None) -> Latency:
    found = summarise(timing.times)
    speedup = None
    if whole is not None and whole is not timing and max(whole.waited, timing.waited) <= MOST_WAITED:
        speedup = Interval(*ratio_of_medians(whole.times, timing.times))
    return Latency(
        artifact=timing.artifact,
        engine=timing.engine,
        n=found.n,
        p50=Interval(found.p50, *found.p50_ci95),
        speedup=speedup,
        waited=timing.waited,
    )


def recorded_hops(bundle: Path) -> tuple[Hop, ...]:
    """Steps of the export that wrote `bundle`, from the logs beside it; none where there are no logs.

    Raises:
        DataError: the record is damaged.
    """
    file = bundle.with_name(f"{bundle.name.removesuffix('.zip')}.logs") / HOPS
    if not file.is_file():
        return ()
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return tuple(_hop(entry) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is no record of an export's steps ({error}); remove it, or export again.") from error


def _hop(entry: Mapping[str, Any]) -> Hop:
    state: Literal["cached", "done"] = "cached" if entry["cached"] else "done"
    return Hop(entry["name"], entry["step"], state, float(entry["seconds"]), int(entry["peak_memory"]))
