"""`sigedge demo`: the whole way once, on synthetic signatures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigedge.cli.console import Output, write_text
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.types import JsonOption

if TYPE_CHECKING:
    from sigedge.demo.result import DemoResult

CHECKPOINT = Path("models") / "weights" / "edgesig.safetensors"


@guard(kept="The same command starts again from the beginning.")
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("out") / "demo",
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Trained weights.")] = CHECKPOINT,
    json: JsonOption = None,
) -> None:
    """Export the weights, prove parity, enrol a synthetic signer, verify three signatures, write a report.

    Exit code 1 when a decision is not the expected one, or parity fails.
    """
    from sigedge.demo.report import render_report
    from sigedge.demo.run import run_demo

    output = Output(json)
    result = run_demo(checkpoint, out, progress=output.status)
    report = out / "report.html"
    write_text(report, render_report(result))
    show(output, result)
    output.say(f"Report: {report}")
    output.result(summary(result))
    if not result.right:
        raise typer.Exit(REJECTED)


def show(output: Output, result: DemoResult) -> None:
    """Print the verdicts and the one table."""
    for case in result.cases:
        word = "accepted" if case.verdict.accepted else "rejected"
        output.say(
            f"{case.title}: {word} (score {case.verdict.score:.3f}, threshold {case.verdict.threshold:.3f})",
            "green" if case.right else "bold red",
        )
    rows = [
        (
            f"{row.artifact} on {row.engine}",
            f"{row.size / 1024:,.0f} KiB",
            row.parity,
            "-" if row.median_ms is None else f"{row.median_ms:.1f}",
        )
        for row in result.rows
    ]
    output.table(
        f"{result.model}: {result.parity['pairs']} pairs against PyTorch",
        ("artefact", "size", "parity", "median ms"),
        rows,
    )


def summary(result: DemoResult) -> dict[str, Any]:
    """The result as plain values, without pictures."""
    return {
        "model": result.model,
        "machine": result.machine,
        "cases": [
            {"title": case.title, "expected": case.expected, "verdict": case.verdict.to_dict()} for case in result.cases
        ],
        "artifacts": [{"size": row.size, "median_ms": row.median_ms, **row.figures} for row in result.rows],
        "parity": result.parity,
        "seconds": result.seconds,
        "right": result.right,
    }
