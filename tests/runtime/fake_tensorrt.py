"""Stand-ins for `tensorrt` and cuda-python's runtime that record every call and hold real memory.

Nothing runs before the stream is synchronised, and a captured stream runs nothing at all, as on a GPU. Freeing what is
not there, or using it after, is an AssertionError. `fail` makes the n-th call of a name fail.
"""

from __future__ import annotations

import ctypes
import enum
import json
import sys
from collections import Counter
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Compute = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Severity(enum.Enum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class DataType(enum.Enum):
    FLOAT, HALF, INT8 = range(3)


class TensorIOMode(enum.Enum):
    NONE, INPUT, OUTPUT = range(3)


class CudaError(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorNoDevice = 100


class Recorder:
    """What the two modules share: calls in order, planned failures, and whatever is allocated."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.calls: list[tuple[Any, ...]] = []
        self.fail: dict[str, int] = {}
        self.sticky = False  # a real GPU answers every call after an illegal access with the same error
        self.counts: Counter[str] = Counter()
        self.live: dict[int, Any] = {}  # handle or address -> (kind, buffer or stream)
        self.cuda = FakeCuda(self)
        self.tensorrt = FakeTensorrt(self)

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def record(self, name: str, *arguments: Any) -> bool:
        """Note a call; whether it is to fail."""
        self.calls.append((name, *arguments))
        self.counts[name] += 1
        return self.fail.get(name) == self.counts[name] or (self.broken and name.startswith("cuda"))

    @property
    def broken(self) -> bool:
        return self.sticky and any(self.counts[name] >= count for name, count in self.fail.items())

    def install(self, monkeypatch: pytest.MonkeyPatch, cuda: str = "cuda.bindings.runtime") -> None:
        """Put both modules where they are looked for; `cuda` is the one of cuda-python's two names that is there."""
        for name in ("cuda.bindings.runtime", "cuda.cudart"):
            monkeypatch.setitem(sys.modules, name, self.cuda if name == cuda else None)
        monkeypatch.setitem(sys.modules, "tensorrt", self.tensorrt)

    def take(self, kind: str, thing: Any, handle: int | None = None) -> int:
        number = handle if handle is not None else 0x1000 + sum(self.counts.values())
        assert number not in self.live
        self.live[number] = (kind, thing)
        return number

    def drop(self, kind: str, handle: int) -> None:
        assert self.live[handle][0] == kind, f"{handle} is {self.live[handle][0]}, not {kind}"
        del self.live[handle]

    def get(self, kind: str, handle: int) -> Any:
        assert self.live[handle][0] == kind
        return self.live[handle][1]


class Stream:
    """A queue of work; while `captured` is a list, work goes there and does not run."""

    def __init__(self) -> None:
        self.queue: list[Callable[[], None]] = []
        self.captured: list[Callable[[], None]] | None = None
        self.number = 0

    def __int__(self) -> int:
        return self.number

    def put(self, work: Callable[[], None]) -> None:
        (self.queue if self.captured is None else self.captured).append(work)


class FakeCuda(ModuleType):
    """`cuda.bindings.runtime`: every function returns a tuple that begins with the error."""

    cudaStreamNonBlocking = 1
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice="to device", cudaMemcpyDeviceToHost="to host")
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="thread local")

    def __init__(self, recorder: Recorder) -> None:
        super().__init__("cuda.bindings.runtime")
        self.recorder = recorder
        self.error = CudaError.cudaErrorMemoryAllocation
        self.gpu = SimpleNamespace(name=b"Fake GPU\0\0", major=8, minor=7)

    def __getattr__(self, name: str) -> Any:
        """Wrap the methods `_cuda...`: record the call, then fail or run it."""
        if not name.startswith("cuda"):
            raise AttributeError(name)
        run = getattr(type(self), f"_{name}")

        def call(*arguments: Any) -> tuple[Any, ...]:
            if self.recorder.record(name, *arguments):
                if name == "cudaStreamEndCapture":  # a capture that went wrong is over all the same
                    arguments[0].captured = None
                return self.error, None
            return CudaError.cudaSuccess, run(self, *arguments)

        return call

    def cudaGetErrorString(self, error: CudaError) -> tuple[CudaError, bytes]:
        return CudaError.cudaSuccess, b"a text"

    def cudaGetLastError(self) -> tuple[CudaError]:
        self.recorder.record("cudaGetLastError")
        return (CudaError.cudaSuccess,)

    def _cudaGetDevice(self) -> int:
        return 0

    def _cudaGetDeviceProperties(self, device: int) -> SimpleNamespace:
        assert device == 0
        return self.gpu

    def _cudaRuntimeGetVersion(self) -> int:
        return 12060

    def _cudaDriverGetVersion(self) -> int:
        return 12080

    def _allocate(self, kind: str, size: int) -> int:
        buffer = (ctypes.c_ubyte * size)()
        return self.recorder.take(kind, buffer, ctypes.addressof(buffer))

    def _cudaMalloc(self, size: int) -> int:
        return self._allocate("device memory", size)

    def _cudaFree(self, address: int) -> None:
        self.recorder.drop("device memory", address)

    def _cudaMallocHost(self, size: int) -> int:
        return self._allocate("host memory", size)

    def _cudaFreeHost(self, address: int) -> None:
        self.recorder.drop("host memory", address)

    def _cudaStreamCreateWithFlags(self, flags: int) -> Stream:
        stream = Stream()
        stream.number = self.recorder.take("stream", stream)
        return stream

    def _cudaStreamDestroy(self, stream: Stream) -> None:
        self.recorder.drop("stream", int(stream))
        stream.queue.clear()  # cudaFree, called before, waited for it

    def _cudaStreamSynchronize(self, stream: Stream) -> None:
        assert stream.captured is None, "a stream that is captured cannot be waited for"
        work, stream.queue = stream.queue, []
        for item in work:
            item()

    def _cudaMemcpyAsync(self, target: int, source: int, size: int, kind: str, stream: Stream) -> None:
        sides = ("device memory", "host memory") if kind == "to device" else ("host memory", "device memory")

        def copy() -> None:
            for side, address in zip(sides, (target, source), strict=True):
                assert size == len(self.recorder.get(side, address))
            ctypes.memmove(target, source, size)

        stream.put(copy)

    def _cudaStreamBeginCapture(self, stream: Stream, mode: str) -> None:
        assert not stream.queue, "the warm-up was not waited for"
        stream.captured = []

    def _cudaStreamEndCapture(self, stream: Stream) -> int:
        work, stream.captured = stream.captured, None
        return self.recorder.take("graph", work)

    def _cudaGraphInstantiate(self, graph: int, flags: int) -> int:
        return self.recorder.take("executable", self.recorder.get("graph", graph))

    def _cudaGraphLaunch(self, executable: int, stream: Stream) -> None:
        for item in self.recorder.get("executable", executable):
            stream.put(item)

    def _cudaGraphDestroy(self, graph: int) -> None:
        self.recorder.drop("graph", graph)

    def _cudaGraphExecDestroy(self, executable: int) -> None:
        self.recorder.drop("executable", executable)


class ILogger:
    Severity = Severity


class IProgressMonitor:
    pass


class FakeTensorrt(ModuleType):
    """`tensorrt`; set attributes to change what it finds in a file or does with it."""

    ILogger = ILogger
    IProgressMonitor = IProgressMonitor
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
    LayerInformationFormat = SimpleNamespace(JSON="json")

    def __init__(self, recorder: Recorder) -> None:
        super().__init__("tensorrt")
        self.__version__ = "10.3.0"
        self.recorder = recorder
        self.inputs = [("canvas", (1, 1, 128, 256))]
        self.outputs = [("embedding", (1, 8))]
        self.dtype = DataType.FLOAT
        self.parse_errors: list[Any] = []
        self.timings_fit = True
        self.layers: list[Any] = []
        self.Builder = self._make(Builder)
        self.OnnxParser = self._make(Parser)
        self.Runtime = self._make(Runtime)

    def _make(self, kind: type[Any]) -> Callable[..., Any]:
        return lambda *arguments: kind(self, *arguments)


class Native:
    """An object of TensorRT: knows its module, tells when it goes."""

    def __init__(self, trt: FakeTensorrt) -> None:
        self.trt, self.recorder = trt, trt.recorder
        self.recorder.take(type(self).__name__, self.__class__, id(self))

    def __del__(self) -> None:
        self.recorder.record(f"del {type(self).__name__}")
        self.recorder.drop(type(self).__name__, id(self))


class Parser:
    def __init__(self, trt: FakeTensorrt, network: Network, log: Any) -> None:
        self.trt, self.network, self.log = trt, network, log

    def parse(self, content: bytes) -> bool:
        self.network.content = content
        return not self.trt.parse_errors and not self.trt.recorder.record("parse")

    @property
    def num_errors(self) -> int:
        return len(self.trt.parse_errors)

    def get_error(self, index: int) -> Any:
        return self.trt.parse_errors[index]


class Network:
    num_layers = 4
    content = b""

    def __init__(self, trt: FakeTensorrt) -> None:
        self.trt = trt
        self.num_inputs, self.num_outputs = len(trt.inputs), len(trt.outputs)

    def get_input(self, index: int) -> SimpleNamespace:
        name, shape = self.trt.inputs[index]
        return SimpleNamespace(name=name, shape=shape, dtype=self.trt.dtype)

    def get_output(self, index: int) -> SimpleNamespace:
        name, shape = self.trt.outputs[index]
        return SimpleNamespace(name=name, shape=shape, dtype=DataType.FLOAT)


class Timings:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content + b"+"


class Config:
    progress_monitor: Any = None
    profiling_verbosity: Any = None

    def __init__(self, trt: FakeTensorrt) -> None:
        self.trt, self.timings = trt, Timings(b"none was set")

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.trt.recorder.record("set_memory_pool_limit", pool, size)

    def create_timing_cache(self, content: bytes) -> Timings | None:
        return None if self.trt.recorder.record("create_timing_cache", content) else Timings(content)

    def set_timing_cache(self, timings: Timings, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        fits = timings.content == b"" or self.trt.timings_fit
        self.timings = timings if fits else self.timings
        return fits

    def get_timing_cache(self) -> Timings:
        return self.timings


class Builder:
    def __init__(self, trt: FakeTensorrt, log: Any) -> None:
        self.trt, self.log = trt, log

    def create_network(self, flags: int) -> Network:
        self.trt.recorder.record("create_network", flags)
        return Network(self.trt)

    def create_builder_config(self) -> Config:
        return Config(self.trt)

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        monitor = config.progress_monitor
        if monitor is not None:
            monitor.phase_start("Building", None, 2)
            if not (monitor.step_complete("Building", 0) and monitor.step_complete("Building", 1)):
                return None
            monitor.phase_finish("Building")
        if self.trt.recorder.record("build_serialized_network"):
            self.log.log(Severity.WARNING, "some warning")
            self.log.log(Severity.ERROR, "no implementation\nfor a node")
            return None
        return b"PLAN" + json.dumps([self.trt.inputs, self.trt.outputs]).encode()


class Runtime(Native):
    def __init__(self, trt: FakeTensorrt, log: Any) -> None:
        super().__init__(trt)
        self.log = log

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        if self.recorder.record("deserialize_cuda_engine") or not plan.startswith(b"PLAN"):
            self.log.log(Severity.ERROR, "serialization assertion failed")
            return None
        return Engine(self.trt, *json.loads(plan[4:]))


class Engine(Native):
    def __init__(self, trt: FakeTensorrt, inputs: list[Any], outputs: list[Any]) -> None:
        super().__init__(trt)
        modes = [TensorIOMode.INPUT] * len(inputs) + [TensorIOMode.OUTPUT] * len(outputs)
        self.tensors = {
            name: (tuple(shape), mode) for (name, shape), mode in zip([*inputs, *outputs], modes, strict=True)
        }
        self.num_io_tensors = len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return self.tensors[name][1]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name][0]

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType.FLOAT

    def create_engine_inspector(self) -> Any:
        text = json.dumps({"Layers": self.trt.layers})
        return SimpleNamespace(get_engine_information=lambda form: text if form == "json" else "")

    def create_execution_context(self) -> Context | None:
        return None if self.recorder.record("create_execution_context") else Context(self.trt, self)


class Context(Native):
    def __init__(self, trt: FakeTensorrt, engine: Engine) -> None:
        super().__init__(trt)
        self.engine, self.addresses = engine, {}

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return not self.recorder.record("set_tensor_address", name, address)

    def execute_async_v3(self, stream: int) -> bool:
        if self.recorder.record("execute_async_v3", stream):
            return False
        assert set(self.addresses) == set(self.engine.tensors)
        self.recorder.get("stream", stream).put(self._run)
        return True

    def _run(self) -> None:
        taken, given = (self._view(name) for name in self.engine.tensors)
        given[...] = self.recorder.compute(taken).reshape(given.shape)

    def _view(self, name: str) -> NDArray[np.float32]:
        memory = self.recorder.get("device memory", self.addresses[name])
        return np.frombuffer(memory, np.float32).reshape(self.engine.tensors[name][0])
