"""Options that the data commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SourceArgument = Annotated[
    Path, typer.Argument(metavar="PATH", help="Folder of a data set, or its index.csv.", show_default=False)
]
LayoutOption = Annotated[
    str, typer.Option("--layout", help="index, cedar, bhsig260, sigcomp or folders; auto finds out.")
]
DatasetOption = Annotated[
    str | None,
    typer.Option("--dataset", help="Data set to take from an index, or name to give.", show_default="all"),
]
CacheOption = Annotated[Path, typer.Option("--cache", help="Folder of cached canvases and embeddings; safe to delete.")]
DEFAULT_CACHE = Path(".cache") / "canvases"
