"""`sigedge parity`: does every artefact of a bundle decide as the PyTorch model does?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.inputs import find_checkpoint, parity_meta, parity_part, parity_set
from sigedge.cli.networks import parity_network
from sigedge.cli.parity_lab import show_bisect, show_sensitivity
from sigedge.cli.types import (
    BundleArgument,
    CheckpointOption,
    DatasetsOption,
    FoldOption,
    JsonOption,
    RealIndexOption,
    SplitOption,
    SplitsOption,
)

if TYPE_CHECKING:
    from sigedge_export import ParityReport, ParitySet
    from sigedge_runtime.bundle import Bundle


@guard()
def parity(
    bundle: BundleArgument = None,
    checkpoint: CheckpointOption = None,
    index: RealIndexOption = None,
    dataset: DatasetsOption = None,
    splits: SplitsOption = None,
    fold: FoldOption = 0,
    split: SplitOption = "validation",
    bisect: Annotated[
        str | None,
        typer.Option("--bisect", metavar="ARTEFACT", help="Find the layer where an error enters.", show_default=False),
    ] = None,
    sensitivity: Annotated[
        str | None,
        typer.Option(
            "--sensitivity", metavar="ARTEFACT", help="Quantise one layer at a time instead.", show_default=False
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance", min=0.0, help="p99 score difference for --sensitivity.", show_default="the model's for mixed"
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Compare each artefact of BUNDLE, on each engine, with PyTorch; exit code 1 beyond tolerance.

    With --bisect, compare one artefact layer by layer on the bundle's golden canvases; exit code 1 when an error
    enters. With --sensitivity, find the layers of a TFLite artefact that mixed precision should keep in float.
    """
    from sigedge_runtime.bundle import Bundle

    output = Output(json)
    part = parity_part(split, index)
    with Bundle.open(bundle) as opened:
        path = find_checkpoint(opened, checkpoint)
        if bisect is not None:
            _bisect(output, opened, bisect, path)
            return
        if opened.manifest.model.task != "verification":
            parity_network(output, opened, path)
            return
        samples = parity_set(index, dataset or [], opened.manifest.harmonisation, splits=splits, fold=fold, part=part)
        if sensitivity is not None:
            allowed = _mixed_tolerance(opened) if tolerance is None else tolerance
            _sensitivity(output, opened, sensitivity, samples, allowed)
            return
        _parity(output, opened, path, samples)


def _parity(output: Output, bundle: Bundle, checkpoint: Path, samples: ParitySet) -> None:
    from sigedge_export import gate, load_reference, load_tolerances, measure_parity
    from sigedge_export.lab import measure_collapse

    embeddings = load_reference(checkpoint).embed(samples.canvases)
    report = measure_parity(bundle, embeddings, samples, progress=output.status)
    show_parity(output, report)
    collapse = [entry.to_dict() for entry in measure_collapse(report)]
    output.result({**report.to_dict(), "collapse": collapse, "meta": parity_meta(bundle)})
    gate(report, load_tolerances(bundle.manifest.model.architecture))
    output.say("Every artefact decides as the reference does, within the model's tolerances.", "green")


def _bisect(output: Output, bundle: Bundle, artifact: str, checkpoint: Path) -> None:
    from sigedge_export.lab import bisect
    from sigedge_runtime.errors import ParityError

    report = bisect(bundle, artifact, checkpoint, progress=output.status)
    show_bisect(output, report)
    output.result({"bisect": report.to_dict(), "meta": parity_meta(bundle)})
    if report.first_fault is not None:
        raise ParityError(f"{report.first_fault.sentence} Hop: {report.first_fault.hop}.")
    output.say("Every layer of every hop is as near to the one before as its precision allows.", "green")


def _sensitivity(output: Output, bundle: Bundle, artifact: str, samples: ParitySet, tolerance: float) -> None:
    from sigedge.export_inputs import calibration_canvases
    from sigedge_export.lab import measure_sensitivity

    calibration = calibration_canvases(spec=bundle.manifest.harmonisation)
    report = measure_sensitivity(bundle, artifact, calibration, samples, tolerance, progress=output.status)
    show_sensitivity(output, report)
    output.result({"sensitivity": report.to_dict(), "meta": parity_meta(bundle)})


def _mixed_tolerance(bundle: Bundle) -> float:
    from sigedge_export import load_tolerances
    from sigedge_runtime.errors import ExportError

    architecture = bundle.manifest.model.architecture
    tolerances = load_tolerances(architecture)
    if "mixed" not in tolerances:
        raise ExportError(f"The model {architecture} has no parity tolerances for mixed; add them to its parity.json.")
    return tolerances["mixed"].p99_score_difference


def show_parity(output: Output, report: ParityReport) -> None:
    """Print the report as a table, and what could not be measured."""
    rows = [
        (
            row.artifact,
            row.engine,
            f"{row.max_score_difference:.5f}",
            f"{row.p99_score_difference:.5f}",
            f"{row.flipped} of {report.pairs}",
            f"{100 * row.eer_difference.estimate:+.2f} "
            f"[{100 * row.eer_difference.low:+.2f}, {100 * row.eer_difference.high:+.2f}]",
            f"{100 * row.variance_ratio:.1f} / {100 * row.effective_rank_ratio:.1f}",
        )
        for row in report.rows
    ]
    columns = ("artefact", "engine", "max", "p99", "flipped", "EER change, points", "variance / rank kept, %")
    output.table(f"Score differences to PyTorch, {report.source}", columns, rows)
    for missed in report.unmeasured:
        output.say(f"not measured: {missed.artifact} on {missed.engine}: {missed.reason}", "yellow")
