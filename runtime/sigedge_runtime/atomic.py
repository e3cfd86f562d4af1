"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """A path beside `target` to write to, which takes the place of `target` when the block ends well.

    On an error `target` is as it was and the other file is removed. That file is hidden, and named after the process
    and the thread, so that two writers of one target never share it. Its mode is that of any file made anew.

    Args:
        target: of the file; its folder is made.
        durable: bring the content to the disc before the rename, so that not even a power cut leaves half a file under
            the name. Without it only errors and interruptions are covered: enough for many small files that can be
            made again.

    Raises:
        OSError: the folder cannot be made, or the file not be written or replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield partial
        if durable:
            _flush(partial)
        os.replace(partial, target)
    finally:
        # Whatever hinders the removal hindered the writing, and that error says more.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_atomically(target: Path, content: bytes, *, durable: bool = True) -> Path:
    """Write bytes to `target`, all at once, and return it; see `atomic_path`."""
    with atomic_path(target, durable=durable) as partial:
        partial.write_bytes(content)
    return target


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
