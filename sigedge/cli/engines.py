"""`sigedge engines`: which inference engines are here, and which one a bundle would run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.types import AutoThreadsOption, BundleArgument, JsonOption, PrecisionOption, thread_count

if TYPE_CHECKING:
    from sigedge_runtime import Bundle, EngineChoice


@guard()
def engines(
    bundle: BundleArgument = None,
    precision: PrecisionOption = None,
    threads: AutoThreadsOption = "1",
    measure: Annotated[bool, typer.Option("--measure", help="Measure anew, whatever was measured before.")] = False,
    json: JsonOption = None,
) -> None:
    """List the inference engines, and say which one auto takes for BUNDLE on this machine, and why."""
    from sigedge_runtime import Bundle

    count = thread_count(threads)
    output, listed = Output(json), _list()
    rows = [(row["engine"], "yes" if row["available"] else "no", row["detail"]) for row in listed]
    output.table("Engines", ("engine", "usable", "version, or why not"), rows)
    with Bundle.open(bundle) as opened:
        choice, fallbacks = _choose(opened, precision, count, measure)
    _show(output, choice)
    for sentence in fallbacks:
        output.say(sentence, "yellow")
    output.result({"engines": listed, "choice": choice.to_dict(), "fallbacks": list(fallbacks)})


def _list() -> list[dict[str, Any]]:
    from sigedge_runtime.engines import available, engine_class

    return [
        {
            "engine": name,
            "formats": sorted(engine_class(name).formats),
            "available": status.available,
            "detail": status.detail,
            "automatic": engine_class(name).automatic,
        }
        for name, status in available().items()
    ]


def _choose(
    bundle: Bundle, precision: str | None, threads: int | None, measure: bool
) -> tuple[EngineChoice, tuple[str, ...]]:
    """The choice of `auto`, and what it runs otherwise than the file says."""
    from sigedge_runtime.choice import choose_for
    from sigedge_runtime.engines import open_chosen

    artifact, choice = choose_for(bundle, "auto", precision, threads, anew=measure)
    with open_chosen(choice, artifact, bundle.path(artifact.file)) as engine:
        return choice, engine.fallbacks


def _show(output: Output, choice: EngineChoice) -> None:
    threads = f"{choice.threads} thread{'s' * (choice.threads != 1)}"
    output.say(f"auto runs {choice.artifact} on {choice.engine} with {threads}: it is {choice.why}.", "green")
    rows = [(one.engine, one.version, one.threads, f"{one.milliseconds:.3f}") for one in choice.measured]
    if rows:
        output.table("Measured, one inference", ("engine", "version", "threads", "median ms"), rows)
