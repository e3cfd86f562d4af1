"""`sigedge evaluate`: how often is the deployed file wrong?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from sigedge.cli.console import Output
from sigedge.cli.data.options import DEFAULT_CACHE, CacheOption
from sigedge.cli.guard import guard
from sigedge.cli.inputs import WEIGHTS, default_data, parse_counts, read_part
from sigedge.cli.types import (
    BundleArgument,
    EngineOption,
    FoldOption,
    JsonOption,
    SeedOption,
    SplitsOption,
    ThreadsOption,
)

if TYPE_CHECKING:
    from sigedge.data.splits import Part
    from sigedge.evaluation.bundle import Evaluation

COLUMNS = ("references", "EER skilled", "95 %", "EER random", "EER per signer", "FRR at FAR 1 %", "AUC")


@guard(kept="Canvases and embeddings made so far stay in the cache; the same command goes on from there.")
def evaluate(
    bundle: BundleArgument = None,
    *,
    index: Annotated[
        Path | None, typer.Option("--index", help="index.csv, or folder of a data set.", show_default=False)
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Data set of the index.", show_default="all of it")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="train, validation, test or all.")] = "test",
    refs: Annotated[str, typer.Option("--refs", help="Numbers of references.")] = "1,5,10",
    artifact: Annotated[
        str | None, typer.Option("--artifact", help="Artefact of the bundle.", show_default="int8 TFLite first")
    ] = None,
    engine: EngineOption = "auto",
    threads: ThreadsOption = 1,
    splits: SplitsOption = None,
    fold: FoldOption = 0,
    seed: SeedOption = 0,
    bootstrap: Annotated[int, typer.Option("--bootstrap", min=0, help="Resamples of signers.")] = 2000,
    protocol: Annotated[
        Path | None,
        typer.Option(
            "--protocol", help="File of the trials: made when missing, else followed.", show_default="in the cache"
        ),
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Measure the error rates on distorted queries too.")
    ] = False,
    robustness_signers: Annotated[
        int, typer.Option("--robustness-signers", min=1, help="Signers to distort the queries of.")
    ] = 20,
    report: Annotated[Path | None, typer.Option("--report", help="HTML page to write.", show_default=False)] = None,
    models: Annotated[Path, typer.Option("--models", help="Folder of a system's checkpoints.")] = WEIGHTS,
    cache: CacheOption = DEFAULT_CACHE,
    json: JsonOption = None,
) -> None:
    """Score the deployed artefact of BUNDLE on labelled signatures by the protocol, leak gates beside it.

    With the name of a system instead of a bundle (cgan, forger, cleaner, signauth), measure what that system is for.
    """
    from sigedge.evaluation import evaluate_bundle
    from sigedge.systems import has_system
    from sigedge_runtime.errors import DataError

    output = Output(json)
    if bundle is not None and not bundle.exists() and has_system(bundle.name):
        if report or protocol or robustness:
            raise DataError(f"{bundle.name} is no bundle; leave --report, --protocol and --robustness out.")
        _evaluate_system(output, bundle.name, models, index, cache)
        return
    if index is None:
        raise DataError("There is nothing to score BUNDLE on; name an index.csv or a folder with --index.")
    counts = parse_counts(refs, "--refs")
    wanted = [dataset] if dataset else []
    write_page = _page_writer(output, report)
    evaluation = evaluate_bundle(
        bundle,
        read_part(index, wanted, cast("Part", split), splits=splits, fold=fold),
        reference_counts=counts,
        artifact=artifact,
        engine=engine,
        threads=threads,
        split=split,
        cache=cache,
        protocol=protocol,
        robustness_signers=robustness_signers if robustness else 0,
        seed=seed,
        bootstrap=bootstrap,
    )
    result = evaluation.result
    result["meta"]["fold"] = fold
    show(output, result)
    output.result(result)
    write_page(evaluation)


def _page_writer(output: Output, path: Path | None) -> Callable[[Evaluation], None]:
    """What writes the report, if one was asked for; what it needs is missed before hours of work, not after."""
    if path is None:
        return lambda _: None
    from sigedge.evaluation.report import write_report

    def write(evaluation: Evaluation) -> None:
        write_report(path, evaluation)
        output.say(f"Report: {path}", "green")

    return write


def _evaluate_system(output: Output, name: str, models: Path, index: Path | None, cache: Path) -> None:
    """Measure a system and print a row for each of its networks."""
    from sigedge.systems import load_system

    data = default_data() if index is None else index.parent if index.is_file() else index
    result = load_system(name).evaluate(models, data, cache=cache, progress=output.status)
    rows = [
        (
            row["network"],
            row["metric"],
            f"{row['value']:.4g}",
            "-" if row["ci95"] is None else f"{row['ci95'][0]:.4g} to {row['ci95'][1]:.4g}",
            row["reference_metric"],
        )
        for row in result["networks"]
    ]
    output.table(name, ("network", "metric", "value", "95 %", "of the reference system"), rows)
    output.result(result)


def show(output: Output, result: dict[str, Any]) -> None:
    """Print the figures by number of references, and the leak gates."""
    title = f"{result['artifact']} on {result['dataset']} {result['split']}, {result['signers']} signers"
    output.table(title, COLUMNS, _rows(result["references"]))
    gates = ", ".join(f"{name} {number(value)}" for name, value in result["leak_gates"].items())
    output.say(f"Leak gates: {gates}")


def _rows(references: dict[str, dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for count, found in references.items():
        low, high = found["eer_skilled_ci95"] or (None, None)
        yield (
            count,
            percent(found["eer_skilled"]),
            f"{percent(low)} to {percent(high)}",
            percent(found["eer_random"]),
            percent(found["eer_per_signer_mean"]),
            percent(found["frr_at_far_1pct"]),
            number(found["auc"]),
        )


def percent(rate: float | None) -> str:
    """A rate, 0 to 1, in percent; a dash where the data cannot tell."""
    return "-" if rate is None else f"{100 * rate:.1f} %"


def number(value: float | None) -> str:
    """Three decimals; a dash where the data cannot tell."""
    return "-" if value is None else f"{value:.3f}"
