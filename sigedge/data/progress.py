"""A progress bar that is silent when nobody is watching."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


def track(items: Iterable[Item], description: str, *, total: int | None = None, enabled: bool = True) -> Iterator[Item]:
    """Yield `items`, showing a bar on standard error when that is a terminal.

    Args:
        items: what to go through.
        description: what is being done, e.g. ``"Preprocessing"``.
        total: number of items; taken from ``len(items)`` where that is known.
        enabled: False keeps silent even on a terminal.
    """
    console = Console(stderr=True)
    if not (enabled and console.is_terminal):
        yield from items
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, total=total, description=description)
