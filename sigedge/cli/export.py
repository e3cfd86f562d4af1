"""`sigedge export`: from a checkpoint to a proven bundle."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from sigedge.cli.calibrate import RealData, checked_calibration
from sigedge.cli.console import Output
from sigedge.cli.export_tree import shown
from sigedge.cli.guard import guard
from sigedge.cli.inputs import parity_set
from sigedge.cli.networks import CALIBRATION, PARITY, examples, show_network_parity
from sigedge.cli.parity import show_parity
from sigedge.cli.types import DatasetsOption, FoldOption, JsonOption, RealIndexOption, SplitsOption

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sigedge_export import Reference, Target
    from sigedge_runtime.preprocessing import PreprocessSpec

CACHE = Path(".cache") / "export"


@guard(kept="No bundle was written, and an older one is as it was; finished hops are reused next time.")
def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Trained weights.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle to write.", show_default=False)],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--formats",
            "--format",
            help="onnx, tflite, saved_model, torch_program; a list with commas, or repeated.",
            show_default="all that the model offers",
        ),
    ] = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option(
            "--precisions",
            "--precision",
            help="float32, float16, dynamic_range, int8, int16_activations, mixed; a list with commas, or repeated.",
            show_default="all that the model offers",
        ),
    ] = None,
    index: RealIndexOption = None,
    dataset: DatasetsOption = None,
    splits: SplitsOption = None,
    fold: FoldOption = 0,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", metavar="FILE", help="Set of `sigedge calibrate`.", show_default="drawn anew"),
    ] = None,
    cache: Annotated[Path, typer.Option("--cache", help="Folder that keeps each hop's result for next time.")] = CACHE,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every hop, and keep nothing.")] = False,
    json: JsonOption = None,
) -> None:
    """Export CHECKPOINT to every format and precision, prove that all decide alike, and write the bundle.

    What was kept and what it cost stands in OUT.report.html, of a refused bundle too.

    With --index, ranges are calibrated on training signers of real data as well as synthetic ones, and parity is
    measured on validation signers.
    """
    from sigedge.export_inputs import golden_images
    from sigedge.export_report import report_of_export
    from sigedge_export import choose_targets, export_bundle, load_options, load_reference
    from sigedge_runtime.preprocessing import PreprocessSpec

    output = Output(json)
    formats, precisions = _names(formats), _names(precisions)
    choose_targets(formats, precisions)  # refuses a typing error before the weights are read
    reference = load_reference(checkpoint)
    info = reference.info
    targets = choose_targets(
        formats, precisions, load_options(info.architecture, info.config.get("network")).not_offered
    )
    kept = None if no_cache else cache
    if info.task != "verification":
        _export_network(output, checkpoint, out, reference, targets, formats, precisions, kept)
        return
    spec = PreprocessSpec.from_dict(info.preprocess)
    report = out.with_name(f"{out.name}.report.html")
    real = RealData(index, dataset or [], splits, fold)
    given = None if calibration is None else checked_calibration(output, calibration, real, spec)
    with _stopped_by_sigterm(), shown(output) as view:
        view.stage("draw signatures")
        canvases = given.canvases if given else _drawn(targets, real, spec)
        samples = parity_set(index, dataset or [], spec, splits=splits, fold=fold)
        made = export_bundle(
            checkpoint,
            out,
            golden=golden_images(spec=spec),
            parity=samples,
            reference=reference,
            calibration=canvases,
            formats=formats,
            precisions=precisions,
            cache=kept,
            progress=view.stage,
            watch=view.watch,
            witness=report_of_export(report, samples.canvases, progress=view.stage),
        )
    show_parity(output, made.report)
    output.say(f"Bundle: {made.bundle} and {made.archive}", "green")
    output.say(f"Report: {report}")
    output.result(
        {
            "bundle": str(made.bundle),
            "archive": str(made.archive),
            "report": str(report),
            "hops": [hop.to_dict() for hop in made.hops],
            "parity": made.report.to_dict(),
        }
    )


def _export_network(
    output: Output,
    checkpoint: Path,
    out: Path,
    reference: Reference,
    targets: Sequence[Target],
    formats: list[str] | None,
    precisions: list[str] | None,
    cache: Path | None,
) -> None:
    """The same for a classifier or an image network, on inputs that its system draws."""
    from sigedge.export_inputs import CALIBRATION_SEED, PARITY_SEED
    from sigedge_export import export_network

    calibrated = any(target.calibrated for target in targets)
    with _stopped_by_sigterm(), shown(output) as view:
        view.stage("draw inputs")
        made = export_network(
            checkpoint,
            out,
            canvases=examples(reference.info, PARITY, PARITY_SEED),
            reference=reference,
            calibration=examples(reference.info, CALIBRATION, CALIBRATION_SEED) if calibrated else None,
            formats=formats,
            precisions=precisions,
            cache=cache,
            progress=view.stage,
            watch=view.watch,
        )
    show_network_parity(output, made.report)
    output.say(f"Bundle: {made.bundle} and {made.archive}", "green")
    output.result(
        {
            "bundle": str(made.bundle),
            "archive": str(made.archive),
            "hops": [hop.to_dict() for hop in made.hops],
            "parity": made.report.to_dict(),
        }
    )


def _drawn(targets: Sequence[Target], real: RealData, spec: PreprocessSpec) -> NDArray[np.uint8] | None:
    """Calibration canvases, of real training signers too; None when no target takes any."""
    from sigedge.export_inputs import calibration_canvases

    if not any(target.calibrated for target in targets):
        return None
    return calibration_canvases(spec=spec, records=real.training_records())


def _names(values: list[str] | None) -> list[str] | None:
    """``["a,b", "c"]`` as the user may type it, to three names; None for no option at all."""
    return [name.strip() for value in values for name in value.split(",")] if values else None


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let a SIGTERM end the export as Ctrl-C does: converters stopped, scratch folder removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
