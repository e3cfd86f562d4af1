"""Running a plan: buffers that stay, one stream, and one CUDA graph of copy, inference and copy back."""

from __future__ import annotations

import ctypes
import json
import math
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.engines.base import TensorFacts
from sigedge_runtime.errors import EngineError
from sigedge_runtime.tensorrt.cuda import Cuda
from sigedge_runtime.tensorrt.library import Library, dtype_name, shape_of


@dataclass(frozen=True)
class _Buffer:
    """A tensor's memory on both sides; `host` is a view of page-locked memory."""

    facts: TensorFacts
    size: int
    device_address: int
    host_address: int
    host: NDArray[Any]


class Session:
    """A loaded plan with one input and one output of fixed shapes; not safe for several threads at a time.

    Attributes:
        input: shape and type of the input.
        output: shape and type of the output.
        graph_refusal: why inference runs without a CUDA graph although one was wanted; None when it does as asked.
    """

    _runtime: Any
    _engine: Any
    _context: Any

    def __init__(self, library: Library, cuda: Cuda, plan: bytes, *, graph: bool = True) -> None:
        """Load a plan and run it once.

        Args:
            library: that built the plan.
            cuda: the CUDA runtime.
            plan: the serialised engine.
            graph: replay a CUDA graph, which spares the CPU the launch of each kernel; False enqueues every time.

        Raises:
            EngineError: the plan does not load or run here, or a CUDA call failed; nothing stays allocated.
        """
        self._library, self._cuda, self._log = library, cuda, library.log()
        self._release = ExitStack()
        self._executable: Any = None
        self.graph_refusal: str | None = None
        try:
            self._load(library, plan)
            self._enqueue()
            cuda.synchronise(self._stream)
            if graph:
                self._try_capture()
        except BaseException:
            with suppress(EngineError):  # the first error is the one to tell
                self.close()
            raise

    @property
    def input(self) -> TensorFacts:
        """See the class."""
        return self._input.facts

    @property
    def output(self) -> TensorFacts:
        """See the class."""
        return self._output.facts

    def run(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Infer; the result is the caller's own.

        Raises:
            EngineError: the session is closed, the tensor has another shape or type, or a CUDA call failed.
        """
        if self._context is None:
            raise EngineError("The plan is closed; load it again.")
        facts = self._input.facts
        if tensor.shape != facts.shape or tensor.dtype != facts.dtype:
            raise EngineError(
                f"The plan takes {facts.dtype} {list(facts.shape)}, not {tensor.dtype} {list(tensor.shape)}; "
                "give it what the manifest declares."
            )
        np.copyto(self._input.host, tensor)
        return self.execute().copy()

    @property
    def input_memory(self) -> NDArray[Any]:
        """The page-locked memory that the GPU copies the input from: write to it, then call `execute`."""
        return self._input.host

    def execute(self) -> NDArray[Any]:
        """Infer on what `input_memory` holds; a view of page-locked memory that the next call overwrites.

        Raises:
            EngineError: the session is closed, or a CUDA call failed.
        """
        if self._context is None:
            raise EngineError("The plan is closed; load it again.")
        if self._executable is None:
            self._enqueue()
        else:
            self._cuda.launch(self._executable, self._stream)
        self._cuda.synchronise(self._stream)
        return self._output.host

    def float_layers(self) -> list[str]:
        """Names of the layers whose weights are float; a plan that was built without details names none."""
        try:
            inspector = self._engine.create_engine_inspector()
            text = inspector.get_engine_information(self._library.module.LayerInformationFormat.JSON)
            layers = json.loads(text).get("Layers", [])
        except (AttributeError, ValueError):
            return []
        told = [layer for layer in layers if isinstance(layer, dict)]
        return [str(layer.get("Name")) for layer in told if _weight_type(layer) in ("Float", "FP32", "Half", "FP16")]

    def close(self) -> None:
        """Free everything, each thing once; closing twice does nothing.

        Raises:
            EngineError: a CUDA call failed for the first time; after an earlier failure more are to be expected.
        """
        told = self._cuda.failed
        self._executable = None
        try:
            self._release.close()
        except EngineError:
            if not told:
                raise

    def _load(self, library: Library, plan: bytes) -> None:
        """Runtime, engine, context, stream and buffers, in this order; they are freed in the opposite one."""
        self._keep("_runtime", library.module.Runtime(self._log))
        self._keep("_engine", self._runtime.deserialize_cuda_engine(plan))
        self._keep("_context", self._engine.create_execution_context())
        self._stream = self._cuda.create_stream()
        self._release.callback(self._cuda.destroy_stream, self._stream)
        # No local names for TensorRT's objects: the traceback of an error would keep them alive.
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        modes = [self._engine.get_tensor_mode(name).name for name in names]
        if sorted(modes) != ["INPUT", "OUTPUT"]:
            raise EngineError(f"The plan has the tensors {names} instead of one input and one output; build it again.")
        self._input = self._buffer(names[modes.index("INPUT")])
        self._output = self._buffer(names[modes.index("OUTPUT")])
        self._input.host[...] = 0

    def _keep(self, name: str, value: Any) -> None:
        """Hold one of TensorRT's objects, which frees itself when nothing refers to it."""
        if value is None:
            raise EngineError(f"TensorRT cannot load the plan ({self._log.reason()}); build it again with --force.")
        setattr(self, name, value)
        self._release.callback(setattr, self, name, None)

    def _buffer(self, name: str) -> _Buffer:
        shape, dtype = shape_of(self._engine.get_tensor_shape(name)), dtype_name(self._engine.get_tensor_dtype(name))
        if min(shape, default=0) < 1:
            raise EngineError(f"The tensor {name} of the plan has no fixed shape ({list(shape)}); export it again.")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        device = self._cuda.allocate(size)
        self._release.callback(self._cuda.free, device)
        host = self._cuda.allocate_host(size)
        self._release.callback(self._cuda.free_host, host)
        if not self._context.set_tensor_address(name, device):
            raise EngineError(f"TensorRT refused the buffer of {name} ({self._log.reason()}); build the plan again.")
        memory: Any = (ctypes.c_ubyte * size).from_address(host)
        view = np.frombuffer(memory, np.dtype(dtype)).reshape(shape)
        return _Buffer(TensorFacts(shape, dtype), size, device, host, view)

    def _enqueue(self) -> None:
        cuda, taken, given = self._cuda, self._input, self._output
        cuda.copy_to_device(taken.device_address, taken.host_address, taken.size, self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise EngineError(
                f"TensorRT could not enqueue the plan ({self._log.reason()}); build it again with --force."
            )
        cuda.copy_to_host(given.host_address, given.device_address, given.size, self._stream)

    def _try_capture(self) -> None:
        """Record a graph. Some plans cannot be recorded; they run all the same, only slower."""
        try:
            self._executable = self._capture()
        except EngineError as error:
            self.graph_refusal = str(error)
            self._cuda.forget_error()

    def _capture(self) -> Any:
        self._cuda.begin_capture(self._stream)
        try:
            self._enqueue()
        finally:  # a stream that goes on recording runs nothing
            graph = self._cuda.end_capture(self._stream)
            self._release.callback(self._cuda.destroy_graph, graph)
        executable = self._cuda.instantiate(graph)
        self._release.callback(self._cuda.destroy_executable, executable)
        return executable


def _weight_type(layer: dict[str, Any]) -> str | None:
    """Type of a layer's weights; None for a layer without any."""
    weights = layer.get("Weights")
    return str(weights.get("Type")) if isinstance(weights, dict) and weights.get("Count") else None
