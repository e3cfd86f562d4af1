"""Timing the stages of a call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sigedge_runtime.results import Timings


class Clock:
    """Adds up what each stage of one call takes."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._spent = dict.fromkeys(("decode", "preprocess", "infer", "match"), 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as part of the stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._spent[name] += (time.perf_counter() - start) * 1e3

    def timings(self) -> Timings:
        """What was spent so far, milliseconds."""
        return Timings(**self._spent, total=(time.perf_counter() - self._start) * 1e3)
