"""Inference engines: one file each, listed here by one line each, imported only when used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from sigedge_runtime.engines.auto import EngineChoice, Measurement, choose_engine
from sigedge_runtime.engines.base import Engine, TensorFacts
from sigedge_runtime.errors import EngineError, EngineUnavailableError
from sigedge_runtime.manifest import Artifact

__all__ = [
    "Engine",
    "EngineChoice",
    "EngineStatus",
    "Measurement",
    "TensorFacts",
    "available",
    "choose",
    "engine_class",
    "names",
    "open_chosen",
    "open_engine",
]

# The format that each runs, and where it is, in order of preference: an engine that is about as fast as one before it
# is not taken. The format stands here, too, so that a module is imported only for files that it could run.
_ENGINES = {
    "litert": ("tflite", "litert:LitertEngine"),
    "tflite_runtime": ("tflite", "tflite_runtime:TfliteRuntimeEngine"),
    "onnxruntime": ("onnx", "onnxruntime:OnnxruntimeEngine"),
    "onnxruntime-cuda": ("onnx", "onnxruntime:OnnxruntimeCudaEngine"),
    "onnxruntime-tensorrt": ("onnx", "onnxruntime:OnnxruntimeTensorrtEngine"),
    "tensorrt": ("onnx", "tensorrt:TensorrtEngine"),
    "litert-gpu": ("tflite", "litert:LitertGpuEngine"),
    "litert-nnapi": ("tflite", "litert:LitertNnapiEngine"),
}


@dataclass(frozen=True)
class EngineStatus:
    """Whether an engine can be used here; `detail` is its version, or why not. `str()` gives the detail."""

    available: bool
    detail: str

    def __str__(self) -> str:
        """Return the detail."""
        return self.detail


def names() -> tuple[str, ...]:
    """Names of all engines, best first, installed or not."""
    return tuple(_ENGINES)


def engine_class(name: str) -> type[Engine]:
    """Return the class behind a name; its library is not imported.

    Raises:
        EngineError: there is no such engine.
    """
    if name not in _ENGINES:
        raise EngineError(f"There is no engine {name!r}; choose one of auto, {', '.join(_ENGINES)}.")
    module, attribute = _ENGINES[name][1].split(":")
    found: type[Engine] = getattr(import_module(f"{__name__}.{module}"), attribute)
    return found


def available() -> dict[str, EngineStatus]:
    """Try to import every engine's library and report by name."""
    return {name: _status(engine_class(name)) for name in _ENGINES}


def choose(name: str, artifact: Artifact, path: Path, threads: int | None = 1, *, anew: bool = False) -> EngineChoice:
    """Choose the engine and the number of threads for an artefact, and say why; see `engines.auto`.

    Args:
        name: an engine's name, or ``auto`` for the one that is fastest here.
        artifact: what the manifest says of the file.
        path: where the file is.
        threads: CPU threads, at least 1; None takes as many as are fastest here.
        anew: measure, whatever has been measured before.

    Raises:
        EngineUnavailableError: no installed engine runs the artefact; the sentence says what to install.
        EngineError: the engine is unknown or cannot run the file.
    """
    if name != "auto":
        kind = engine_class(name)
        if threads is not None and not anew:
            return EngineChoice(name, artifact.name, artifact.precision, threads, "the one that was asked for")
        return choose_engine([kind], artifact, path, threads, anew=anew)
    fitting = [kind for kind in _automatic(artifact.format) if kind.installed()]
    try:
        if fitting:
            return choose_engine(fitting, artifact, path, threads, anew=anew)
    except EngineUnavailableError as error:
        raise EngineUnavailableError(f"No installed engine runs {artifact.name}. {error}") from None
    packages = dict.fromkeys(kind.distribution for kind in _automatic(artifact.format))
    wanted = " or ".join(packages) or "TensorFlow, outside this runtime"
    raise EngineUnavailableError(f"No installed engine runs {artifact.name}; install {wanted}.")


def open_engine(name: str, artifact: Artifact, path: Path, threads: int | None = 1) -> Engine:
    """Open an engine on an artefact; arguments and errors as in `choose`."""
    return open_chosen(choose(name, artifact, path, threads), artifact, path)


def open_chosen(choice: EngineChoice, artifact: Artifact, path: Path) -> Engine:
    """Open what `choose` chose.

    Raises:
        EngineUnavailableError: the library does not load here.
        EngineError: it cannot run the file.
    """
    engine = engine_class(choice.engine)(artifact, path, choice.threads)
    engine.choice = choice
    return engine.open()


def _automatic(format: str) -> list[type[Engine]]:
    """Engines that ``auto`` may take for a format, installed or not, best first."""
    kinds = (engine_class(name) for name, (runs, _) in _ENGINES.items() if runs == format)
    return [kind for kind in kinds if kind.automatic]


def _status(engine: type[Engine]) -> EngineStatus:
    try:
        engine.library()
    except EngineUnavailableError as error:
        return EngineStatus(False, str(error))
    return EngineStatus(True, engine.version())
