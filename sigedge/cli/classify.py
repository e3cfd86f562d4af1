"""`sigedge classify`: whose signatures are these?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigedge.cli.console import Output, write_text
from sigedge.cli.guard import guard
from sigedge.cli.inputs import expand_images
from sigedge.cli.types import JsonOption, ThreadsOption

if TYPE_CHECKING:
    from sigedge.data import SkippedFile

SHOWN = 10


@guard()
def classify(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Bundle or checkpoint of a classifier.", show_default=False)
    ],
    images: Annotated[
        list[Path], typer.Argument(metavar="FOLDER", help="Folder of images, or images.", show_default=False)
    ],
    table: Annotated[
        Path | None, typer.Option("--csv", help="Write a row for each image to this file.", show_default=False)
    ] = None,
    threads: ThreadsOption = 1,
    json: JsonOption = None,
) -> None:
    """Say of each image whose signature it is, of the people MODEL knows, or that it is nobody's."""
    from sigedge.systems.signauth.predict import SignatureClassifier, predictions_csv
    from sigedge_runtime.errors import DataError

    paths, skipped = expand_images(images), list["SkippedFile"]()
    output = Output(json)
    with SignatureClassifier.open(model, threads=threads) as classifier:
        predictions = list(classifier.classify_all(paths, skipped))
    for file in skipped[:SHOWN]:
        output.say(f"skipped: {file.reason}", "yellow")
    if not predictions:
        raise DataError(f"Not one of {len(paths)} images shows a usable signature; look at the reasons above.")
    if table is not None:
        folder = images[0] if len(images) == 1 and images[0].is_dir() else Path()
        write_text(table, predictions_csv(predictions, folder))
    counts = Counter(found.label or "nobody known" for _, found in predictions)
    output.table("Signatures", ("whose", "images"), counts.items())
    output.say(f"{len(predictions)} images classified, {len(skipped)} skipped.")
    if table is not None:
        output.say(f"Predictions: {table}", "green")
    output.result(
        {
            "model": classifier.name,
            "threshold": classifier.threshold,
            "predictions": [{"file": str(path), **found.to_dict()} for path, found in predictions],
            "skipped": [{"path": str(file.path), "reason": file.reason} for file in skipped],
        }
    )
