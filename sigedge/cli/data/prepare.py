"""`sigedge data prepare`: images of any size made ready for the classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.types import JsonOption

SHOWN = 10


@guard(kept="The images prepared so far stay; the same command goes on from there.")
def prepare(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder that holds train/, test/ and predict/.")] = Path(
        "data"
    ),
    process: Annotated[
        str | None,
        typer.Option("--process", help="Which of train, test, predict; a list with commas.", show_default="all there"),
    ] = None,
    scan: Annotated[bool, typer.Option("--scan", help="Keep the ink alone, black on white.")] = False,
    backup: Annotated[bool, typer.Option("--backup", help="Copy what is replaced to DATA/backup first.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the images instead of writing to DATA/prepared.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Make the images of DATA square and 256x256; name and count those that cannot be used."""
    from sigedge.systems.signauth import prepare as preparation

    folders = None if process is None else [name.strip() for name in process.split(",")]
    output = Output(json)
    with output.progress("Preparing") as progress:
        report = preparation.prepare(data, folders, scan=scan, backup=backup, overwrite=overwrite, progress=progress)
    where = data if overwrite else data / preparation.PREPARED
    output.say(
        f"Prepared {report.prepared} images in {where}; {report.already} were ready, {report.kept} kept as they were, "
        f"{report.backed_up} originals copied to {data / preparation.BACKUP}, {len(report.skipped)} skipped."
    )
    for skipped in report.skipped[:SHOWN]:
        output.say(f"skipped: {skipped.reason}", "yellow")
    if len(report.skipped) > SHOWN:
        output.say(f"and {len(report.skipped) - SHOWN} more; --json names them all", "yellow")
    output.result(report.to_dict())
