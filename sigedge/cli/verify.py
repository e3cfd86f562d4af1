"""`sigedge verify`: is this signature this person's?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sigedge.cli.guard import guard
from sigedge.cli.types import (
    AutoThreadsOption,
    BundleOption,
    EngineOption,
    JsonOption,
    KeyOption,
    OperatingPointOption,
    PrecisionOption,
    thread_count,
)
from sigedge.cli.verdict import Request, decide


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
    threads: AutoThreadsOption = "1",
    json: JsonOption = None,
) -> None:
    """Compare IMAGE with an enrolled user, or with --reference images; exit code 0 accepted, 1 not accepted."""
    _check_usage(user, store, reference)
    count = thread_count(threads)
    request = Request(image, user, store, key, reference, bundle, engine, precision, operating_point, count, json)
    if code := decide(request):
        raise typer.Exit(code)


def _check_usage(user: str | None, store: Path | None, reference: list[Path] | None) -> None:
    """Either --user and --store, or --reference.

    Raises:
        BadParameter: neither, both or half of one was given.
    """
    if reference and (user or store):
        raise typer.BadParameter("--reference compares without a store; leave --user and --store out.")
    if not reference and not (user and store):
        raise typer.BadParameter("Give --user with --store, or one or more --reference images.")
