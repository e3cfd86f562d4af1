"""From a checkpoint to a bundle that is proven to decide as the checkpoint does, or to no bundle at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sigedge_export import assembly
from sigedge_export.chain import Hop, Made, Watch, check_calibration, run_chain
from sigedge_export.gate import gate
from sigedge_export.hop_cache import HopCache
from sigedge_export.inputs import GoldenImage, ParitySet
from sigedge_export.metadata import label_bundle
from sigedge_export.options import ExportOptions, load_options
from sigedge_export.parity import ParityReport, measure_parity
from sigedge_export.reference import Reference, load_reference, model_folder
from sigedge_export.rehearsal import rehearse
from sigedge_export.targets import Target, choose_targets
from sigedge_export.tolerances import Tolerances, load_tolerances
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import ExportError, ParityError
from sigedge_runtime.preprocessing import PreprocessSpec

if TYPE_CHECKING:
    from sigedge_models import CheckpointInfo

Progress = Callable[[str], None]
Witness = Callable[[Bundle, ParityReport, tuple[Hop, ...], str | None], None]


@dataclass(frozen=True)
class Export:
    """What `export_bundle` made.

    Attributes:
        bundle: the folder.
        archive: the zip of it.
        report: parity of every artefact, which passed the gate.
        hops: of the chain, with their times; the same stands in ``hops.json`` among the logs.
    """

    bundle: Path
    archive: Path
    report: ParityReport
    hops: tuple[Hop, ...]


def export_bundle(
    checkpoint: Path,
    out: Path,
    *,
    golden: Sequence[GoldenImage],
    parity: ParitySet,
    reference: Reference | None = None,
    calibration: NDArray[np.uint8] | None = None,
    formats: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    tolerances: Mapping[str, Tolerances] | None = None,
    options: ExportOptions | None = None,
    cache: Path | None = None,
    progress: Progress = lambda _: None,
    watch: Watch | None = None,
    witness: Witness = lambda *_: None,
) -> Export:
    """Export a checkpoint, prove the artefacts, and write the bundle `out`, ``out.zip`` and ``out.logs/``.

    Everything is made in a scratch folder beside `out` and renamed at the end; a failure or an interruption
    leaves what was there before, and the logs.

    Args:
        checkpoint: the trained model.
        out: folder to write; an older bundle there is replaced.
        golden: images of the golden vectors.
        parity: labelled canvases for the parity gate.
        reference: the checkpoint, loaded; None loads it.
        calibration: canvases uint8 [N, H, W], about 200; needed for int8, int16 activations and mixed precision.
        formats: see `sigedge_runtime.manifest.FORMATS`; None takes all that the model offers.
        precisions: see `sigedge_runtime.manifest.PRECISIONS`; None takes all that the model offers.
        tolerances: of the parity gate by precision; None takes those that live with the model.
        options: exceptions of the model; None takes those that live with it.
        cache: folder that keeps the result of every hop for the next export; None keeps none.
        progress: told each step before it runs.
        watch: told of every hop whenever its state changes; None tells `progress`.
        witness: shown the measured bundle before it is published or thrown away: the bundle, its parity, the hops, and
            why it is refused, None when it is not.

    Raises:
        CheckpointError: the checkpoint cannot be used; nothing was written.
        ExportError: a step, the audit, the destination, or the disc is full.
        ParityError: an artefact does not decide as the checkpoint does; the figures are in
            ``out.failed.json``.
    """
    assembly.check_destination(out)
    if reference is None:
        progress("load checkpoint")
        reference = load_reference(checkpoint)
    info = reference.info
    if info.task != "verification":
        raise ExportError(f"{checkpoint} holds no verifier, its task is {info.task}; export it with export_network.")
    options = options or load_options(info.architecture, info.config.get("network"))
    targets = choose_targets(formats, precisions, options.not_offered)
    limits = load_tolerances(info.architecture) if tolerances is None else tolerances
    check_limits(limits, targets)
    PreprocessSpec.from_dict(info.preprocess)
    assembly.checked_decision(info)
    watch = watch or telling(progress)
    with made_in_scratch(checkpoint, out, info, targets, calibration, options, cache, watch) as (bundle, made):
        progress("golden vectors")
        assembly.assemble(bundle, made.files, checkpoint, reference, golden, limits)
        label_bundle(bundle)
        report = _prove(bundle, reference, parity, limits, out, made.hops, progress, witness)
        archive = assembly.publish(bundle, out)
    return Export(out, archive, report, made.hops)


@contextmanager
def made_in_scratch(
    checkpoint: Path,
    out: Path,
    info: CheckpointInfo,
    targets: Sequence[Target],
    calibration: NDArray[np.uint8] | None,
    options: ExportOptions,
    cache: Path | None,
    watch: Watch,
) -> Iterator[tuple[Path, Made]]:
    """Run the chain beside `out`: the folder to make the bundle in, and what was made; nothing stays of a failure.

    Args:
        checkpoint: the trained model.
        out: folder of the bundle; the logs go to ``out.logs/``.
        info: of the checkpoint.
        targets: what to make.
        calibration: canvases uint8 [N, H, W]; needed when a target is calibrated.
        options: exceptions of the model.
        cache: folder that keeps the result of every hop; None keeps none.
        watch: told of every hop whenever its state changes.

    Raises:
        ExportError: a step failed, there are no calibration canvases for a target that needs them, or the disc is full.
    """
    if any(target.calibrated for target in targets):
        check_calibration(calibration)
    hops = None if cache is None else HopCache(cache, [model_folder(info.architecture)])
    with assembly.staging(out) as scratch:
        work, logs = scratch / "work", _fresh_logs(out)
        work.mkdir()
        made = run_chain(checkpoint, work, targets, calibration, logs=logs, options=options, cache=hops, watch=watch)
        _write_hops(logs, made)
        yield scratch / "bundle", made


def telling(progress: Progress) -> Watch:
    """Tell `progress` of every hop that begins, or is taken from the cache."""
    words = {"running": "", "cached": ", reused"}

    def tell(hop: Hop) -> None:
        if hop.state in words:
            progress(f"{hop.name} by {hop.step}{words[hop.state]}")

    return tell


def _fresh_logs(out: Path) -> Path:
    logs = out.with_name(f"{out.name}.logs")
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    return logs


def _write_hops(logs: Path, made: Made) -> None:
    content = [hop.to_dict() for hop in made.hops]
    (logs / "hops.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def check_limits(tolerances: Collection[str], targets: Sequence[Target]) -> None:
    """Refuse a precision without tolerances.

    Raises:
        ExportError: there is one; the sentence names it.
    """
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
    hops: tuple[Hop, ...],
    progress: Progress,
    witness: Witness,
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
            witness(bundle, report, hops, str(error))
            raise ParityError(f"{error} The figures are in {failed}.") from None
        witness(bundle, report, hops, None)
    return report
