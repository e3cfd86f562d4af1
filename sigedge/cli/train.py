"""`sigedge train`: from a recipe to a checkpoint."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

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
    classes: Annotated[
        int | None, typer.Option("--classes", min=2, help="Classes of a classifier.", show_default="the recipe's")
    ] = None,
    update: Annotated[
        Path | None,
        typer.Option("--update", help="Classifier's checkpoint to go on from, with more classes.", show_default=False),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Train MODEL; a run that was stopped goes on at its last checkpoint."""
    from sigedge.systems import has_system

    if has_system(name):
        growth = {"classes": classes, "update": update}
        _train_system(Output(json), name, data, out, recipe, cache, steps, initial, growth)
        return
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


def _train_system(
    output: Output,
    name: str,
    data: Path | None,
    out: Path | None,
    recipe: Path | None,
    cache: Path,
    steps: int | None,
    initial: Path | None,
    growth: dict[str, Any],
) -> None:
    """Train every network of a system."""
    from sigedge.systems import load_system
    from sigedge_runtime.errors import RecipeError

    system = load_system(name)
    extra = {option: value for option, value in growth.items() if value is not None}
    if unknown := set(extra) - set(inspect.signature(system.train).parameters):
        raise RecipeError(f"{name} takes no --{', --'.join(sorted(unknown))}; leave it out.")
    made = system.train(
        data or default_data(),
        out or Path("runs") / name,
        recipe=recipe,
        cache=cache,
        steps=steps,
        initial=initial,
        **extra,
    )
    for network, checkpoint in made.items():
        output.say(f"Checkpoint of {network}: {checkpoint}", "green")
        output.say(f"Next: sigedge export {checkpoint} --out out/{checkpoint.stem}")
    output.result({"model": name, "checkpoints": {network: str(path) for network, path in made.items()}})
