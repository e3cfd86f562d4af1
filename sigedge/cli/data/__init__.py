"""`sigedge data`: look at a data set before trusting a figure made with it, and make it ready."""

from __future__ import annotations

import typer

from sigedge.cli.data import check, cut, index, leaks, prepare

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Index, check, probe, cut and prepare data sets of signatures.")
app.command()(index.index)
app.command()(check.check)
app.command()(cut.cut)
app.command()(leaks.leaks)
app.command()(prepare.prepare)
