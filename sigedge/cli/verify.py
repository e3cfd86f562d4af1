"""`sigedge verify`: is this signature this person's?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.inputs import expand_images, require_store
from sigedge.cli.types import (
    BundleOption,
    EngineOption,
    JsonOption,
    KeyOption,
    OperatingPointOption,
    PrecisionOption,
    ThreadsOption,
)

if TYPE_CHECKING:
    from sigedge_runtime import Verdict


@guard()
def verify(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The signature in question.", show_default=False)],
    user: Annotated[
        str | None, typer.Option("--user", help="Enrolled user to compare with.", show_default=False)
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option("--store", help="SQLite file of the enrolled templates.", show_default=False),
    ] = None,
    key: KeyOption = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option("--reference", "-r", help="Genuine signature (or folder) to compare with.", show_default=False),
    ] = None,
    bundle: BundleOption = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = None,
    operating_point: OperatingPointOption = None,
    threads: ThreadsOption = 1,
    json: JsonOption = None,
) -> None:
    """Compare IMAGE with an enrolled user, or with --reference images; exit code 0 accepted, 1 not accepted."""
    _check_usage(user, store, reference)
    from sigedge_runtime import Verifier

    if store is not None:
        require_store(store)
    with Verifier.open(
        bundle,
        engine=engine,
        precision=precision,
        store=store,
        store_key=key,
        operating_point=operating_point,
        threads=threads,
    ) as verifier:
        if reference:
            verdict = verifier.compare(expand_images(reference), image)
        else:
            assert user is not None
            verdict = verifier.verify(user, image)
    output = Output(json)
    _show(output, image, verdict)
    output.result(verdict.to_dict())
    if not verdict.accepted:
        raise typer.Exit(REJECTED)


def _check_usage(user: str | None, store: Path | None, reference: list[Path] | None) -> None:
    """Either --user and --store, or --reference.

    Raises:
        BadParameter: neither, both or half of one was given.
    """
    if reference and (user or store):
        raise typer.BadParameter("--reference compares without a store; leave --user and --store out.")
    if not reference and not (user and store):
        raise typer.BadParameter("Give --user with --store, or one or more --reference images.")


def _show(output: Output, image: Path, verdict: Verdict) -> None:
    word, style = ("ACCEPTED", "bold green") if verdict.accepted else ("REJECTED", "bold red")
    if verdict.sign_again:
        word, style = "SIGN AGAIN", "bold yellow"
    output.say(f"{word}  {image}", style)
    output.say(
        f"score {verdict.score:.3f}, threshold {verdict.threshold:.3f} ({verdict.operating_point}, "
        f"{verdict.references} reference{'s' * (verdict.references != 1)}), "
        f"probability of genuine {verdict.probability:.2f} at equal priors, "
        f"log likelihood ratio {verdict.log_likelihood_ratio:+.1f}, {verdict.timings.total:.1f} ms"
    )
    if verdict.sign_again:
        output.say(f"{verdict.remedy} (quality {verdict.quality_index:.2f} of 1)", "yellow")
    if verdict.quality.issues:
        output.say(f"image quality: {verdict.quality.reasons}", "yellow")
