"""Many signatures at a time, for servers: a few processes, each with an engine of its own.

Canvases are not batched: an int8 network of one canvas on each core is faster than a batch of floats (docs/engines.md),
and gives each signature the bits it would have had alone. Threads would spend much of their time waiting for Python's
lock, so images go to other processes, with the references that they are compared with. The store stays in this one.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._machine import usable_cores
from sigedge_runtime.errors import EngineError, SigedgeError
from sigedge_runtime.images import ImageSource
from sigedge_runtime.judging import Claim, Desk
from sigedge_runtime.results import Embedding, Verdict

# An image, and whose signature it is said to be; None asks for the embedding alone.
Task: TypeAlias = "tuple[Claim | None, ImageSource]"

# Handed to a process at once, at most: images, since that takes some tenths of a millisecond whatever their number, and
# bytes of their pixels, unless one image alone has more.
CHUNK = 32
CHUNK_BYTES = 2**25
# The other process imports what this one would. It reads what to do from its standard input, until that is closed.
_PROGRAM = (
    "import json, sys; path, file = json.loads(sys.argv[1]); sys.path[:] = path; "
    "from sigedge_runtime.parallel import serve; serve(file)"
)
# Shared pixels start on a line of the processor's cache.
_LINE = 64


class Workers:
    """Processes that embed and judge beside this one; a context manager, safe to share between threads.

    The first worker is this process itself. A process that ends by itself is started anew for the next images.
    """

    def __init__(self, desk: Desk, count: int | None = None) -> None:
        """Start `count` workers, None for one on each usable core.

        Raises:
            EngineError: the count is below 1, or a process does not start.
        """
        self.count = usable_cores() if count is None else count
        if self.count < 1:
            raise EngineError(f"{self.count} workers do nothing; use 1 or more.")
        self._desk = desk
        self._others: list[_Process] = []
        self._free: SimpleQueue[_Process | None] = SimpleQueue()
        self._free.put(None)  # this process
        try:
            # All are started before the first is waited for.
            for _ in range(self.count - 1):
                self._others.append(_Process(desk))
            for other in self._others:
                other.wait()
                self._free.put(other)
        except BaseException:
            self._stop()
            raise
        self._threads = ThreadPoolExecutor(self.count, "sigedge")

    def embed(self, images: Sequence[ImageSource]) -> list[Embedding | SigedgeError]:
        """In the order of the images: their embeddings, or the errors that `Embedder.embed` raises for them."""
        return self._share([(None, image) for image in images])

    def verify(self, claims: Sequence[tuple[Claim, ImageSource]]) -> list[Verdict | SigedgeError]:
        """In the order of the claims: the verdicts, or the errors that `Desk.verify` raises for them."""
        return self._share(claims)

    def close(self) -> None:
        """Wait for what is being done, and end the processes."""
        self._threads.shutdown(cancel_futures=True)
        self._stop()

    def __enter__(self) -> Workers:
        """The workers themselves."""
        return self

    def __exit__(self, *details: object) -> None:
        """Close."""
        self.close()

    def _share(self, tasks: Sequence[Task]) -> list[Any]:
        # Small enough that all workers end at about the same time.
        chunks = _chunks(tasks, min(CHUNK, -(-len(tasks) // (4 * self.count))))
        answers = [answer for part in self._threads.map(self._do, chunks) for answer in part]
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, SigedgeError):
                raise answer
        return answers

    def _do(self, tasks: Sequence[Task]) -> list[Any]:
        with self._worker() as worker:
            return [_attempt(self._desk, *task) for task in tasks] if worker is None else worker.do(tasks)

    @contextmanager
    def _worker(self) -> Iterator[_Process | None]:
        worker = self._free.get()
        try:
            yield worker
        finally:
            self._free.put(worker)

    def _stop(self) -> None:
        while self._others:
            self._others.pop().close()


class _Process:
    """Another Python that does tasks; its standard input and output are pipes of pickles to and from this one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = pickle.dumps(desk)
        self._pixels = _SharedPixels.create()
        self._start()

    def wait(self) -> None:
        """Until it is ready.

        Raises:
            EngineError: it is not, and why.
        """
        if isinstance(problem := self._read(), Exception):
            self.close()
            raise problem

    def do(self, tasks: Sequence[Task]) -> list[Any]:
        """What each task gives or raises."""
        try:
            if self._running.poll() is not None:
                self._end()
                self._start()
                self.wait()
            images = self._pixels.shared([_portable(image) for _, image in tasks])
            self._write(pickle.dumps([(claim, image) for (claim, _), image in zip(tasks, images, strict=True)]))
            found: list[Any] = self._read()
        except EngineError as error:
            return [error] * len(tasks)
        except (OSError, MemoryError) as error:
            return [
                EngineError(f"Images cannot be handed to a worker ({error}); free memory, or use fewer workers.")
            ] * len(tasks)
        return found

    def close(self) -> None:
        """Let it end, and wait for that."""
        self._end()
        self._pixels.close()

    def _end(self) -> None:
        for pipe in (self._running.stdin, self._running.stdout):
            with suppress(OSError):  # it may have ended before it read all
                pipe.close()  # type: ignore[union-attr]
        self._running.wait()

    def _start(self) -> None:
        file = self._pixels.file
        command = [sys.executable, "-c", _PROGRAM, json.dumps([sys.path, file])]
        inherited = () if file is None else (file,)
        try:
            self._running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=inherited)
        except (OSError, ValueError, TypeError) as error:  # TypeError: an embedded Python does not know where it is
            raise EngineError(
                f"A worker process cannot be started ({error}); verify with workers=1, or free memory and processes."
            ) from None
        self._write(self._desk)

    def _write(self, message: bytes) -> None:
        with suppress(OSError):  # the answer, or that there is none, tells
            self._running.stdin.write(message)  # type: ignore[union-attr]
            self._running.stdin.flush()  # type: ignore[union-attr]

    def _read(self) -> Any:
        try:
            return pickle.load(self._running.stdout)  # type: ignore[arg-type]  # what this very program wrote
        except (EOFError, OSError, pickle.UnpicklingError):
            self._end()
            raise EngineError(
                f"A worker process ended by itself (exit code {self._running.returncode}); give the machine more "
                "memory, or use fewer workers."
            ) from None


class _Place(NamedTuple):
    """Where an image lies among shared pixels: its first byte, and its shape."""

    start: int
    shape: tuple[int, ...]


class _SharedPixels:
    """Memory that two processes see, so that pixels are copied once; where a system has none, images are sent whole.

    It is no file of any folder: signatures are never written to a disk.
    """

    def __init__(self, file: int | None) -> None:
        self.file = file
        self._memory: mmap.mmap | None = None

    @classmethod
    def create(cls) -> _SharedPixels:
        """New memory, empty; `file` is for the other process to inherit."""
        return cls(os.memfd_create("sigedge-pixels") if hasattr(os, "memfd_create") else None)

    def shared(self, images: Sequence[ImageSource]) -> list[ImageSource | _Place]:
        """Copy arrays of pixels into the memory: the images, each array replaced by its place."""
        if self.file is None:
            return list(images)
        sent: list[ImageSource | _Place] = []
        pixels: list[tuple[int, NDArray[np.uint8]]] = []
        size = 0
        for image in images:
            if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size:
                sent.append(_Place(size, image.shape))
                pixels.append((size, image))
                size += -(-image.nbytes // _LINE) * _LINE
            else:
                sent.append(image)
        if size > os.fstat(self.file).st_size:
            os.ftruncate(self.file, size)
        for start, image in pixels:
            np.copyto(self._at(_Place(start, image.shape)), image)
        return sent

    def received(self, image: ImageSource | _Place) -> ImageSource:
        """The image that the other process shared, without copying it; valid until the next are asked for."""
        return self._at(image) if isinstance(image, _Place) else image

    def close(self) -> None:
        """Free the memory when the other process does, too."""
        if self.file is not None:
            os.close(self.file)
        self.file = self._memory = None

    def _at(self, place: _Place) -> NDArray[np.uint8]:
        assert self.file is not None
        if self._memory is None or place.start + math.prod(place.shape) > len(self._memory):
            self._memory = mmap.mmap(self.file, os.fstat(self.file).st_size)
        return np.ndarray(place.shape, np.uint8, self._memory, place.start)


def serve(file: int | None) -> None:
    """Be the other process: open the desk that is read first, then do one list of tasks after another.

    Args:
        file: of the shared pixels.
    """
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked; when it ends, so does this
    cv2.setNumThreads(1)  # the cores are shared out already
    # Whatever a library prints is no answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    questions, pixels = sys.stdin.buffer, _SharedPixels(file)
    desk: Desk | None = None
    with suppress(EOFError, BrokenPipeError):
        while True:
            found: object
            try:
                if desk is None:
                    desk, found = pickle.load(questions), None
                else:
                    tasks = pickle.load(questions)
                    found = [_attempt(desk, claim, pixels.received(image)) for claim, image in tasks]
            except SigedgeError as error:
                found = error
            pickle.dump(found, answers, protocol=5)
            answers.flush()


def _chunks(tasks: Sequence[Task], most: int) -> Iterator[list[Task]]:
    """The tasks in order, at most so many and `CHUNK_BYTES` of pixels together."""
    chunk: list[Task] = []
    size = 0
    for task in tasks:
        pixels = task[1].nbytes if isinstance(task[1], np.ndarray) else 0
        if chunk and (len(chunk) == most or size + pixels > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(task)
        size += pixels
    if chunk:
        yield chunk


def _attempt(desk: Desk, claim: Claim | None, image: ImageSource) -> Embedding | Verdict | Exception:
    try:
        return desk.embedder.embed(image) if claim is None else desk.verify(claim, image)
    except Exception as error:  # raised where it was asked for
        return error


def _portable(image: ImageSource) -> ImageSource:
    """The same image of a type that the other process knows."""
    if isinstance(image, np.ndarray):
        return np.asarray(image)
    return os.fspath(image) if isinstance(image, os.PathLike) else image
