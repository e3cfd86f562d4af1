"""`sigedge parity`: does every artefact of a bundle decide as the PyTorch model does?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.inputs import read_part
from sigedge.cli.types import (
    BundleArgument,
    DatasetsOption,
    FoldOption,
    JsonOption,
    RealIndexOption,
    SplitsOption,
)

if TYPE_CHECKING:
    from sigedge_export import ParityReport, ParitySet, Reference
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
    json: JsonOption = None,
) -> None:
    """Compare each artefact of BUNDLE, on each engine, with PyTorch; exit code 1 beyond tolerance."""
    from sigedge_export import gate, load_tolerances, measure_parity
    from sigedge_runtime.bundle import Bundle

    output = Output(json)
    with Bundle.open(bundle) as opened:
        spec = opened.manifest.preprocess
        reference = _load_reference(opened, checkpoint)
        samples = parity_set(index, dataset or [], spec, splits=splits, fold=fold)
        report = measure_parity(opened, reference.embed(samples.canvases), samples, progress=output.status)
        show_parity(output, report)
        output.result({**report.to_dict(), "meta": _meta(opened)})
        gate(report, load_tolerances(opened.manifest.model.architecture))
    output.say("Every artefact decides as the reference does, within the model's tolerances.", "green")


def parity_set(
    index: Path | None, datasets: list[str], spec: PreprocessSpec, *, splits: Path | None, fold: int
) -> ParitySet:
    """Validation signers of real data sets, or synthetic signers when no index is given.

    Raises:
        DataError: the index has no such data set or part, or no usable image.
    """
    from sigedge.export_inputs import parity_set_from_records, synthetic_parity_set

    if index is None:
        return synthetic_parity_set(spec=spec)
    records = read_part(index, datasets, "validation", splits=splits, fold=fold)
    names = ", ".join(sorted({record.dataset for record in records}))
    return parity_set_from_records(records, f"validation signers of {names}", spec)


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


def _meta(bundle: Bundle) -> dict[str, Any]:
    """Date, machine, versions, seed and what was compared."""
    from sigedge.evaluation.results import provenance
    from sigedge.export_inputs import PARITY_SEED

    model = bundle.manifest.model
    described = {"name": model.name, "version": model.version, "checkpoint_sha256": model.checkpoint_sha256}
    hashes = {artifact.name: artifact.sha256 for artifact in bundle.manifest.artifacts}
    return provenance(model=described, artifacts=hashes, seed=PARITY_SEED)


def _load_reference(bundle: Bundle, checkpoint: Path | None) -> Reference:
    """The checkpoint a bundle was made from.

    Raises:
        CheckpointError: it cannot be read, or is another one.
    """
    from sigedge_export import load_reference
    from sigedge_runtime.bundle import hash_file
    from sigedge_runtime.errors import CheckpointError

    model = bundle.manifest.model
    path = checkpoint or WEIGHTS / f"{model.name}.safetensors"
    reference = load_reference(path)
    if hash_file(path) != model.checkpoint_sha256:
        raise CheckpointError(
            f"{path} is not the checkpoint that the bundle {model.name} {model.version} was exported from; "
            "name that one with --checkpoint, or export the bundle again."
        )
    return reference
