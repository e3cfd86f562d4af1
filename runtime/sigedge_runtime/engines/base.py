"""The one place that checks and times inference; a back end adds three small methods."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._machine import has_module, module_stamp
from sigedge_runtime.engines._quiet import quiet_stderr
from sigedge_runtime.errors import EngineError, EngineUnavailableError
from sigedge_runtime.manifest import Artifact, Quantization, Tensor

if TYPE_CHECKING:
    from sigedge_runtime.engines.auto import EngineChoice

E = TypeVar("E", bound="Engine")


@dataclass(frozen=True)
class TensorFacts:
    """What a loaded file says of a tensor; quantization is None where the format does not tell."""

    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None


class Engine(ABC):
    """Runs one artefact; a context manager, warm once it is open, safe to call from several threads.

    A back end sets the class attributes and overrides `_load_impl`, `_infer_impl` and `_close_impl`.

    Attributes:
        name: how users choose it.
        formats: artefact formats it runs.
        module: Python module it needs.
        distribution: the package to install for it.
        automatic: whether ``auto`` may take it; engines that compute otherwise than the file says are taken by name.
        choice: why this engine was taken, where `open_engine` or `Verifier.open` did; else None.
        load_ms: time the last `open` took to import the library and load the file, milliseconds.
        warm_up_ms: time of the first inference, milliseconds.
    """

    name: ClassVar[str]
    formats: ClassVar[frozenset[str]]
    module: ClassVar[str]
    distribution: ClassVar[str]
    automatic: ClassVar[bool] = True

    def __init__(self, artifact: Artifact, path: Path, threads: int = 1) -> None:
        """Prepare to run `artifact`, stored at `path`, on that many CPU threads; `open` loads it.

        Raises:
            EngineError: the engine does not run this format, or threads is below 1.
        """
        if artifact.format not in self.formats:
            runs = ", ".join(sorted(self.formats))
            raise EngineError(f"The engine {self.name} runs {runs}, not {artifact.name}; choose another engine.")
        if threads < 1:
            raise EngineError(f"The engine {self.name} cannot run on {threads} threads; use 1 or more.")
        self.artifact, self.path, self.threads = artifact, path, threads
        self.choice: EngineChoice | None = None
        self.load_ms = self.warm_up_ms = 0.0
        self._canvas_shape, self._input_shape = artifact.input.canvas_shape, artifact.input.shape
        self._fallbacks: tuple[str, ...] | None = None
        self._lock = threading.Lock()
        self._open = False

    @classmethod
    def installed(cls) -> bool:
        """Whether the library is there to be imported; nothing is imported, so it may still fail to load."""
        return has_module(cls.module)

    @classmethod
    def stamp(cls) -> str:
        """Changes when the installed library does; nothing is imported."""
        return module_stamp(cls.module)

    @classmethod
    def library(cls) -> ModuleType:
        """Import the back end's library.

        Raises:
            EngineUnavailableError: it is not installed, or does not load here.
        """
        try:
            with quiet_stderr():
                return import_module(cls.module)
        except Exception as error:  # a broken native library raises anything
            raise EngineUnavailableError(
                f"The engine {cls.name} cannot be loaded ({error}); install {cls.distribution}."
            ) from None

    @classmethod
    def version(cls) -> str:
        """Version of the installed library; ``unknown`` when it carries no metadata."""
        from importlib.metadata import PackageNotFoundError, version  # takes a cold process longer than most engines

        try:
            return version(cls.distribution)
        except PackageNotFoundError:
            return "unknown"

    def open(self: E) -> E:
        """Load the file, hold it against the manifest and run it once; an open engine stays as it is.

        Raises:
            EngineUnavailableError: the library is not installed.
            EngineError: the file does not load, is not what the manifest says, or computes no finite numbers.
        """
        if self._open:
            return self
        self._fallbacks = None
        start = time.perf_counter()
        library = self.library()
        try:
            with quiet_stderr():
                found_input, found_output = self._load_impl(library)
                self._open = True
                self._check("input", self.artifact.input, found_input)
                self._check("output", self.artifact.output, found_output)
                self.load_ms = _elapsed_ms(start)
                start = time.perf_counter()
                self.infer(np.zeros(self.canvas_shape, np.uint8))
                self.warm_up_ms = _elapsed_ms(start)
        except EngineError:
            self.close()
            raise
        except Exception as error:  # back ends raise ValueError, RuntimeError and types of their own
            self.close()
            raise self._error(f"cannot load it ({_first_line(error)}); export it again") from error
        return self

    @property
    def canvas_shape(self) -> tuple[int, int]:
        """Height and width of the canvas it takes."""
        return self._canvas_shape

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """What runs otherwise than was asked for, a sentence each; empty when nothing does. Looked up when first asked.

        Raises:
            EngineError: the engine is closed.
        """
        with self._lock:
            if self._fallbacks is None:
                self._require_open()
                self._fallbacks = tuple(self._fallbacks_impl())
            return self._fallbacks

    def infer(self, canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the network on one canvas.

        Args:
            canvas: uint8 [H, W], values 0 to 255 as `harmonise` returns them.

        Returns:
            float32 [D]: an embedding that is not normalised, a classifier's scores, or an image in rows.

        Raises:
            EngineError: the engine is closed, the canvas has another shape or type, inference failed, or its
                result has another shape or is not finite.
        """
        if canvas.dtype != np.uint8 or canvas.shape != self._canvas_shape:
            raise EngineError(
                f"A canvas must be uint8 {list(self.canvas_shape)}, not {canvas.dtype} {list(canvas.shape)}; "
                "use `harmonise` with the bundle's preprocessing."
            )
        tensor = canvas.reshape(self._input_shape)
        with self._lock:
            self._require_open()
            real = self._real_values(self._run(tensor))
        if not np.isfinite(real).all():
            raise self._error("computed NaN or infinity; export it again from a sound checkpoint")
        return real

    def infer_batch(self, canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run on canvases uint8 [N, H, W] one by one, as a device does: float32 [N, D]; errors as in `infer`."""
        size = self.artifact.output.shape[-1]
        return np.array([self.infer(canvas) for canvas in canvases], np.float32).reshape(-1, size)

    def clone(self: E) -> E:
        """A second engine on the same file, open and with memory of its own, for another thread; see `open`."""
        twin = type(self)(self.artifact, self.path, self.threads)
        twin.choice = self.choice
        return twin.open()

    def close(self) -> None:
        """Free the model; closing twice does nothing."""
        with self._lock:
            if self._open:
                self._open = False
                self._close_impl()

    def __enter__(self: E) -> E:
        """Open the engine."""
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the engine."""
        self.close()

    @abstractmethod
    def _load_impl(self, library: Any) -> tuple[TensorFacts, TensorFacts]:
        """Load `self.path`; return what the file says of its input and its output."""

    @abstractmethod
    def _infer_impl(self, tensor: NDArray[np.uint8]) -> NDArray[Any]:
        """Run the model on canvas values 0 to 255 of the declared shape; the output as the file stores it.

        The back end copies the values into the memory that its library reads, and converts them on the way. What it
        returns may be a view of the library's memory: it is copied and dropped before the next call.
        """

    @abstractmethod
    def _close_impl(self) -> None:
        """Free what `_load_impl` made."""

    def _fallbacks_impl(self) -> list[str]:
        """What the library runs otherwise than was asked for, a sentence each."""
        return []

    def _require_open(self) -> None:
        if not self._open:
            raise EngineError(f"The engine {self.name} is closed; open it again.")

    def _check(self, role: str, declared: Tensor, found: TensorFacts) -> None:
        """The file's own words against the manifest's."""
        same = declared.shape == found.shape and declared.dtype == found.dtype
        if same and found.quantization is not None and declared.quantization is not None:
            same = _same_quantization(declared.quantization, found.quantization)
        if not same:
            raise self._error(f"finds {found} as {role} where the manifest says {declared}; export it again")

    def _run(self, tensor: NDArray[np.uint8]) -> NDArray[Any]:
        try:
            return self._infer_impl(tensor)
        except Exception as error:  # as in open
            raise self._error(f"failed ({_first_line(error)}); run the self-test") from error

    def _real_values(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Check an output's shape and type, and dequantise a copy of it: float32 [D]."""
        output = self.artifact.output
        if raw.shape != output.shape or raw.dtype != output.dtype:
            problem = f"returned {raw.dtype} {list(raw.shape)}; export it again"
            del raw  # a traceback that keeps a view of its memory alive would stop a library from running again
            raise self._error(problem)
        real = raw.astype(np.float32).reshape(-1)
        if output.quantization is not None:
            real -= np.float32(output.quantization.zero_point)
            real *= np.float32(output.quantization.scale)
        return real

    def _error(self, problem: str) -> EngineError:
        return EngineError(f"{self.path}: the engine {self.name} {problem}.")


def _same_quantization(one: Quantization, other: Quantization) -> bool:
    return one.zero_point == other.zero_point and math.isclose(one.scale, other.scale, rel_tol=1e-6)


def _elapsed_ms(start: float) -> float:
    return (time.perf_counter() - start) * 1e3


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
