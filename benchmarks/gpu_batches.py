"""TensorRT beside PyTorch and ONNX Runtime on one GPU, at several batch sizes, with the floor of each beside it.

Used by tensorrt_gpu.py. All take an array from page-locked memory of the host and give an array back to it. What does
not run is listed with its reason, so that a machine without PyTorch still measures the rest.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.bench.costs import Floor, floor, onnx_operations, totals
from sigedge.bench.summary import summarise
from sigedge.bench.team import orders
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import EngineError, SigedgeError
from sigedge_runtime.manifest import Artifact

WARM_UP = 20
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


@dataclass(frozen=True)
class Contender:
    """An engine with a precision at a batch size; `open` gives what runs one batch, and what frees it."""

    engine: str
    precision: str
    batch: int
    open: Callable[[], tuple[Run, Callable[[], None]]]


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


def measure(
    bundle: Bundle,
    canvases: NDArray[np.uint8],
    batches: Sequence[int],
    repeats: int,
    weights: Path | None,
    judge: Callable[[Array], dict[str, float | int]],
) -> dict[str, Any]:
    """Rows of every engine, precision and batch size that run here, those that do not, and the rates of the GPU.

    Args:
        bundle: with ONNX files.
        canvases: uint8 [N, H, W] to run on.
        batches: sizes.
        repeats: timed batches of each.
        weights: checkpoint of the network for PyTorch; None leaves PyTorch out.
        judge: parity of embeddings [N, D] of the canvases.
    """
    rates, not_run = None, []
    try:
        rates = measure_rates()
    except (ImportError, RuntimeError) as error:
        not_run.append({"contender": "rates of the GPU", "reason": first_line(error)})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for batch in batches:
            ready, absent = opened(contenders(bundle, Path(folder), batch, weights))
            not_run += absent
            rows += list(timed_rows(ready, bundle, canvases, repeats, rates, judge))
            for _, _, close in ready:
                close()
    return {"rates": None if rates is None else asdict(rates), "rows": rows, "not_run": not_run}


def contenders(bundle: Bundle, folder: Path, batch: int, weights: Path | None) -> Iterator[Contender]:
    """Everybody at one batch size."""
    for artifact in bundle.artifacts(format="onnx"):
        path = bundle.path(artifact.file)
        yield Contender("tensorrt", artifact.precision, batch, lambda a=artifact, p=path: tensorrt(a, p, folder, batch))
        if artifact.precision != "int8":  # its QDQ nodes run one by one there
            yield Contender(
                "onnxruntime-cuda", artifact.precision, batch, lambda a=artifact, p=path: onnxruntime_cuda(a, p, batch)
            )
    if weights is not None:
        for precision in ("float32", "float16"):
            for compiled in (False, True):
                name = "torch.compile" if compiled else "torch"
                yield Contender(
                    name, precision, batch, lambda p=precision, c=compiled: torch_cuda(weights, p == "float16", c)
                )


def opened(
    everybody: Iterator[Contender],
) -> tuple[list[tuple[Contender, Run, Callable[[], None]]], list[dict[str, str]]]:
    """Those that open, and those that do not with the reason."""
    ready, absent = [], []
    for contender in everybody:
        try:
            run, close = contender.open()
        except (ImportError, RuntimeError, ValueError, SigedgeError) as error:
            name = f"{contender.engine} {contender.precision}, batch {contender.batch}"
            absent.append({"contender": name, "reason": first_line(error)})
        else:
            ready.append((contender, run, close))
    return ready, absent


def timed_rows(
    ready: Sequence[tuple[Contender, Run, Callable[[], None]]],
    bundle: Bundle,
    canvases: NDArray[np.uint8],
    repeats: int,
    rates: Rates | None,
    judge: Callable[[Array], dict[str, float | int]],
) -> Iterator[dict[str, Any]]:
    """A row for each: they run one batch in turn, in an order drawn anew each round."""
    if not ready:
        return
    shape = bundle.artifact(format="onnx", precision="float32").input.shape
    batch = ready[0][0].batch
    tensors = list(in_batches(canvases, batch, shape))
    times: list[list[float]] = [[] for _ in ready]
    for number, order in enumerate(orders(len(ready), WARM_UP + repeats)):
        tensor = tensors[number % len(tensors)]
        for index in order:
            start = time.perf_counter()
            ready[index][1](tensor)
            if number >= WARM_UP:
                times[index].append((time.perf_counter() - start) * 1e3)
    for (contender, run, _), taken in zip(ready, times, strict=True):
        found = np.concatenate([run(tensor) for tensor in tensors])[: len(canvases)]
        latency = summarise(taken)
        yield {
            "engine": contender.engine,
            "precision": contender.precision,
            "batch": batch,
            "latency_ms": asdict(latency),
            "canvases_a_second": round(1e3 * batch / latency.p50, 1),
            "parity": judge(found),
            **least(bundle, contender, rates, latency.p50),
        }


def least(bundle: Bundle, contender: Contender, rates: Rates | None, median: float) -> dict[str, Any]:
    """Bytes, multiply-accumulates and the floor of a contender, and how many times its floor it took."""
    import onnx

    names = {artifact.precision for artifact in bundle.artifacts(format="onnx")}
    precision = contender.precision if contender.precision in names else "float32"
    artifact = bundle.artifact(format="onnx", precision=precision)
    operations = onnx_operations(onnx.load(str(bundle.path(artifact.file))), contender.batch)
    facts: dict[str, Any] = totals(operations)
    if rates is None or contender.precision not in rates.multiply_accumulates:
        return {"cost": facts, "floor": None, "times_floor": None}
    found = floor(operations, rates.multiply_accumulates[contender.precision], rates.bandwidth)
    transfer = transfer_ms(artifact, contender.batch, rates.transfer)
    return {
        "cost": facts,
        "floor": {**asdict(found), "transfer_ms": transfer},
        "times_floor": round(median / whole_floor(found, transfer), 2),
    }


def transfer_ms(artifact: Artifact, batch: int, rate: float) -> float:
    """Milliseconds that input and output take between host and GPU."""
    sizes = (int(np.prod(one.shape)) * np.dtype(one.dtype).itemsize for one in (artifact.input, artifact.output))
    return 1e3 * batch * sum(sizes) / rate


def whole_floor(found: Floor, transfer: float) -> float:
    """Copying and computing follow each other for one batch: milliseconds."""
    return found.together_ms + transfer


def in_batches(canvases: NDArray[np.uint8], batch: int, shape: Sequence[int]) -> Iterator[Array]:
    """float32 tensors of a batch each; the last is filled up from the front."""
    count = -(-len(canvases) // batch) * batch
    whole = np.resize(canvases, (count, *canvases.shape[1:])).astype(np.float32)
    yield from whole.reshape(-1, batch, *shape[1:])


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


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
