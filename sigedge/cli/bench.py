"""`sigedge bench`: how fast is a bundle here, and how do we know?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.types import BundleArgument, JsonOption, SeedOption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STAGES = ("decode", "preprocess", "infer", "match", "total")


@guard(kept="Nothing was written: a bench is only kept whole.")
def bench(
    bundle: BundleArgument = None,
    *,
    engine: Annotated[
        str | None,
        typer.Option("--engine", help="Measure this engine only.", show_default="every installed one"),
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="Measure this precision only.", show_default="all")
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Verifications timed per contestant.")] = 5000,
    cold_starts: Annotated[int, typer.Option("--cold-starts", min=1, help="Fresh processes per artefact.")] = 5,
    threads: Annotated[
        list[int] | None,
        typer.Option("--threads", min=1, help="Threads of the engine; may be repeated.", show_default="1"),
    ] = None,
    queries: Annotated[int, typer.Option("--queries", min=1, help="Different scans verified in turn.")] = 8,
    peers: Annotated[
        Path | None, typer.Option("--peers", help="Folder of peers to run side by side.", show_default="none")
    ] = None,
    scans: Annotated[
        Path | None, typer.Option("--scans", help="Folder of real scans.", show_default="synthetic scans")
    ] = None,
    device_id: Annotated[
        str, typer.Option("--device-id", help="What this device is called beside others.")
    ] = "this-machine",
    page: Annotated[
        Path | None,
        typer.Option(
            "--page", help="HTML page to write, with all devices beside the file of --json.", show_default=False
        ),
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """Measure BUNDLE, and peers, on scans in memory: time by stage, tail, cold start, memory and throughput."""
    from sigedge.bench.measure import BenchOptions, measure_bundle

    write_page = _page_writer(page, json)
    options = BenchOptions(
        repeats=repeats,
        batch=min(repeats, BenchOptions.batch),
        cold_starts=cold_starts,
        queries=queries,
        threads=tuple(dict.fromkeys(threads or [1])),
        engine=engine,
        precision=precision,
        peers=peers,
        scans=scans,
        device_id=_checked(device_id),
        seed=seed,
    )
    results = measure_bundle(bundle, options)
    output = Output(json)
    show(output, results)
    output.result(results)
    if page is not None:
        write_page(results)
        output.say(f"Page: {page}", "green")
    if not all(run["selftest"]["passed"] for run in results["runs"]):
        raise typer.Exit(REJECTED)


def show(output: Output, results: dict[str, Any]) -> None:
    """Print stages, starts, and the figures beside what they must reach."""
    machine, rows = results["machine"], [*results["runs"], *results["floors"], *results["peers"]]
    output.say(f"{results['device_id']}: {machine['cpu']}, {machine['os']}, governor {machine['governor']}")
    output.table("Stages, median (p99) ms", ("contestant", *STAGES, "n"), _stage_rows(rows))
    output.table(
        "Cold start, median ms",
        ("contestant", "import", "load", "first run", "process", "peak MiB", "self-test"),
        _cold_rows(rows),
    )
    output.table(
        "Figures of this run", ("figure", "measured", "95 %", "must", "goal", "reached"), _figure_rows(results)
    )
    for absent in results["not_run"]:
        output.say(f"{absent['contestant']} did not run: {absent['reason']}", "yellow")


def _page_writer(page: Path | None, json: str | None) -> Callable[[dict[str, Any]], None]:
    """What writes the page, if one was asked for; what it needs is missed before minutes of work, not after."""
    if page is None:
        return lambda _: None
    from sigedge.bench.report import error_rates, read_results, write_page

    def write(results: dict[str, Any]) -> None:
        if json is None or not Path(json).match("bench-*.json"):
            write_page(page, [results])
        else:
            write_page(page, read_results(Path(json).parent), error_rates(Path(json).parent))

    return write


def _checked(device_id: str) -> str:
    """A name that can stand in a file's name.

    Raises:
        BadParameter: it cannot.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", device_id) is None:
        raise typer.BadParameter("A device id holds letters, digits, '.', '_' and '-', e.g. pixel-8.")
    return device_id


def _stage_rows(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    for row in rows:
        stages = row["stages_ms"]
        cells = [f"{stages[stage]['p50']:.2f} ({stages[stage]['p99']:.2f})" for stage in STAGES]
        yield [row["contestant"], *cells, str(stages["total"]["n"])]


def _cold_rows(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    for row in rows:
        cold = row["cold_start_ms"]
        times = [f"{cold[part]['p50']:.0f}" for part in ("import", "load", "first_run", "process")]
        selftest = "-" if row["selftest"] is None else "passed" if row["selftest"]["passed"] else "FAILED"
        yield [row["contestant"], *times, f"{row['peak_rss_mb']:.0f}", selftest]


def _figure_rows(results: dict[str, Any]) -> Iterator[list[str]]:
    for figure in results["figures"]:
        value = "-" if figure["value"] is None else f"{figure['value']:.4g}"
        interval = "-" if figure["low"] is None else f"{figure['low']:.4g} to {figure['high']:.4g}"
        yield [figure["name"], value, interval, f"{figure['must']:g}", f"{figure['goal']:g}", figure["reached"]]
