"""What can run an artefact here: every engine of the runtime, and the frameworks for formats that no device runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge_export.process import run_step, step_folder
from sigedge_runtime import engines
from sigedge_runtime.manifest import Artifact


class Runner(ABC):
    """One engine, as the audit and the parity gate see it.

    Attributes:
        name: of the engine.
        version: of the engine, empty when it is missing.
        missing: why it cannot be used here; None when it can.
    """

    name: str
    version: str
    missing: str | None

    @abstractmethod
    def embed(self, artifact: Artifact, path: Path, canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed canvases uint8 [N, H, W] into float32 [N, D].

        Raises:
            EngineError: the engine cannot load or run the file, or the file is not what `artifact` declares.
            ExportError: a framework failed; the text names its log.
        """


class EngineRunner(Runner):
    """An engine of `sigedge_runtime`, exactly as a device uses it."""

    def __init__(self, name: str) -> None:
        status = engines.available()[name]
        self.name = name
        self.version = status.detail if status.available else ""
        self.missing = None if status.available else status.detail

    def embed(self, artifact: Artifact, path: Path, canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Runner.embed`."""
        with engines.open_engine(self.name, artifact, path) as engine:
            return engine.infer_batch(canvases)


class FrameworkRunner(Runner):
    """A framework in a child process.

    Args:
        name: of the framework, which is its distribution's too.
        step: module below `sigedge_export.steps` that embeds canvases.
        option: of the step that takes the artefact.
    """

    def __init__(self, name: str, step: str, option: str) -> None:
        self.name, self._step, self._option = name, step, option
        self.version, self.missing = "", None
        try:
            self.version = version(name)
        except PackageNotFoundError:
            self.missing = f"{name} is not installed; install it with: pip install 'sigedge[export]'."

    def embed(self, artifact: Artifact, path: Path, canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Runner.embed`."""
        with step_folder(self.name) as folder:
            given, taken = folder / "canvases.npy", folder / "embeddings.npy"
            np.save(given, canvases)
            files: list[str | Path] = ["--canvases", given, "--embeddings", taken]
            run_step(self._step, [self._option, path.resolve(), *files], folder)
            embeddings: NDArray[np.float32] = np.load(taken)
        return embeddings


FRAMEWORKS = {
    "saved_model": ("tensorflow", "run_saved_model", "--saved-model"),
    "torch_program": ("torch", "run_torch_program", "--program"),
}


def runners_for(artifact: Artifact) -> list[Runner]:
    """Every engine that runs the artefact's format, installed or not, but for those that a device must name."""
    if artifact.format in FRAMEWORKS:
        return [FrameworkRunner(*FRAMEWORKS[artifact.format])]
    kinds = [engines.engine_class(name) for name in engines.names()]
    return [EngineRunner(kind.name) for kind in kinds if artifact.format in kind.formats and kind.automatic]
