"""`sigedge synth`: a data set of synthetic signers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.types import JsonOption, SeedOption


@guard(kept="The images written so far stay; the same command goes on from there.")
def synth(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="New or empty folder.", show_default=False)],
    signers: Annotated[int, typer.Option("--signers", min=1, help="Number of signers.")] = 10,
    genuine: Annotated[int, typer.Option("--genuine", min=1, help="Genuine samples of each.")] = 10,
    forged: Annotated[int, typer.Option("--forged", min=0, help="Skilled forgeries of each.")] = 10,
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """Write synthetic signers into FOLDER as signer_NNNN/genuine/NN.png and signer_NNNN/forged/NN.png."""
    from sigedge.synthesis import write_dataset

    output = Output(json)
    with output.progress("Synthesising") as progress:
        folder = write_dataset(out, signers=signers, genuine=genuine, forged=forged, seed=seed, progress=progress)
    output.say(f"Wrote {signers * (genuine + forged)} images of {signers} signers to {folder}.", "green")
    output.result({"folder": str(folder), "signers": signers, "genuine": genuine, "forged": forged, "seed": seed})
