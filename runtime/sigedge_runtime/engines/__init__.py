"""Inference engines: one file each, listed here by one line each, imported only when used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from sigedge_runtime.engines.base import Engine, TensorFacts
from sigedge_runtime.errors import EngineError, EngineUnavailableError
from sigedge_runtime.manifest import Artifact

__all__ = [
    "Engine",
    "EngineStatus",
    "TensorFacts",
    "available",
    "engine_class",
    "installed_engine",
    "names",
    "open_engine",
]

# In order of preference.
_ENGINES = {
    "litert": "litert:LitertEngine",
    "tflite_runtime": "tflite_runtime:TfliteRuntimeEngine",
    "onnxruntime": "onnxruntime:OnnxruntimeEngine",
    "tensorrt": "tensorrt:TensorrtEngine",
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
    module, attribute = _ENGINES[name].split(":")
    found: type[Engine] = getattr(import_module(f"{__name__}.{module}"), attribute)
    return found


def available() -> dict[str, EngineStatus]:
    """Try to import every engine's library and report by name."""
    return {name: _status(engine_class(name)) for name in _ENGINES}


def open_engine(name: str, artifact: Artifact, path: Path, threads: int = 1) -> Engine:
    """Open an engine on an artefact.

    Args:
        name: an engine's name, or ``auto`` for the first that is installed and runs the artefact's format.
        artifact: what the manifest says of the file.
        path: where the file is.
        threads: CPU threads, at least 1.

    Raises:
        EngineUnavailableError: no installed engine runs the artefact; the sentence says what to install.
        EngineError: the engine is unknown or cannot run the file.
    """
    found = installed_engine(artifact.format) if name == "auto" else engine_class(name)
    if found is None:
        fitting = [engine for engine in map(engine_class, _ENGINES) if artifact.format in engine.formats]
        packages = " or ".join(engine.distribution for engine in fitting) or "TensorFlow, outside this runtime"
        raise EngineUnavailableError(f"No installed engine runs {artifact.name}; install {packages}.")
    return found(artifact, path, threads).open()


def installed_engine(format: str) -> type[Engine] | None:
    """Return the best engine that is installed and runs the format; None when there is none."""
    fitting = (engine for engine in map(engine_class, _ENGINES) if format in engine.formats)
    return next((engine for engine in fitting if _status(engine).available), None)


def _status(engine: type[Engine]) -> EngineStatus:
    try:
        engine.library()
    except EngineUnavailableError as error:
        return EngineStatus(False, str(error))
    return EngineStatus(True, engine.version())
