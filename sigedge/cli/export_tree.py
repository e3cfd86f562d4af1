"""What `sigedge export` shows while it works: every hop with its state, and what is being proven."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sigedge.cli.console import Output

if TYPE_CHECKING:
    from rich.tree import Tree

    from sigedge_export import Hop

LOOKS = {
    "waiting": ("·", "dim"),
    "running": ("▸", "bold cyan"),
    "done": ("✓", "green"),
    "cached": ("✓", "green"),
}
"""Sign and style of each state."""


class ExportTree:
    """The hops and stages of one export, as a tree that is up to date whenever it is drawn."""

    def __init__(self) -> None:
        self._hops: dict[str, tuple[Hop, float]] = {}
        self._stages: list[tuple[str, float]] = []
        self._ended: float | None = None

    def watch(self, hop: Hop) -> None:
        """Take note of a hop's new state."""
        self._hops[hop.name] = (hop, time.monotonic())

    def stage(self, name: str) -> None:
        """Take note that a stage begins; the one before it is over."""
        self._stages.append((name, time.monotonic()))

    def end(self) -> None:
        """Take note that the last stage is over."""
        self._ended = time.monotonic()

    def __rich__(self) -> Tree:
        """The tree as of now."""
        from rich.tree import Tree

        tree = Tree("", hide_root=True, guide_style="dim")
        hops = tree.add("conversion") if self._hops else tree
        for hop, since in self._hops.values():
            seconds = time.monotonic() - since if hop.state == "running" else hop.seconds
            _add(hops, hop.state, f"{hop.name:<24} {hop.step:<22}", "reused" if hop.cached else f"{seconds:.1f} s")
        stages = tree.add("proof") if self._stages else tree
        ends = [*(since for _, since in self._stages[1:]), self._ended]
        for (name, since), end in zip(self._stages, ends, strict=False):
            state = "running" if end is None else "done"
            _add(stages, state, f"{name:<47}", f"{(end or time.monotonic()) - since:.1f} s")
        return tree


class PlainLines:
    """The same for a log file: a line when something begins, and for a hop one more with its time."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def watch(self, hop: Hop) -> None:
        """Print what has changed."""
        told = {"running": "...", "done": f"done in {hop.seconds:.1f} s", "cached": "reused"}
        if hop.state in told:
            self._output.status(f"{hop.name} by {hop.step}: {told[hop.state]}")

    def stage(self, name: str) -> None:
        """Print the name."""
        self._output.status(name)


@contextmanager
def shown(output: Output) -> Iterator[ExportTree | PlainLines]:
    """A tree that moves on a terminal, plain lines elsewhere."""
    tree = ExportTree()
    with output.live(tree) as moving:
        yield tree if moving else PlainLines(output)
        tree.end()


def _add(branch: Tree, state: str, text: str, time_taken: str) -> None:
    from rich.text import Text

    sign, style = LOOKS[state]
    branch.add(Text(f"{sign} {text} {'' if state == 'waiting' else time_taken:>8}", style=style))
