"""TensorRT or TensorRT-RTX, whichever is installed: found by name, imported only when it is needed.

Both speak one interface. What differs, and between versions 10.3 and 11 of TensorRT too, is asked for here and in
`network`, so that the rest knows one library.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sigedge_runtime.engines._quiet import quiet_stderr
from sigedge_runtime.errors import EngineUnavailableError

TENSORRT = "tensorrt"
RTX = "tensorrt_rtx"
# What each flavour may be called as a Python module, best first.
MODULES = {TENSORRT: ("tensorrt",), RTX: ("tensorrt_rtx", "tensorrt_rtx_bindings")}
TITLES = {TENSORRT: "TensorRT", RTX: "TensorRT-RTX"}
OLDEST_MAJOR = 10

_REMEDY = {
    TENSORRT: "on a Jetson use the one of the system (a virtual environment with --system-site-packages), elsewhere "
    "install the package tensorrt",
    RTX: "install it with: pip install 'sigedge[tensorrt]'",
}
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}


@dataclass(frozen=True)
class Library:
    """An imported TensorRT.

    Attributes:
        module: the Python module.
        flavour: `TENSORRT` or `RTX`.
        version: as the module gives it.
    """

    module: Any
    flavour: str
    version: str

    @property
    def title(self) -> str:
        """Name and version, for sentences."""
        return f"{TITLES[self.flavour]} {self.version}"

    def log(self) -> Any:
        """A logger to hand to TensorRT; its `reason()` is the first error it was told, as one line."""
        return _logger_class(self.module)()


def find_library(flavour: str | None = None) -> Library:
    """Import TensorRT.

    Args:
        flavour: `TENSORRT` or `RTX`; None takes the first that imports.

    Raises:
        EngineUnavailableError: it is not installed, does not import here, or is too old.
    """
    problems = []
    for wanted in MODULES if flavour is None else (flavour,):
        for name in MODULES[wanted]:
            try:
                with quiet_stderr():
                    module = import_module(name)
                return _accept(Library(module, wanted, str(module.__version__)))
            except Exception as error:  # a broken native library raises anything
                problems.append(str(error))
    title = TITLES[flavour or TENSORRT]
    raise EngineUnavailableError(f"{title} cannot be loaded ({problems[0]}); {_REMEDY[flavour or TENSORRT]}.")


def is_installed() -> bool:
    """Whether a TensorRT is there to be imported; nothing is imported."""
    return any(_has_spec(name) for names in MODULES.values() for name in names)


def dtype_name(dtype: Any) -> str:
    """numpy's name of a TensorRT data type; the type's own name in lower case where numpy has none."""
    name = str(dtype.name)
    return _DTYPES.get(name, name.lower())


def shape_of(dims: Any) -> tuple[int, ...]:
    """A TensorRT shape as plain integers; -1 stands for a side that is not fixed."""
    return tuple(int(side) for side in dims)


def _accept(library: Library) -> Library:
    """Refuse a TensorRT whose networks are not strongly typed: it would choose precisions of its own."""
    if library.flavour == TENSORRT and int(library.version.partition(".")[0]) < OLDEST_MAJOR:
        raise EngineUnavailableError(f"{library.title} is too old, it must be {OLDEST_MAJOR} or newer")
    return library


def _has_spec(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # a module that was put into sys.modules by hand carries no spec
        return True


def _logger_class(module: Any) -> Any:
    errors = (module.ILogger.Severity.ERROR, module.ILogger.Severity.INTERNAL_ERROR)

    class Log(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.messages: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in errors:
                self.messages.append(message)

        def reason(self) -> str:
            return one_line(self.messages[0]) if self.messages else "it gave no reason"

    return Log


def one_line(text: str, limit: int = 300) -> str:
    """The text without line breaks, cut to `limit` characters."""
    return " ".join(text.split())[:limit]
