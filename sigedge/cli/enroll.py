"""`sigedge enroll`: remember a person's genuine signatures."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.inputs import expand_images
from sigedge.cli.types import (
    AutoThreadsOption,
    BundleOption,
    EngineOption,
    JsonOption,
    KeyOption,
    PrecisionOption,
    StoreOption,
    thread_count,
)


@guard(kept="The store is as it was before: an enrolment is stored as a whole or not at all.")
def enroll(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Genuine signatures, or a folder.", show_default=False),
    ],
    user: Annotated[str, typer.Option("--user", help="Name to enrol under.", show_default=False)],
    store: StoreOption,
    key: KeyOption = None,
    bundle: BundleOption = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = None,
    threads: AutoThreadsOption = "1",
    replace: Annotated[bool, typer.Option("--replace", help="Drop the user's earlier templates.")] = False,
    json: JsonOption = None,
) -> None:
    """Enrol genuine signatures IMAGE... of one user, all of them or none, and advise on the references."""
    from sigedge_runtime import StoreError, TemplateStore, Verifier
    from sigedge_runtime.enrolment import enrol

    count = thread_count(threads)
    if not user.strip():
        raise StoreError("The name of a user must not be blank; give one with --user.")
    paths = expand_images(images)
    # The store is opened last, so that an unusable image does not leave a new and empty one behind.
    with Verifier.open(bundle, engine=engine, precision=precision, threads=count) as verifier:
        embeddings = [verifier.embed(path) for path in paths]
        decision, point = verifier.manifest.verification, verifier.operating_point
    with closing(TemplateStore(store, key=key)) as templates:
        names = [str(path) for path in paths]
        enrolment = enrol(templates, user, embeddings, decision, point, names=names, replace=replace)
    output = Output(json)
    counted = f"{len(paths)} signature{'s' * (len(paths) != 1)}"
    output.say(f"Enrolled {user} with {counted} in {store} ({enrolment.templates} in all).", "green")
    for sentence in enrolment.guidance.sentences:
        output.say(sentence)
    output.result(
        {
            "user": user,
            "store": str(store),
            "images": names,
            "templates": enrolment.templates,
            "identity": enrolment.identity,
            "guidance": enrolment.guidance.to_dict(),
        }
    )
