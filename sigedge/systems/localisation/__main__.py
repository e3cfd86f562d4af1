"""python -m sigedge.systems.localisation: find signatures on a page, and train and judge what finds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.inputs import default_data
from sigedge.cli.types import JsonOption, SeedOption

if TYPE_CHECKING:
    from sigedge.data import SkippedFile

app = typer.Typer(
    name="python -m sigedge.systems.localisation",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find signatures on a page, and train and judge what finds them.",
)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of the research data sets.", show_default="SIGEDGE_DATA")
]
ScorerOption = Annotated[
    Path | None,
    typer.Option("--scorer", help="File that train wrote.", show_default="the one shipped with sigedge"),
]


@app.command()
@guard()
def find(
    page: Annotated[Path, typer.Argument(metavar="PAGE", help="A whole page, scanned.", show_default=False)],
    minimum_score: Annotated[
        float | None,
        typer.Option("--minimum-score", min=0.0, max=1.0, help="Leave out worse boxes.", show_default="the scorer's"),
    ] = None,
    scorer: ScorerOption = None,
    json: JsonOption = None,
) -> None:
    """Print the boxes of the signatures on PAGE, best first."""
    from sigedge_runtime.images import read_image
    from sigedge_runtime.localisation import find_signatures, read_scorer

    judge = read_scorer(scorer) if scorer else None
    boxes = find_signatures(read_image(page), minimum_score=minimum_score, scorer=judge)
    output = Output(json)
    rows = [(box.left, box.top, box.width, box.height, f"{box.score:.2f}") for box in boxes]
    output.table(f"{page}: {len(boxes)} signatures", ("left", "top", "width", "height", "score"), rows)
    output.result({"page": str(page), "boxes": [box.to_dict() for box in boxes]})


@app.command()
@guard(kept="An older scorer is as it was.")
def train(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Scorer to write, JSON.", show_default=False)],
    data: DataOption = None,
    seed: SeedOption = 0,
) -> None:
    """Learn the scorer from training pages, and its minimum score from validation pages."""
    from sigedge.systems import localisation

    output = Output()
    path, skipped = localisation.train(data or default_data(), out, seed=seed, progress=output.status)
    _name_skipped(output, skipped)
    output.say(f"Scorer: {path}", "green")


@app.command()
@guard()
def evaluate(data: DataOption = None, scorer: ScorerOption = None, json: JsonOption = None) -> None:
    """Measure average precision and false alarms on the test pages."""
    from sigedge.evaluation.columns import TABLES
    from sigedge.systems import localisation

    output = Output(json)
    result = localisation.evaluate(data or default_data(), scorer=scorer, progress=output.status)
    table = TABLES["localisation"]
    rows = [[show(row) for _, show in table.columns] for row in table.rows(result)]
    output.table("Test pages", [heading for heading, _ in table.columns], rows)
    for name in result["skipped"]:
        output.say(f"skipped, unreadable: {name}", "yellow")
    output.result(result)


@app.command()
@guard()
def picture(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="PNG to write.", show_default=False)],
    seed: SeedOption = 0,
) -> None:
    """Draw a letter signed by synthetic signers and what is found on it."""
    from sigedge.systems.localisation.picture import write_picture

    boxes = write_picture(out, seed)
    Output().say(f"Picture: {out}, {len(boxes)} signatures found", "green")


def _name_skipped(output: Output, skipped: list[SkippedFile]) -> None:
    for file in skipped:
        output.say(f"skipped: {file.reason}", "yellow")


if __name__ == "__main__":
    app()
