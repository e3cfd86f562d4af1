"""LiteRT, the current TensorFlow Lite runtime (package ai-edge-litert): on the CPU, and with a platform's delegates."""

from __future__ import annotations

import ctypes
import os
from types import ModuleType
from typing import Any, ClassVar

from sigedge_runtime.engines._tflite import TfliteEngine
from sigedge_runtime.errors import EngineUnavailableError


class LitertEngine(TfliteEngine):
    """Runs ``.tflite`` files with LiteRT and XNNPACK."""

    name = "litert"
    module = "ai_edge_litert.interpreter"
    distribution = "ai-edge-litert"


class _DelegatedEngine(LitertEngine):
    """LiteRT with a delegate that the platform brings as a shared library.

    A delegate may compute in half precision whatever the file says, so ``auto`` never takes one: name it, and let the
    self-test say whether it decides alike. Some GPU delegates run only in the thread that opened them.

    Attributes:
        libraries: file names to try, best first.
        variable: of the environment; a path in it is tried alone.
    """

    automatic = False
    libraries: ClassVar[tuple[str, ...]]
    variable: ClassVar[str]

    @classmethod
    def library(cls) -> ModuleType:
        """Import LiteRT and find the delegate; see `Engine.library` for the errors."""
        found = super().library()
        cls.delegate_path()
        return found

    @classmethod
    def delegate_path(cls) -> str:
        """The delegate's library, as the system's loader finds it.

        Raises:
            EngineUnavailableError: it is not on this platform.
        """
        problems, named = [], os.environ.get(cls.variable)
        for name in [named] if named else cls.libraries:
            try:
                _ = ctypes.CDLL(name).tflite_plugin_create_delegate
            except (OSError, AttributeError) as error:  # there is no such library, or it is no delegate
                problems.append(str(error))
            else:
                return name
        raise EngineUnavailableError(
            f"The engine {cls.name} needs the {cls.accelerator} delegate of this platform, which cannot be loaded "
            f"({problems[0]}); set {cls.variable} to its library, or use the engine litert."
        )

    def _options(self, library: Any) -> dict[str, Any]:
        """The delegate, and no XNNPACK beside it: what the delegate leaves would run there without a word."""
        return {
            "experimental_delegates": [library.load_delegate(self.delegate_path())],
            "experimental_op_resolver_type": library.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        }


class LitertGpuEngine(_DelegatedEngine):
    """Runs ``.tflite`` files on a GPU through LiteRT's GPU delegate."""

    name = "litert-gpu"
    accelerator = "GPU"
    libraries = ("libtensorflowlite_gpu_delegate.so",)
    variable = "SIGEDGE_LITERT_GPU_DELEGATE"


class LitertNnapiEngine(_DelegatedEngine):
    """Runs ``.tflite`` files through Android's Neural Networks API, which Android 15 declared deprecated."""

    name = "litert-nnapi"
    accelerator = "NNAPI"
    libraries = ("libnnapi_delegate.so", "libtensorflowlite_nnapi_delegate.so")
    variable = "SIGEDGE_LITERT_NNAPI_DELEGATE"
