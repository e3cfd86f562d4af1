"""`sigedge build-engine`: make a bundle's TensorRT plan before anything is served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.types import BundleArgument, JsonOption, PrecisionOption

if TYPE_CHECKING:
    from sigedge_runtime.tensorrt import Outcome
    from sigedge_runtime.tensorrt.network import Progress


@guard(kept="No plan was written; a plan that was there stays.")
def build_engine(
    bundle: BundleArgument = None,
    precision: PrecisionOption = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", help="Folder of the plans.", show_default="$SIGEDGE_TENSORRT_CACHE, else the user's cache"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build even when a plan that fits is there.")] = False,
    workspace_mib: Annotated[
        int | None,
        typer.Option("--workspace-mib", min=1, help="Limit of scratch memory, MiB.", show_default="TensorRT's own"),
    ] = None,
    ahead_of_time: Annotated[
        str | None,
        typer.Option(
            "--ahead-of-time",
            metavar="SM",
            help="Build with TensorRT-RTX for a compute capability such as sm89; needs no GPU.",
            show_default="for the GPU here",
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Build the TensorRT plan of BUNDLE's ONNX file for the GPU here; a plan that fits is kept."""
    from sigedge_runtime.bundle import Bundle
    from sigedge_runtime.tensorrt import BuildOptions
    from sigedge_runtime.tensorrt import build_engine as build

    output = Output(json)
    options = BuildOptions(cache, force, workspace_mib, ahead_of_time)
    with Bundle.open(bundle) as opened, _phases() as progress:
        artifact = opened.artifact(format="onnx", precision=precision)
        path, parameters = opened.path(artifact.file), opened.manifest.model.parameters
        outcome = build(artifact, path, parameters, options, announce=output.status, progress=progress)
    _show(output, outcome, cache)
    output.result({"file": str(outcome.path), "built_now": outcome.built, "plan": outcome.record.to_dict()})


def _show(output: Output, outcome: Outcome, cache: Path | None) -> None:
    record = outcome.record
    if outcome.built:
        output.say(f"Built in {record.build_seconds:.1f} s: {outcome.path} ({record.size:,} bytes)", "green")
    else:
        output.say(f"Already there: {outcome.path}, built {record.built}; --force builds it again.")
    if cache is not None:
        output.say(f"Serve with SIGEDGE_TENSORRT_CACHE={cache}")
    output.say(f"Prove it on the GPU: sigedge selftest BUNDLE --engine tensorrt --precision {record.key.precision}")


@contextmanager
def _phases() -> Iterator[Progress]:
    """A bar on stderr for each phase that is under way; a log file gets none."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda phase, done, total: None
        return
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars, tasks = Progress(*columns, console=console, transient=True), {}

    def show(phase: str, done: int, total: int) -> None:
        bars.start()  # only now: what is announced before must not run into the bars
        if phase not in tasks:
            tasks[phase] = bars.add_task(phase, total=total)
        bars.update(tasks[phase], completed=done)
        if done == total:
            bars.remove_task(tasks.pop(phase))

    try:
        yield show
    finally:
        bars.stop()
