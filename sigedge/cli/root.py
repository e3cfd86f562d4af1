"""The root of the command line: which commands there are, and what happens when one breaks."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sigedge import __version__
from sigedge.cli import (
    bench,
    build_engine,
    bundle,
    calibrate,
    classify,
    data,
    demo,
    engines,
    enroll,
    evaluate,
    export,
    identify,
    parity,
    report,
    selftest,
    serve,
    store,
    synth,
    train,
    verify,
)
from sigedge.cli.guard import confess

app = typer.Typer(
    name="sigedge",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Off-line handwritten signature verification, from PyTorch to the edge.",
    epilog="Exit codes: 0 done or accepted, 1 rejected or failed, 2 bad usage or bad input.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sigedge {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Off-line handwritten signature verification, from PyTorch to the edge."""


WORKSTATION = "Make and prove a model"
DEVICE = "Use a bundle"

app.command(rich_help_panel=WORKSTATION)(train.train)
app.command(rich_help_panel=WORKSTATION)(evaluate.evaluate)
app.command(rich_help_panel=WORKSTATION)(calibrate.calibrate)
app.command(rich_help_panel=WORKSTATION)(export.export)
app.command(rich_help_panel=WORKSTATION)(parity.parity)
app.command(rich_help_panel=WORKSTATION)(report.report)
app.command(rich_help_panel=WORKSTATION)(bench.bench)
app.command(rich_help_panel=WORKSTATION)(synth.synth)
app.add_typer(data.app, name="data", rich_help_panel=WORKSTATION)
app.command(rich_help_panel=WORKSTATION)(demo.demo)
app.add_typer(bundle.app, name="bundle", rich_help_panel=DEVICE)
app.add_typer(store.app, name="store", rich_help_panel=DEVICE)
app.command("build-engine", rich_help_panel=DEVICE)(build_engine.build_engine)
app.command(rich_help_panel=DEVICE)(engines.engines)
app.command(rich_help_panel=DEVICE)(enroll.enroll)
app.command(rich_help_panel=DEVICE)(verify.verify)
app.command(rich_help_panel=DEVICE)(identify.identify)
app.command(rich_help_panel=DEVICE)(classify.classify)
app.command(rich_help_panel=DEVICE)(serve.serve)
app.command(rich_help_panel=DEVICE)(selftest.selftest)


def main() -> None:
    """Entry point of the `sigedge` command."""
    try:
        app()
    except Exception:
        sys.exit(confess())
