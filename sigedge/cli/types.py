"""Option and argument types that several commands share, so that a name means the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

ProgressCallback = Callable[[int, int], None]

BundleArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="BUNDLE",
        help="Bundle: a folder, a .zip, or edgesig-clean.",
        show_default="edgesig, shipped with sigedge",
    ),
]
BundleOption = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        "-b",
        help="Bundle: a folder, a .zip, or edgesig-clean.",
        show_default="edgesig, shipped with sigedge",
    ),
]
JsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="PATH", help="Write the result as JSON to PATH; '-' is stdout.", show_default=False),
]
EngineOption = Annotated[str, typer.Option("--engine", help="Inference engine; auto takes the fastest here.")]
PrecisionOption = Annotated[
    str | None,
    typer.Option("--precision", help="float32, float16 or int8.", show_default="the engine's default"),
]
OperatingPointOption = Annotated[
    str | None,
    typer.Option("--operating-point", help="Named threshold of the bundle.", show_default="the bundle's default"),
]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, help="Threads of the inference engine.")]
AutoThreadsOption = Annotated[
    str,
    typer.Option("--threads", metavar="N|auto", help="Threads of the inference engine; auto: as many as are fastest."),
]
StoreOption = Annotated[Path, typer.Option("--store", help="SQLite file of the enrolled templates.")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEYSOURCE",
        help="Key of an encrypted store: file:PATH, keyring:NAME or env:NAME.",
        show_default="$SIGEDGE_STORE_KEY",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything drawn at random.")]
RealIndexOption = Annotated[
    Path | None,
    typer.Option("--index", help="Index of real signatures to prove parity on.", show_default="synthetic signatures"),
]
DatasetsOption = Annotated[
    list[str] | None,
    typer.Option("--dataset", help="Data set of the index; may be repeated.", show_default="every one with the part"),
]
SplitsOption = Annotated[
    Path | None, typer.Option("--splits", help="Split file.", show_default="splits.json beside the index")
]
FoldOption = Annotated[int, typer.Option("--fold", min=0, help="Test fold of data sets that are split by folds.")]
SplitOption = Annotated[
    str, typer.Option("--split", help="validation or test: whose pairs; nothing may be chosen on test signers.")
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option("--checkpoint", help="The PyTorch weights.", show_default="models/weights/MODEL.safetensors"),
]


def thread_count(text: str) -> int | None:
    """The number in an `AutoThreadsOption`; None for ``auto``.

    Raises:
        BadParameter: it is neither.
    """
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise typer.BadParameter(f"--threads {text!r} is neither auto nor a number above 0.")
    return int(text)
