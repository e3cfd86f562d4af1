"""`sigedge selftest`: does this device reproduce the golden vectors of a bundle?"""

from __future__ import annotations

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.types import BundleArgument, EngineOption, JsonOption, PrecisionOption, ThreadsOption


@guard()
def selftest(
    bundle: BundleArgument = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = None,
    threads: ThreadsOption = 1,
    json: JsonOption = None,
) -> None:
    """Replay the golden vectors of BUNDLE on this machine; exit code 1 when it deviates."""
    from sigedge_runtime import Bundle, Network, Verifier

    with Bundle.open(bundle) as opened:
        kind = Verifier if opened.manifest.model.task == "verification" else Network
        with kind.open(opened, engine=engine, precision=precision, threads=threads, selftest=False) as running:
            report = running.selftest()
            artifact, name = running.artifact.name, running.engine.name
    output = Output(json)
    word, style = ("PASSED", "bold green") if report.passed else ("FAILED", "bold red")
    output.say(
        f"{word}  {artifact} on {name}: {report.cases} images, {report.scores} scores, largest difference "
        f"{report.max_score_difference:.5f} (tolerance {report.tolerance:g})",
        style,
    )
    for failure in report.failures:
        output.say(f"  {failure}", "red")
    output.result(report.to_dict())
    if not report.passed:
        raise typer.Exit(REJECTED)
