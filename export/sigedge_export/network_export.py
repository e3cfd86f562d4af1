"""From the checkpoint of a classifier or an image network to a proven bundle, or to no bundle at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge_export import assembly
from sigedge_export.chain import Hop, Watch
from sigedge_export.metadata import label_bundle
from sigedge_export.network_parity import (
    NetworkParityReport,
    NetworkTolerances,
    gate_network,
    load_network_tolerances,
    measure_network_parity,
)
from sigedge_export.options import ExportOptions, load_options
from sigedge_export.pipeline import check_limits, made_in_scratch, telling
from sigedge_export.reference import Reference, load_reference
from sigedge_export.rehearsal import rehearse
from sigedge_export.targets import choose_targets
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import ExportError, ParityError

Progress = Callable[[str], None]
GOLDEN = 4
"""Canvases, the first of those for parity, that become golden vectors."""


@dataclass(frozen=True)
class NetworkExport:
    """What `export_network` made; as `sigedge_export.Export`."""

    bundle: Path
    archive: Path
    report: NetworkParityReport
    hops: tuple[Hop, ...]


def export_network(
    checkpoint: Path,
    out: Path,
    *,
    canvases: NDArray[np.uint8],
    reference: Reference | None = None,
    calibration: NDArray[np.uint8] | None = None,
    formats: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    tolerances: Mapping[str, NetworkTolerances] | None = None,
    options: ExportOptions | None = None,
    cache: Path | None = None,
    progress: Progress = lambda _: None,
    watch: Watch | None = None,
) -> NetworkExport:
    """Export a checkpoint that is no verifier, prove the artefacts, and write the bundle; as `export_bundle`.

    Args:
        checkpoint: the trained network.
        out: folder to write; an older bundle there is replaced.
        canvases: for the parity gate, uint8 [N, H, W], at least `GOLDEN`.
        reference: the checkpoint, loaded; None loads it.
        calibration: canvases uint8 [N, H, W]; needed for int8, int16 activations and mixed precision.
        formats: see `sigedge_runtime.manifest.FORMATS`; None takes all that the network offers.
        precisions: see `sigedge_runtime.manifest.PRECISIONS`; None takes all that the network offers.
        tolerances: of the parity gate by precision; None takes those that live with the network.
        options: exceptions of the network; None takes those that live with it.
        cache: folder that keeps the result of every hop for the next export; None keeps none.
        progress: told each step before it runs.
        watch: told of every hop whenever its state changes; None tells `progress`.

    Raises:
        CheckpointError: the checkpoint cannot be used; nothing was written.
        ExportError: it holds a verifier, or a step, the audit or the destination fails, or the disc is full.
        ParityError: an artefact does not compute what the checkpoint does; the figures are in ``out.failed.json``.
    """
    assembly.check_destination(out)
    reference = reference or load_reference(checkpoint)
    info = reference.info
    if info.task == "verification":
        raise ExportError(f"{checkpoint} holds a verifier; export it with export_bundle.")
    options = options or load_options(info.architecture, info.config.get("network"))
    targets = choose_targets(formats, precisions, options.not_offered)
    limits = load_network_tolerances(info) if tolerances is None else tolerances
    check_limits(limits, targets)
    watch = watch or telling(progress)
    with made_in_scratch(checkpoint, out, info, targets, calibration, options, cache, watch) as (bundle, made):
        progress("golden vectors")
        assembly.assemble_network(bundle, made.files, checkpoint, reference, canvases[:GOLDEN], limits)
        label_bundle(bundle)
        report = _prove(bundle, reference, canvases, limits, out, progress)
        archive = assembly.publish(bundle, out)
    return NetworkExport(out, archive, report, made.hops)


def _prove(
    folder: Path,
    reference: Reference,
    canvases: NDArray[np.uint8],
    tolerances: Mapping[str, NetworkTolerances],
    out: Path,
    progress: Progress,
) -> NetworkParityReport:
    failed = out.with_name(f"{out.name}.failed.json")
    failed.unlink(missing_ok=True)
    with Bundle.open(folder) as bundle:
        report = measure_network_parity(bundle, canvases, reference.embed(canvases), progress=progress)
        try:
            gate_network(report, tolerances)
            rehearse(bundle, progress=progress)
        except ParityError as error:
            failed.write_text(report.to_json(), encoding="utf-8")
            raise ParityError(f"{error} The figures are in {failed}.") from None
    return report
