"""`sigedge bench`: how fast is a bundle here, and how do we know?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.types import BundleArgument, JsonOption, SeedOption, ThreadsOption

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGES = ("decode", "preprocess", "infer", "match", "total")


@guard(kept="Nothing was written: a bench is only kept whole.")
def bench(
    bundle: BundleArgument = None,
    engine: Annotated[
        str | None,
        typer.Option("--engine", help="Measure this engine only.", show_default="every installed one"),
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="Measure this precision only.", show_default="all")
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Verifications timed per artefact.")] = 200,
    cold_starts: Annotated[int, typer.Option("--cold-starts", min=1, help="Fresh processes per artefact.")] = 5,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """Measure cold start, stages and peak memory of BUNDLE on real-size synthetic scans."""
    from sigedge.bench.measure import BenchOptions, measure_bundle

    options = BenchOptions(
        repeats=repeats,
        cold_starts=cold_starts,
        threads=threads,
        engine=engine,
        precision=precision,
        seed=seed,
    )
    results = measure_bundle(bundle, options)
    output = Output(json)
    machine = results["machine"]
    output.say(f"{machine['cpu']}, {threads} thread{'s' * (threads != 1)}, {machine['os']}")
    output.table("Stages, median (p95) ms", ("artefact on engine", *STAGES), _stage_rows(results["runs"]))
    output.table(
        "Cold start, median ms",
        ("artefact on engine", "import", "load", "first run", "process", "peak MiB", "self-test"),
        _cold_rows(results["runs"]),
    )
    output.result(results)
    if not all(run["selftest"]["passed"] for run in results["runs"]):
        raise typer.Exit(REJECTED)


def _stage_rows(runs: list[dict[str, Any]]) -> Iterator[list[str]]:
    for run in runs:
        stages = run["stages_ms"]
        cells = [f"{stages[stage]['p50']:.2f} ({stages[stage]['p95']:.2f})" for stage in STAGES]
        yield [f"{run['artifact']} on {run['engine']}", *cells]


def _cold_rows(runs: list[dict[str, Any]]) -> Iterator[list[str]]:
    for run in runs:
        cold = run["cold_start_ms"]
        times = [f"{cold[part]['p50']:.0f}" for part in ("import", "load", "first_run", "process")]
        selftest = "passed" if run["selftest"]["passed"] else "FAILED"
        yield [f"{run['artifact']} on {run['engine']}", *times, f"{run['peak_rss_mb']:.0f}", selftest]
