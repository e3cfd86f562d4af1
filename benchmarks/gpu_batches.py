"""TensorRT beside PyTorch and ONNX Runtime on one GPU, at several batch sizes, with the floor of each beside it.

Used by tensorrt_gpu.py. All take an array from page-locked memory of the host and give an array back to it. What does
not run is listed with its reason, so that a machine without PyTorch still measures the rest.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.bench.costs import Floor, floor, onnx_operations, totals
from sigedge.bench.summary import summarise
from sigedge.bench.team import orders
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import SigedgeError
from sigedge_runtime.manifest import Artifact

# Also when this file is loaded by its path, without its folder on Python's.
sys.path.insert(0, str(Path(__file__).resolve().parent))
from gpu_engines import Array, Rates, Run, measure_rates, onnxruntime_cuda, tensorrt, torch_cuda

WARM_UP = 20


@dataclass(frozen=True)
class Contender:
    """An engine with a precision at a batch size; `open` gives what runs one batch, and what frees it."""

    engine: str
    precision: str
    batch: int
    open: Callable[[], tuple[Run, Callable[[], None]]]


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


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
