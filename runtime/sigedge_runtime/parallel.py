"""Many signatures at a time, for servers: a few threads, each with an engine of its own.

Canvases are not batched: an int8 network of one canvas on each core is faster than a batch of floats (docs/engines.md),
and gives each signature the bits it would have had alone. NumPy, OpenCV and the engines let go of Python's lock while
they compute, so threads share a process, and with it the templates and the code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._machine import usable_cores
from sigedge_runtime.engines import Engine
from sigedge_runtime.errors import EngineError, SigedgeError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Handing a task to a thread costs about as much as a tenth of a verdict; one hand-over serves several.
CHUNK = 8


class Workers:
    """Threads that share a task, and as many engines on one file; a context manager."""

    def __init__(self, engine: Engine, count: int | None = None) -> None:
        """Start `count` workers, None for one on each usable core; the first uses `engine` itself, the others clones.

        Raises:
            EngineError: the count is below 1, or a clone cannot be opened.
        """
        self.count = usable_cores() if count is None else count
        if self.count < 1:
            raise EngineError(f"{self.count} workers do nothing; use 1 or more.")
        self._clones: list[Engine] = []
        self._free: SimpleQueue[Engine] = SimpleQueue()
        self._free.put(engine)
        try:
            for _ in range(self.count - 1):
                self._clones.append(engine.clone())
                self._free.put(self._clones[-1])
        except BaseException:
            self._close_clones()
            raise
        self._threads = ThreadPoolExecutor(self.count, "sigedge")

    def map(self, task: Callable[[Item, Engine], Result], items: Sequence[Item]) -> list[Result | SigedgeError]:
        """Do a task for each item, on an engine that no other task uses meanwhile.

        Args:
            task: called with an item and an open engine, from any of the threads.
            items: what to do it for.

        Returns:
            In the order of the items: the result, or the error that ended this item's task alone.
        """

        def run(chunk: Sequence[Item]) -> list[Result | SigedgeError]:
            with self._engine() as engine:
                return [_attempt(task, item, engine) for item in chunk]

        chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
        return [result for part in self._threads.map(run, chunks) for result in part]

    def infer(self, canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Outputs float32 [N, D] for canvases uint8 [N, H, W]: the same bits as by `Engine.infer`, in order.

        Raises:
            EngineError: a canvas cannot be inferred.
        """
        found = self.map(lambda canvas, engine: engine.infer(canvas), list(canvases))
        for one in found:
            if isinstance(one, SigedgeError):
                raise one
        with self._engine() as engine:
            return np.array(found, np.float32).reshape(-1, engine.artifact.output.shape[-1])

    def close(self) -> None:
        """Wait for the threads and close the clones; the engine that was given stays open."""
        self._threads.shutdown()
        self._close_clones()

    def __enter__(self) -> Workers:
        """The workers themselves."""
        return self

    def __exit__(self, *details: object) -> None:
        """Close."""
        self.close()

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        engine = self._free.get()
        try:
            yield engine
        finally:
            self._free.put(engine)

    def _close_clones(self) -> None:
        while self._clones:
            self._clones.pop().close()


def _attempt(task: Callable[[Item, Engine], Result], item: Item, engine: Engine) -> Result | SigedgeError:
    try:
        return task(item, engine)
    except SigedgeError as error:
        return error
