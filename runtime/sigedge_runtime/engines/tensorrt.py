"""TensorRT or TensorRT-RTX on an NVIDIA GPU: runs plans that `sigedge build-engine` made, and builds none."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from sigedge_runtime.engines.base import Engine, TensorFacts
from sigedge_runtime.tensorrt.cuda import find_cuda
from sigedge_runtime.tensorrt.library import TITLES
from sigedge_runtime.tensorrt.machine import this_machine
from sigedge_runtime.tensorrt.plans import PlanFolder
from sigedge_runtime.tensorrt.session import Session


class TensorrtEngine(Engine):
    """Runs the plan of an ONNX file on the GPU.

    Building takes minutes on a small device, so a plan that is missing or stale is an error here and never built on the
    way. Plans are looked for in `plans.default_folder()`.
    """

    name = "tensorrt"
    formats = frozenset({"onnx"})
    module = "tensorrt"
    distribution = "tensorrt"

    @classmethod
    def library(cls) -> ModuleType:
        """Import TensorRT; see `machine.this_machine` for the errors: without a GPU it is as good as not installed."""
        module: ModuleType = this_machine().library.module
        return module

    @classmethod
    def version(cls) -> str:
        """Version of the library and, for TensorRT-RTX, its name."""
        library = this_machine().library
        return library.version if library.flavour == "tensorrt" else f"{TITLES[library.flavour]} {library.version}"

    def _load_impl(self, library: Any) -> tuple[TensorFacts, TensorFacts]:
        machine = this_machine()
        plan = PlanFolder().load(self.artifact, machine.key(self.artifact))
        self._session = Session(machine.library, find_cuda(), plan)
        if self._session.graph_refusal is not None:
            warnings.warn(f"{self.path} runs without a CUDA graph. {self._session.graph_refusal}", stacklevel=2)
        return self._session.input, self._session.output

    def _infer_impl(self, tensor: NDArray[Any]) -> NDArray[Any]:
        return self._session.run(tensor)

    def _close_impl(self) -> None:
        self._session.close()
