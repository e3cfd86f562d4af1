"""`sigedge identify`: whose signature is this?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.inputs import require_store
from sigedge.cli.types import (
    AutoThreadsOption,
    BundleOption,
    EngineOption,
    JsonOption,
    KeyOption,
    OperatingPointOption,
    PrecisionOption,
    StoreOption,
    thread_count,
)


@guard()
def identify(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The signature in question.", show_default=False)],
    store: StoreOption,
    key: KeyOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Number of candidates to show.")] = 5,
    bundle: BundleOption = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = None,
    operating_point: OperatingPointOption = None,
    threads: AutoThreadsOption = "1",
    json: JsonOption = None,
) -> None:
    """Rank the enrolled users by likeness to IMAGE; exit code 1 when the threshold accepts none of them."""
    from sigedge_runtime import Verifier

    count = thread_count(threads)
    require_store(store)
    with Verifier.open(
        bundle,
        engine=engine,
        precision=precision,
        store=store,
        store_key=key,
        operating_point=operating_point,
        threads=count,
    ) as verifier:
        found = verifier.identify(image, limit=limit)
    output = Output(json)
    rows = [(c.user, f"{c.probability:.2f}", f"{c.score:.3f}", _answer(c.accepted)) for c in found.candidates]
    output.table(f"{image}, {found.enrolled} enrolled", ("user", "probability", "score", "accepted"), rows)
    if found.sign_again:
        output.say(f"{found.remedy} (quality {found.quality_index:.2f} of 1)", "yellow")
    output.result(found.to_dict())
    if not any(candidate.accepted for candidate in found.candidates):
        raise typer.Exit(REJECTED)


def _answer(accepted: bool) -> str:
    return "yes" if accepted else "no"
