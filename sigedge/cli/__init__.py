"""The command line: `sigedge COMMAND`. One file a command, which imports nothing heavy before it runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigedge.cli.root import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the `sigedge` command; a plain `sigedge verify` does without the rest of the command line."""
    from sigedge.cli.quick import run_quickly

    code = run_quickly(sys.argv[1:])
    if code is not None:
        sys.exit(code)
    from sigedge.cli.root import main as run_any

    run_any()


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sigedge.cli.root import app

    return app
