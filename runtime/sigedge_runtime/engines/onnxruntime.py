"""ONNX Runtime: on the CPU (package onnxruntime), and through CUDA and TensorRT (package onnxruntime-gpu)."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._machine import module_folder
from sigedge_runtime._user_cache import cache_folder
from sigedge_runtime.engines.base import Engine, TensorFacts
from sigedge_runtime.errors import EngineUnavailableError

CPU = "CPUExecutionProvider"
_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}
_ERRORS_ONLY = 3


class OnnxruntimeEngine(Engine):
    """Runs ``.onnx`` files on the CPU.

    int8 files (QDQ) run without graph optimisation: fused integer kernels round otherwise than the graph says, so that
    results would differ from those of the accelerators the files are made for.

    Attributes:
        providers: execution providers, best first; the CPU takes what they leave.
    """

    name = "onnxruntime"
    formats = frozenset({"onnx"})
    module = "onnxruntime"
    distribution = "onnxruntime"
    providers: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def library(cls) -> ModuleType:
        """Import ONNX Runtime and see to it that it was built with the provider; errors as in `Engine.library`."""
        found = super().library()
        if cls.providers and cls.providers[0] not in found.get_available_providers():
            raise EngineUnavailableError(
                f"The engine {cls.name} needs an ONNX Runtime that was built with {cls.providers[0]}, and the one here "
                f"has {', '.join(found.get_available_providers())}; install {cls.distribution} in place of it."
            )
        return found

    def _load_impl(self, library: Any) -> tuple[TensorFacts, TensorFacts]:
        options = library.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = _ERRORS_ONLY
        if self._unoptimised():
            options.graph_optimization_level = library.GraphOptimizationLevel.ORT_DISABLE_ALL
        wanted = [(provider, dict(self._provider_options(provider))) for provider in (*self.providers, CPU)]
        self._session = library.InferenceSession(str(self.path), options, providers=wanted)
        (self._taken,), (self._given,) = self._session.get_inputs(), self._session.get_outputs()
        self._binding: Any = None
        return _facts(self._taken), _facts(self._given)

    def _infer_impl(self, tensor: NDArray[np.uint8]) -> NDArray[Any]:
        if self._binding is None:  # not before the base class has held shapes and types against the manifest
            self._bind()
        np.copyto(self._input, tensor, casting="unsafe")
        self._session.run_with_iobinding(self._binding)
        return self._output

    def _close_impl(self) -> None:
        self._binding = None
        del self._session

    def _bind(self) -> None:
        """Let the session read and write two arrays that stay, so that no inference allocates or copies again."""
        self._input = np.zeros(self.artifact.input.shape, self.artifact.input.dtype)
        self._output = np.zeros(self.artifact.output.shape, self.artifact.output.dtype)
        self._binding = self._session.io_binding()
        for bind, value, array in (
            (self._binding.bind_input, self._taken, self._input),
            (self._binding.bind_output, self._given, self._output),
        ):
            bind(value.name, "cpu", 0, array.dtype.type, list(array.shape), array.ctypes.data)

    def _unoptimised(self) -> bool:
        return self.artifact.precision == "int8"

    def _provider_options(self, provider: str) -> Mapping[str, Any]:
        """Options of an execution provider."""
        return {}

    def _fallbacks_impl(self) -> list[str]:
        found = []
        running = self._session.get_providers()
        if missing := [provider for provider in self.providers if provider not in running]:
            found.append(f"{', '.join(missing)} did not start, so that {running[0]} runs {self.artifact.name}.")
        if self.artifact.precision == "int8" and running[0] == CPU:
            found.append(
                f"int8 was asked for, but on the CPU ONNX Runtime runs the layers of {self.artifact.name} in float, "
                "between quantise and dequantise nodes: the numbers are those of int8, the speed is not."
            )
        return found


class OnnxruntimeCudaEngine(OnnxruntimeEngine):
    """Runs ``.onnx`` files on an NVIDIA GPU through CUDA."""

    name = "onnxruntime-cuda"
    distribution = "onnxruntime-gpu"
    providers = ("CUDAExecutionProvider",)

    @classmethod
    def installed(cls) -> bool:
        """Whether the package holds the provider's library."""
        return holds_provider("cuda")


class OnnxruntimeTensorrtEngine(OnnxruntimeEngine):
    """Runs ``.onnx`` files through ONNX Runtime's TensorRT provider; CUDA takes what TensorRT does not know.

    Opening builds what TensorRT runs, which may take minutes, and keeps it in the user's cache folder. So ``auto``
    leaves it alone.
    """

    name = "onnxruntime-tensorrt"
    distribution = "onnxruntime-gpu"
    providers = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    automatic = False

    @classmethod
    def installed(cls) -> bool:
        """Whether the package holds the provider's library."""
        return holds_provider("tensorrt")

    def _unoptimised(self) -> bool:
        return False  # TensorRT takes the graph as it is and fuses for itself

    def _provider_options(self, provider: str) -> Mapping[str, Any]:
        folder = cache_folder("onnxruntime-tensorrt")
        if provider != self.providers[0] or folder is None:
            return {}
        return {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(folder)}


def holds_provider(name: str) -> bool:
    """Whether the installed ONNX Runtime brings the library of a provider; nothing is imported."""
    folder = module_folder("onnxruntime")
    return folder is not None and any((folder / "capi").glob(f"*onnxruntime_providers_{name}.*"))


def _facts(value: Any) -> TensorFacts:
    """Shape and type of a graph input or output; a dynamic side, for which there is a name, counts as 0."""
    shape = tuple(side if isinstance(side, int) else 0 for side in value.shape)
    return TensorFacts(shape, _DTYPES.get(value.type, value.type))
