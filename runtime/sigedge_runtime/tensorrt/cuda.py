"""The few calls of the CUDA runtime that inference needs, each checked; nothing but cuda-python behind them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sigedge_runtime.errors import EngineError, EngineUnavailableError

# cuda-python moved its modules with version 12.6; JetPack may carry either.
MODULES = ("cuda.bindings.runtime", "cuda.cudart")

_REMEDIES = {
    "cudaErrorMemoryAllocation": "free memory of the GPU",
    "cudaErrorInsufficientDriver": "this machine has no NVIDIA driver, or one older than CUDA needs",
    "cudaErrorNoDevice": "this machine has no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it",
}


@dataclass(frozen=True)
class Device:
    """A GPU: its `name` as the driver gives it, and its compute capability, e.g. ``8.7``."""

    name: str
    compute_capability: str


class Cuda:
    """The CUDA runtime; addresses are plain integers, streams and graphs are cuda-python's own objects.

    Every method raises `EngineError`, naming the CUDA call, when the call fails. `failed` is then True: the calls that
    follow, those that free memory among them, may fail for the same reason.
    """

    def __init__(self, runtime: Any) -> None:
        """Use `find_cuda`."""
        self._runtime = runtime
        self.failed = False

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the CUDA runtime; its one result, or None.

        Raises:
            EngineError: the call returned an error; the sentence names both.
        """
        error, *values = getattr(self._runtime, name)(*arguments)
        if int(error) != 0:
            self.failed = True
            _, text = self._runtime.cudaGetErrorString(error)
            remedy = _REMEDIES.get(error.name, "restart the program, and update the driver if it happens again")
            raise EngineError(f"The CUDA call {name} failed ({error.name}: {text.decode()}); {remedy}.")
        return values[0] if values else None

    def forget_error(self) -> None:
        """Clear an error that has been dealt with."""
        self._runtime.cudaGetLastError()
        self.failed = False

    def device(self) -> Device:
        """The GPU that this thread uses."""
        properties = self.call("cudaGetDeviceProperties", self.call("cudaGetDevice"))
        name = properties.name.decode(errors="replace").rstrip("\0").strip()
        return Device(name, f"{properties.major}.{properties.minor}")

    def allocate(self, size: int) -> int:
        """Address of `size` bytes on the device."""
        return int(self.call("cudaMalloc", size))

    def free(self, address: int) -> None:
        """Free what `allocate` gave."""
        self.call("cudaFree", address)

    def allocate_host(self, size: int) -> int:
        """Address of `size` bytes of page-locked memory, which the GPU copies from without a detour."""
        return int(self.call("cudaMallocHost", size))

    def free_host(self, address: int) -> None:
        """Free what `allocate_host` gave."""
        self.call("cudaFreeHost", address)

    def create_stream(self) -> Any:
        """A stream that does not wait for the default stream."""
        return self.call("cudaStreamCreateWithFlags", self._runtime.cudaStreamNonBlocking)

    def destroy_stream(self, stream: Any) -> None:
        """Destroy a stream."""
        self.call("cudaStreamDestroy", stream)

    def synchronise(self, stream: Any) -> None:
        """Wait for all work on a stream."""
        self.call("cudaStreamSynchronize", stream)

    def copy_to_device(self, target: int, source: int, size: int, stream: Any) -> None:
        """Enqueue a copy from the host."""
        self.call("cudaMemcpyAsync", target, source, size, self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice, stream)

    def copy_to_host(self, target: int, source: int, size: int, stream: Any) -> None:
        """Enqueue a copy to the host."""
        self.call("cudaMemcpyAsync", target, source, size, self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost, stream)

    def begin_capture(self, stream: Any) -> None:
        """Record what is enqueued from now on instead of running it; other threads are not disturbed."""
        self.call(
            "cudaStreamBeginCapture", stream, self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        )

    def end_capture(self, stream: Any) -> Any:
        """The graph of what was recorded."""
        return self.call("cudaStreamEndCapture", stream)

    def instantiate(self, graph: Any) -> Any:
        """An executable graph."""
        return self.call("cudaGraphInstantiate", graph, 0)

    def launch(self, executable: Any, stream: Any) -> None:
        """Enqueue an executable graph."""
        self.call("cudaGraphLaunch", executable, stream)

    def destroy_graph(self, graph: Any) -> None:
        """Destroy a graph."""
        self.call("cudaGraphDestroy", graph)

    def destroy_executable(self, executable: Any) -> None:
        """Destroy an executable graph."""
        self.call("cudaGraphExecDestroy", executable)


def find_cuda() -> Cuda:
    """Import cuda-python.

    Raises:
        EngineUnavailableError: it is not installed.
    """
    problems = []
    for name in MODULES:
        try:
            return Cuda(import_module(name))
        except Exception as error:  # a broken native library raises anything
            problems.append(str(error))
    raise EngineUnavailableError(
        f"The CUDA runtime cannot be loaded ({problems[0]}); install it with: pip install 'cuda-python<13' "
        "(the major version of CUDA here)."
    )
