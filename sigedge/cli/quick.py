"""`sigedge verify` without the libraries of the command line, which take longer to import than a verdict takes.

Only what is surely meant is taken here. Whatever else is typed, help and mistakes included, is left to the whole
command line, so that there is one place for what commands take and say: `sigedge.cli.verify`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from sigedge.cli.guard import run_guarded
from sigedge.cli.verdict import Request, decide


class _NotPlainError(Exception):
    """What was typed is for the whole command line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _NotPlainError


def run_quickly(arguments: list[str]) -> int | None:
    """Run a plain `verify`; returns its exit code, or None when the whole command line must have a look."""
    request = read_request(arguments)
    return None if request is None else run_guarded(lambda: decide(request))


def read_request(arguments: list[str]) -> Request | None:
    """What a plain `verify` asks for; None for anything else."""
    if arguments[:1] != ["verify"] or "--" in arguments:
        return None
    try:
        found = _parser().parse_args(arguments[1:])
    except _NotPlainError:
        return None
    request = Request(**vars(found))
    return request if request.is_complete else None


def _parser() -> _Parser:
    """The options of `sigedge.cli.verify`, by name; a test holds one list against the other."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("image", type=Path)
    parser.add_argument("--user")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--key")
    parser.add_argument("--reference", "-r", type=Path, action="append")
    parser.add_argument("--bundle", "-b", type=Path)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision")
    parser.add_argument("--operating-point")
    parser.add_argument("--threads", type=_threads, default=1)
    parser.add_argument("--json")
    return parser


def _threads(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise _NotPlainError
    return int(text)
