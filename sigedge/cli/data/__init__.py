"""`sigedge data`: look at a data set before trusting a figure made with it."""

from __future__ import annotations

import typer

from sigedge.cli.data import check, index, leaks

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Index, check and probe data sets of signatures.")
app.command()(index.index)
app.command()(check.check)
app.command()(leaks.leaks)
