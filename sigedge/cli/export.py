"""`sigedge export`: from a checkpoint to a proven bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.inputs import read_part
from sigedge.cli.parity import parity_set, show_parity
from sigedge.cli.types import DatasetsOption, FoldOption, JsonOption, RealIndexOption, SplitsOption

if TYPE_CHECKING:
    from sigedge.data import Record


@guard(kept="No bundle was written, and an older one is as it was; the logs of the finished steps stay.")
def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Trained weights.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle to write.", show_default=False)],
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="onnx, saved_model or tflite; may be repeated.", show_default="all"),
    ] = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option("--precision", help="float32, float16 or int8; may be repeated.", show_default="all"),
    ] = None,
    index: RealIndexOption = None,
    dataset: DatasetsOption = None,
    splits: SplitsOption = None,
    fold: FoldOption = 0,
    json: JsonOption = None,
) -> None:
    """Export CHECKPOINT to ONNX, SavedModel and TFLite, prove that they decide alike, and write the bundle.

    With --index, int8 is calibrated on training signers of real data as well as synthetic ones, and parity is
    measured on validation signers.
    """
    from sigedge.export_inputs import calibration_canvases, golden_images
    from sigedge_export import choose_targets, export_bundle, load_reference
    from sigedge_runtime.manifest import FORMATS, PRECISIONS
    from sigedge_runtime.preprocessing import PreprocessSpec

    output = Output(json)
    choose_targets(formats or FORMATS, precisions or PRECISIONS)  # refuses before minutes are spent on the input
    spec = PreprocessSpec.from_dict(load_reference(checkpoint).info.preprocess)
    records: list[Record] = []
    if index is not None:
        records = read_part(index, dataset or [], "train", splits=splits, fold=fold)
    made = export_bundle(
        checkpoint,
        out,
        golden=golden_images(spec=spec),
        parity=parity_set(index, dataset or [], spec, splits=splits, fold=fold),
        calibration=calibration_canvases(spec=spec, records=records),
        formats=formats or FORMATS,
        precisions=precisions or PRECISIONS,
        progress=output.status,
    )
    show_parity(output, made.report)
    output.say(f"Bundle: {made.bundle} and {made.archive}", "green")
    output.result({"bundle": str(made.bundle), "archive": str(made.archive), "parity": made.report.to_dict()})
