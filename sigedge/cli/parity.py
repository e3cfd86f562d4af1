"""`sigedge parity`: does every artefact of a bundle decide as the PyTorch model does?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.inputs import read_part
from sigedge.cli.parity_lab import show_bisect, show_sensitivity
from sigedge.cli.types import (
    BundleArgument,
    DatasetsOption,
    FoldOption,
    JsonOption,
    RealIndexOption,
    SplitsOption,
)

if TYPE_CHECKING:
    from sigedge.data.splits import Part
    from sigedge_export import ParityReport, ParitySet
    from sigedge_runtime.bundle import Bundle
    from sigedge_runtime.preprocessing import PreprocessSpec

WEIGHTS = Path("models") / "weights"


@guard()
def parity(
    bundle: BundleArgument = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="The PyTorch weights.", show_default="models/weights/MODEL.safetensors"),
    ] = None,
    index: RealIndexOption = None,
    dataset: DatasetsOption = None,
    splits: SplitsOption = None,
    fold: FoldOption = 0,
    split: Annotated[
        str, typer.Option("--split", help="validation or test: whose pairs; nothing may be chosen on test signers.")
    ] = "validation",
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
        samples = parity_set(index, dataset or [], opened.manifest.preprocess, splits=splits, fold=fold, part=part)
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

    calibration = calibration_canvases(spec=bundle.manifest.preprocess)
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


def parity_part(split: str, index: Path | None) -> Part:
    """The part of the split that was asked for.

    Raises:
        DataError: it is neither validation nor test, or synthetic signers are asked for a test part.
    """
    from sigedge_runtime.errors import DataError

    if split == "validation":
        return "validation"
    if split != "test":
        raise DataError(f"Parity is measured on the split validation or test, not {split!r}; choose one of them.")
    if index is None:
        raise DataError("Synthetic signers have no test part; name real ones with --index, or leave --split out.")
    return "test"


def parity_set(
    index: Path | None,
    datasets: list[str],
    spec: PreprocessSpec,
    *,
    splits: Path | None,
    fold: int,
    part: Part = "validation",
) -> ParitySet:
    """Signers of one part of real data sets, or synthetic signers when no index is given.

    Raises:
        DataError: the index has no such data set or part, or no usable image.
    """
    from sigedge.export_inputs import parity_set_from_records, synthetic_parity_set

    if index is None:
        return synthetic_parity_set(spec=spec)
    records = read_part(index, datasets, part, splits=splits, fold=fold)
    names = ", ".join(sorted({record.dataset for record in records}))
    return parity_set_from_records(records, f"{part} signers of {names}", spec)


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


def parity_meta(bundle: Bundle) -> dict[str, Any]:
    """Date, machine, versions, seed and what was compared."""
    from sigedge.evaluation.results import provenance
    from sigedge.export_inputs import PARITY_SEED

    model = bundle.manifest.model
    described = {"name": model.name, "version": model.version, "checkpoint_sha256": model.checkpoint_sha256}
    hashes = {artifact.name: artifact.sha256 for artifact in bundle.manifest.artifacts}
    return provenance(model=described, artifacts=hashes, seed=PARITY_SEED)


def find_checkpoint(bundle: Bundle, checkpoint: Path | None) -> Path:
    """The checkpoint a bundle was made from.

    Raises:
        CheckpointError: it is not there, or is another one.
    """
    from sigedge_runtime.bundle import hash_file
    from sigedge_runtime.errors import CheckpointError

    model = bundle.manifest.model
    path = checkpoint or WEIGHTS / f"{model.name}.safetensors"
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}; name the one of {model.name} with --checkpoint.")
    if hash_file(path) != model.checkpoint_sha256:
        raise CheckpointError(
            f"{path} is not the checkpoint that the bundle {model.name} {model.version} was exported from; "
            "name that one with --checkpoint, or export the bundle again."
        )
    return path
