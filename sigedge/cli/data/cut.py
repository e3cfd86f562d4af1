"""`sigedge data cut`: signatures cut out of labelled sheets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.types import JsonOption


@guard(kept="The signatures cut so far stay; the same command goes on from there.")
def cut(
    sheets: Annotated[Path, typer.Argument(metavar="SHEETS", help="Folder with genuine/ and forged/, each COCO.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the data set.")],
    json: JsonOption = None,
) -> None:
    """Cut the signatures out of SHEETS by the boxes of genuine/labels.json and forged/labels.json."""
    from sigedge.data import cut_signatures, read_folders

    output = Output(json)
    with output.progress("Cutting") as progress:
        cut_signatures(sheets, out, progress=progress)
    records = read_folders(out)
    signers = len({record.identity for record in records})
    output.say(f"Cut {len(records)} signatures of {signers} signers into {out}.", "green")
    output.result({"out": str(out), "images": len(records), "signers": signers})
