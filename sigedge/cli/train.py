"""`sigedge train`: from a recipe to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.inputs import default_data
from sigedge.cli.types import JsonOption


@guard(kept="The last checkpoint is kept; the same command goes on from there.")
def train(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="An architecture of sigedge_models.")] = "edgesig",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder with index.csv and splits.json.", show_default="SIGEDGE_DATA"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run.", show_default="runs/MODEL")] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="Recipe file (YAML).", show_default="the model's own")
    ] = None,
    initial: Annotated[
        Path | None,
        typer.Option("--initial", help="Checkpoint to start from, for fine-tuning.", show_default="random weights"),
    ] = None,
    quantization_aware: Annotated[
        bool, typer.Option("--quantization-aware", help="Fine-tune the --initial checkpoint for int8.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Batches in all.", show_default="the recipe's")
    ] = None,
    fold: Annotated[int, typer.Option("--fold", min=0, help="Test fold, never read.")] = 0,
    cache: Annotated[Path, typer.Option("--cache", help="Folder for canvases and synthetic signers.")] = Path(".cache"),
    json: JsonOption = None,
) -> None:
    """Train MODEL; a run that was stopped goes on at its last checkpoint."""
    from sigedge.training import train as run_training

    folder = out or Path("runs") / (f"{name}-quantization-aware" if quantization_aware else name)
    checkpoint = run_training(
        name,
        data or default_data(),
        folder,
        recipe=recipe,
        initial=initial,
        cache=cache,
        steps=steps,
        fold=fold,
        quantization_aware=quantization_aware,
    )
    output = Output(json)
    output.say(f"Checkpoint: {checkpoint}", "green")
    output.say(f"Next: sigedge export {checkpoint} --out out/{name}")
    output.result({"checkpoint": str(checkpoint), "model": name, "fold": fold})
