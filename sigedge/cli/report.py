"""`sigedge report`: what an export kept, as a page to read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.inputs import find_checkpoint, parity_meta, parity_part, parity_set
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
    from sigedge_export.report import ReportData


@guard(kept="No report was written.")
def report(
    bundle: BundleArgument = None,
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")] = Path("report.html"),
    checkpoint: CheckpointOption = None,
    index: RealIndexOption = None,
    dataset: DatasetsOption = None,
    splits: SplitsOption = None,
    fold: FoldOption = 0,
    split: SplitOption = "validation",
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Measure the noise of every layer of the reduced artefacts too.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Measure parity and speed of BUNDLE and write one HTML page, which begins with whether int8 is worth it."""
    from sigedge.bench.interleaved import PROTOCOL
    from sigedge.export_report import gather, layer_noise, recorded_hops
    from sigedge_export import load_reference, load_tolerances, measure_parity
    from sigedge_export.report import summary, write_report
    from sigedge_runtime.bundle import DEFAULT_BUNDLE, Bundle

    output = Output(json)
    part = parity_part(split, index)
    hops = recorded_hops(bundle or DEFAULT_BUNDLE)
    with Bundle.open(bundle) as opened:
        path = find_checkpoint(opened, checkpoint)
        tolerances = load_tolerances(opened.manifest.model.architecture)
        samples = parity_set(index, dataset or [], opened.manifest.harmonisation, splits=splits, fold=fold, part=part)
        embeddings = load_reference(path).embed(samples.canvases)
        parity = measure_parity(opened, embeddings, samples, progress=output.status)
        bisections = layer_noise(opened, path, progress=output.status) if bisect else ()
        data = gather(
            opened, parity, samples.canvases, tolerances, hops=hops, bisections=bisections, progress=output.status
        )
        write_report(out, data)
        show_verdict(output, data, out)
        meta = {**parity_meta(opened), "split": split, "fold": fold}
        output.result({**summary(data), "meta": meta, "latency_protocol": PROTOCOL})


def show_verdict(output: Output, data: ReportData, path: Path) -> None:
    """Print the page's first sentence and where the page is."""
    from sigedge_export.report import headline, rows

    first = headline(rows(data))
    if first is not None and first.verdict is not None:
        output.say(f"{first.parity.artifact}, worth it beside float32? {first.verdict.sentence}")
    output.say(f"Report: {path}", "green")
