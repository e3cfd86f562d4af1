"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to, which takes the place of `target` when the block ends well.

    The content reaches the disc before the rename, so that neither an error nor a power cut leaves half a file under
    the name. On an error `target` is as it was and the other file is removed.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield partial
        _flush(partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(target: Path, content: bytes) -> Path:
    """Write bytes to `target`, all at once, and return it."""
    with atomic_path(target) as partial:
        partial.write_bytes(content)
    return target


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
