"""The command line: `sigedge COMMAND`. One file a command, which imports nothing heavy before it runs."""

from __future__ import annotations

from sigedge.cli.root import app, main

__all__ = ["app", "main"]
