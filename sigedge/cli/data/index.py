"""`sigedge data index`: write the index of a data set."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigedge.cli.console import Output, write_text
from sigedge.cli.data.options import DatasetOption, LayoutOption, SourceArgument
from sigedge.cli.guard import guard
from sigedge.cli.types import JsonOption

if TYPE_CHECKING:
    from sigedge.data import Record


@guard()
def index(
    source: SourceArgument,
    out: Annotated[Path, typer.Option("--out", help="Index file to write.", show_default=False)],
    layout: LayoutOption = "auto",
    dataset: DatasetOption = None,
    json: JsonOption = None,
) -> None:
    """Write an index.csv of PATH: path, dataset, signer, label and sample of every image."""
    from sigedge.data import read_any

    records = read_any(source, layout, dataset)
    write_text(out, index_text(records, out.parent))
    signers = len({record.identity for record in records})
    output = Output(json)
    output.say(f"Indexed {len(records)} images of {signers} signers in {out}.", "green")
    output.result({"index": str(out), "images": len(records), "signers": signers})


def index_text(records: list[Record], folder: Path) -> str:
    """CSV text of the records, with paths relative to `folder`, where the index will lie."""
    from sigedge.data.readers import INDEX_COLUMNS

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(INDEX_COLUMNS)
    for record in records:
        path = Path(os.path.relpath(record.path, folder)).as_posix()
        writer.writerow((path, record.dataset, record.signer, record.label, record.sample))
    return text.getvalue()
