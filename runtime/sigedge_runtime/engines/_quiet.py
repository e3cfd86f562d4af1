"""Keeping the start-up chatter of native libraries off stderr."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere for a moment: native code writes there past `sys.stderr`.

    The descriptor belongs to the whole process, so use it only around loading; errors still raise as usual.
    """
    with _lock:
        try:
            saved = os.dup(2)
        except OSError:  # a daemon may run without stderr
            yield
            return
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(sink, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(sink)
