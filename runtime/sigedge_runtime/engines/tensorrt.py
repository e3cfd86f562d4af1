"""TensorRT or TensorRT-RTX on an NVIDIA GPU: runs plans that `sigedge build-engine` made, and builds none."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._machine import file_stamp, module_stamp
from sigedge_runtime.engines.base import Engine, TensorFacts
from sigedge_runtime.tensorrt.cuda import find_cuda
from sigedge_runtime.tensorrt.library import MODULES, TITLES, is_installed
from sigedge_runtime.tensorrt.machine import this_machine
from sigedge_runtime.tensorrt.plans import PlanFolder, default_folder
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
    def installed(cls) -> bool:
        """Whether a TensorRT is there to be imported; whether there is a GPU shows only when it is."""
        return is_installed()

    @classmethod
    def stamp(cls) -> str:
        """Changes with the library, and when a plan is built or removed."""
        modules = [module_stamp(name) for names in MODULES.values() for name in names]
        return " ".join([*modules, file_stamp(default_folder())])

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
        return self._session.input, self._session.output

    def _infer_impl(self, tensor: NDArray[np.uint8]) -> NDArray[Any]:
        np.copyto(self._session.input_memory, tensor, casting="unsafe")
        return self._session.execute()

    def _fallbacks_impl(self) -> list[str]:
        found = []
        if self._session.graph_refusal is not None:
            found.append(f"{self.path} runs without a CUDA graph. {self._session.graph_refusal}")
        floats = self._session.float_layers() if self.artifact.precision == "int8" else []
        if floats:
            found.append(
                f"int8 was asked for, but TensorRT runs layers of {self.artifact.name} in float "
                f"({', '.join(floats[:5])})."
            )
        return found

    def _close_impl(self) -> None:
        self._session.close()
