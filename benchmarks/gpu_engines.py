"""The network on a GPU by TensorRT, ONNX Runtime and PyTorch, one batch a call, and what the GPU can do at best."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from numpy.typing import NDArray

from sigedge_runtime.errors import EngineError
from sigedge_runtime.manifest import Artifact

MATRIX = 8192
COPIED_BYTES = 2**30
TRANSFERRED_BYTES = 2**26

Array = NDArray[Any]
Run = Callable[[Array], Array]


@dataclass(frozen=True)
class Rates:
    """What a GPU can do, measured.

    Attributes:
        multiply_accumulates: a second by precision.
        bandwidth: bytes a second of its memory.
        transfer: bytes a second from the host's page-locked memory.
    """

    multiply_accumulates: dict[str, float]
    bandwidth: float
    transfer: float


def with_batch(model: Any, batch: int) -> Any:
    """An ONNX model of batch 1 made one of another batch size.

    Inputs, outputs and the constant shapes of Reshape nodes that begin with 1 get the new size; what is known of the
    tensors between is dropped.

    Args:
        model: `onnx.ModelProto` with static shapes; it stays as it is.
        batch: at least 1.

    Raises:
        EngineError: the model is none of batch 1.
    """
    import onnx

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    for value in (*graph.input, *graph.output):
        first = value.type.tensor_type.shape.dim[0]
        if first.dim_value != 1:
            raise EngineError(f"The tensor {value.name} has no batch size of 1; export the bundle again.")
        first.dim_value = batch
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    constants = [one for one in graph.initializer if one.name in shapes]
    constants += [
        attribute.t
        for node in graph.node
        if node.op_type == "Constant" and node.output[0] in shapes
        for attribute in node.attribute
    ]
    for constant in constants:
        values = onnx.numpy_helper.to_array(constant).copy()
        if values.size and values[0] == 1:
            values[0] = batch
            name = constant.name
            constant.CopyFrom(onnx.numpy_helper.from_array(values, name))
    del graph.value_info[:]
    return changed


def tensorrt(artifact: Artifact, path: Path, folder: Path, batch: int) -> tuple[Run, Callable[[], None]]:
    """A plan of this batch size, run as a CUDA graph."""
    import onnx

    from sigedge_runtime.tensorrt.cuda import find_cuda
    from sigedge_runtime.tensorrt.machine import this_machine
    from sigedge_runtime.tensorrt.network import Network
    from sigedge_runtime.tensorrt.session import Session

    file = folder / f"{artifact.name}-{batch}.onnx"
    onnx.save(with_batch(onnx.load(str(path)), batch), str(file))
    declared = SimpleNamespace(input=_batched(artifact.input, batch), output=_batched(artifact.output, batch))
    machine = this_machine()
    built = Network(machine.library, declared, file).build(machine.compute_capability)
    session = Session(machine.library, find_cuda(), built.plan, graph=True)
    return session.run, session.close


def _batched(tensor: Any, batch: int) -> SimpleNamespace:
    return SimpleNamespace(name=tensor.name, shape=(batch, *tensor.shape[1:]), dtype=tensor.dtype)


def onnxruntime_cuda(artifact: Artifact, path: Path, batch: int) -> tuple[Run, Callable[[], None]]:
    """ONNX Runtime with its CUDA provider, and no other."""
    import onnx
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise ImportError("this onnxruntime has no CUDA provider; install onnxruntime-gpu")
    model = with_batch(onnx.load(str(path)), batch).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CUDAExecutionProvider"])
    if session.get_providers()[0] != "CUDAExecutionProvider":
        raise RuntimeError("onnxruntime fell back to the CPU; check its CUDA and cuDNN versions")
    return lambda tensor: session.run(None, {artifact.input.name: tensor})[0], lambda: None


def torch_cuda(weights: Path, half: bool, compiled: bool) -> tuple[Run, Callable[[], None]]:
    """The network in PyTorch, eager or compiled with CUDA graphs."""
    import torch

    from sigedge_models import load_checkpoint

    if not torch.cuda.is_available():
        raise RuntimeError("PyTorch finds no GPU here")
    kind = torch.float16 if half else torch.float32
    model, _ = load_checkpoint(weights)
    module: Any = model
    network = module.export_module().to("cuda", kind)
    run = torch.compile(network, mode="reduce-overhead") if compiled else network

    def infer(tensor: Array) -> Array:
        with torch.inference_mode():
            taken = torch.from_numpy(tensor).pin_memory().to("cuda", kind, non_blocking=True)
            return run(taken).float().cpu().numpy()

    return infer, torch.cuda.empty_cache


def measure_rates() -> Rates:
    """Large matrix products and copies on the GPU.

    Raises:
        ImportError: PyTorch is not installed.
        RuntimeError: it finds no GPU.
    """
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("PyTorch finds no GPU here")
    torch.backends.cuda.matmul.allow_tf32 = False
    one = torch.ones((MATRIX, MATRIX), device="cuda")
    half, small = one.half(), one.to(torch.int8)
    source = torch.ones(COPIED_BYTES, dtype=torch.uint8, device="cuda")
    target, host = torch.empty_like(source), torch.ones(TRANSFERRED_BYTES, dtype=torch.uint8).pin_memory()
    products = {
        "float32": lambda: one @ one,
        "float16": lambda: half @ half,
        "int8": lambda: torch._int_mm(small, small),
    }
    rates = {name: MATRIX**3 / fastest(product, torch.cuda.synchronize) for name, product in products.items()}
    return Rates(
        rates,
        2 * COPIED_BYTES / fastest(lambda: target.copy_(source), torch.cuda.synchronize),
        TRANSFERRED_BYTES / fastest(lambda: target[:TRANSFERRED_BYTES].copy_(host), torch.cuda.synchronize),
    )


def fastest(run: Callable[[], Any], wait: Callable[[], None], calls: int = 20) -> float:
    """Seconds of the fastest call."""
    found = []
    for _ in range(calls):
        start = time.perf_counter()
        run()
        wait()
        found.append(time.perf_counter() - start)
    return min(found)
