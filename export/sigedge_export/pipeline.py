"""From a checkpoint to a bundle that is proven to decide as the checkpoint does, or to no bundle at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge_export import assembly
from sigedge_export.chain import check_calibration, place, run_chain
from sigedge_export.gate import gate
from sigedge_export.inputs import GoldenImage, ParitySet
from sigedge_export.parity import ParityReport, measure_parity
from sigedge_export.reference import Reference, load_reference
from sigedge_export.rehearsal import rehearse
from sigedge_export.targets import Target, choose_targets
from sigedge_export.tolerances import Tolerances, load_tolerances
from sigedge_export.vectors import write_vectors
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import ExportError, ParityError
from sigedge_runtime.manifest import FORMATS, PRECISIONS
from sigedge_runtime.preprocessing import PreprocessSpec

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Export:
    """What `export_bundle` made.

    Attributes:
        bundle: the folder.
        archive: the zip of it.
        report: parity of every artefact, which passed the gate.
    """

    bundle: Path
    archive: Path
    report: ParityReport


def export_bundle(
    checkpoint: Path,
    out: Path,
    *,
    golden: Sequence[GoldenImage],
    parity: ParitySet,
    calibration: NDArray[np.uint8] | None = None,
    formats: Sequence[str] = FORMATS,
    precisions: Sequence[str] = PRECISIONS,
    tolerances: Mapping[str, Tolerances] | None = None,
    progress: Progress = lambda _: None,
) -> Export:
    """Export a checkpoint, prove the artefacts, and write the bundle `out`, ``out.zip`` and ``out.logs/``.

    Everything is made in a scratch folder beside `out` and renamed at the end; a failure or an interruption
    leaves what was there before, and the logs.

    Args:
        checkpoint: the trained model.
        out: folder to write; an older bundle there is replaced.
        golden: images of the golden vectors.
        parity: labelled canvases for the parity gate.
        calibration: canvases uint8 [N, H, W], about 200; needed for int8.
        formats: among ``onnx``, ``saved_model`` and ``tflite``.
        precisions: among ``float32``, ``float16`` and ``int8``.
        tolerances: of the parity gate by precision; None takes those that live with the model.
        progress: told each step before it runs.

    Raises:
        CheckpointError: the checkpoint cannot be used; nothing was written.
        ExportError: a step, the audit, or the destination.
        ParityError: an artefact does not decide as the checkpoint does; the figures are in
            ``out.failed.json``.
    """
    targets = choose_targets(formats, precisions)
    assembly.check_destination(out)
    progress("load checkpoint")
    reference = load_reference(checkpoint)
    if any(target.precision == "int8" for target in targets):
        check_calibration(calibration)
    limits = load_tolerances(reference.info.architecture) if tolerances is None else tolerances
    _check_limits(limits, targets)
    with assembly.staging(out) as scratch:
        bundle = scratch / "bundle"
        made = _make_artifacts(checkpoint, scratch, targets, calibration, _fresh_logs(out), progress)
        _assemble(bundle, made, checkpoint, reference, golden, limits, progress)
        report = _prove(bundle, reference, parity, limits, out, progress)
        archive = assembly.publish(bundle, out)
    return Export(out, archive, report)


def _make_artifacts(
    checkpoint: Path,
    scratch: Path,
    targets: Sequence[Target],
    calibration: NDArray[np.uint8] | None,
    logs: Path,
    progress: Progress,
) -> dict[Target, Path]:
    work = scratch / "work"
    work.mkdir()
    return run_chain(checkpoint, work, targets, calibration, logs=logs, progress=progress)


def _fresh_logs(out: Path) -> Path:
    logs = out.with_name(f"{out.name}.logs")
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    return logs


def _assemble(
    bundle: Path,
    made: Mapping[Target, Path],
    checkpoint: Path,
    reference: Reference,
    golden: Sequence[GoldenImage],
    tolerances: Mapping[str, Tolerances],
    progress: Progress,
) -> None:
    progress("golden vectors")
    info = reference.info
    spec = PreprocessSpec.from_dict(info.preprocess)
    decision = Decision.from_dict(info.decision, "the checkpoint's decision")
    canvases = write_vectors(bundle, golden, spec, decision, reference.embed)
    size = reference.embed(canvases[:1]).shape[1]
    for target, path in made.items():
        place(path, bundle / target.file(info.name))
    artifacts = [
        assembly.describe(bundle, target, info.name, size, spec, tolerances[target.precision]) for target in made
    ]
    assembly.copy_card(info.architecture, bundle)
    assembly.finish(bundle, checkpoint, reference, artifacts, spec)


def _check_limits(tolerances: Mapping[str, Tolerances], targets: Sequence[Target]) -> None:
    if missing := sorted({target.precision for target in targets} - set(tolerances)):
        raise ExportError(
            f"The model states no parity tolerances for {', '.join(missing)}; add them to its parity.json, or leave "
            "that precision out."
        )


def _prove(
    folder: Path,
    reference: Reference,
    parity: ParitySet,
    tolerances: Mapping[str, Tolerances],
    out: Path,
    progress: Progress,
) -> ParityReport:
    failed = out.with_name(f"{out.name}.failed.json")
    failed.unlink(missing_ok=True)
    with Bundle.open(folder) as bundle:
        report = measure_parity(bundle, reference.embed(parity.canvases), parity, progress=progress)
        try:
            gate(report, tolerances)
            rehearse(bundle, progress=progress)
        except ParityError as error:
            failed.write_text(report.to_json(), encoding="utf-8")
            raise ParityError(f"{error} The figures are in {failed}.") from None
    return report
