"""`sigedge selftest`: does this device reproduce the golden vectors of a bundle?"""

from __future__ import annotations

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.types import (
    AutoThreadsOption,
    BundleArgument,
    EngineOption,
    JsonOption,
    PrecisionOption,
    thread_count,
)


@guard()
def selftest(
    bundle: BundleArgument = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = None,
    threads: AutoThreadsOption = "1",
    json: JsonOption = None,
) -> None:
    """Replay the golden vectors of BUNDLE on this machine; exit code 1 when it deviates."""
    from sigedge_runtime import Bundle, Network, Verifier

    count = thread_count(threads)
    with Bundle.open(bundle) as opened:
        kind = Verifier if opened.manifest.model.task == "verification" else Network
        with kind.open(opened, engine=engine, precision=precision, threads=count, selftest=False) as running:
            report = running.selftest()
            artifact, name = running.artifact.name, running.engine.name
            choice, fallbacks = running.engine_choice, running.engine.fallbacks
    output = Output(json)
    word, style = ("PASSED", "bold green") if report.passed else ("FAILED", "bold red")
    output.say(
        f"{word}  {artifact} on {name}: {report.cases} images, {report.scores} scores, largest difference "
        f"{report.max_score_difference:.5f} (tolerance {report.tolerance:g})",
        style,
    )
    for failure in report.failures:
        output.say(f"  {failure}", "red")
    for sentence in fallbacks:
        output.say(f"  {sentence}", "yellow")
    chosen = None if choice is None else choice.to_dict()
    output.result({**report.to_dict(), "engine": chosen, "fallbacks": list(fallbacks)})
    if not report.passed:
        raise typer.Exit(REJECTED)
