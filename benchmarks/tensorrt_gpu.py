"""Build, prove and time a bundle's TensorRT plans on the GPU here; writes a file of benchmarks/results/.

Usage: python benchmarks/tensorrt_gpu.py BUNDLE [--out PATH] [--cache DIR] [--repeats N] [--signers N]
       [--batches 1,32,256] [--weights PATH]

Every ONNX file of the bundle is built, then compared with the float32 ONNX file on ONNX Runtime over all pairs of
synthetic canvases, then timed with and without a CUDA graph: one canvas a call, from the host's memory and back to it.
Then plans of several batch sizes take turns with PyTorch, eager and compiled, and ONNX Runtime on the GPU, each beside
the least it could take (gpu_batches.py).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.bench.summary import summarise
from sigedge.evaluation.results import provenance, write_result
from sigedge.export_inputs import PARITY_SEED, synthetic_parity_set
from sigedge_export.inputs import ParitySet, make_pairs
from sigedge_export.statistics import pair_scores, score_change
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.decision import Decision
from sigedge_runtime.engines import open_engine
from sigedge_runtime.errors import SigedgeError
from sigedge_runtime.manifest import Artifact
from sigedge_runtime.tensorrt import BuildOptions, build_engine
from sigedge_runtime.tensorrt.cuda import find_cuda
from sigedge_runtime.tensorrt.machine import this_machine
from sigedge_runtime.tensorrt.plans import PlanFolder
from sigedge_runtime.tensorrt.session import Session

FORMAT_VERSION = 1
PRECISIONS = ("float32", "float16", "int8")
WARM_UP = 50
RESULTS = Path(__file__).resolve().parent / "results"

# The script also runs loaded by its path, without its folder on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent))
import gpu_batches  # noqa: E402

Embeddings = NDArray[np.float32]


def main(arguments: Sequence[str] | None = None) -> Path:
    """Measure and write the result file; its path."""
    options = parse(arguments)
    samples = synthetic_parity_set(signers=options.signers)
    with Bundle.open(options.bundle) as bundle:
        machine = describe_gpu()
        rows = measure(bundle, samples, options.cache, options.repeats)
        batches = measure_batches(bundle, samples, options)
        model = bundle.manifest.model
    measured = {row["precision"] for row in rows}
    out = options.out or RESULTS / f"tensorrt-{model.name}-{slug(machine['gpu'])}.json"
    result = {
        "format_version": FORMAT_VERSION,
        "meta": provenance(
            model={"name": model.name, "version": model.version, "checkpoint_sha256": model.checkpoint_sha256},
            seed=PARITY_SEED,
            gpu=machine,
        ),
        "protocol": {
            "canvases": samples.source,
            "pairs": len(make_pairs(samples)),
            "reference": "float32 ONNX on onnxruntime, CPU",
            "latency": "one canvas a call: copy in, infer, copy out, wait; outliers kept",
            "warm_up": WARM_UP,
            "repeats": options.repeats,
        },
        "energy": "not measured",
        "not_in_bundle": [precision for precision in PRECISIONS if precision not in measured],
        "rows": rows,
        "batches": batches,
    }
    write_result(out, result)
    print(f"written: {out}")
    return out


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/tensorrt-MODEL-GPU.json")
    parser.add_argument("--cache", type=Path, help="folder of the plans; default: that of sigedge build-engine")
    parser.add_argument("--repeats", type=int, default=2000, help="timed inferences for each plan and way of running")
    parser.add_argument("--signers", type=int, default=16, help="synthetic signers of the comparison")
    parser.add_argument("--batches", type=numbers, default=(1, 32, 256), help="batch sizes, e.g. 1,32,256")
    parser.add_argument("--weights", type=Path, help="checkpoint for PyTorch; without it PyTorch is left out")
    return parser.parse_args(arguments)


def numbers(text: str) -> tuple[int, ...]:
    """Numbers with commas between."""
    return tuple(int(part) for part in text.split(",") if part)


def measure_batches(bundle: Bundle, samples: ParitySet, options: argparse.Namespace) -> dict[str, Any]:
    """TensorRT beside PyTorch and ONNX Runtime at each batch size, each held against ONNX Runtime on the CPU."""
    reference = bundle.artifact(format="onnx", precision="float32")
    with open_engine("onnxruntime", reference, bundle.path(reference.file)) as engine:
        expected = engine.infer_batch(samples.canvases)

    def judge(found: Embeddings) -> dict[str, float | int]:
        return compare(found, expected, samples, bundle.manifest.verification)

    return gpu_batches.measure(bundle, samples.canvases, options.batches, options.repeats, options.weights, judge)


def measure(bundle: Bundle, samples: ParitySet, cache: Path | None, repeats: int) -> list[dict[str, Any]]:
    """One row for each ONNX file of the bundle."""
    reference = bundle.artifact(format="onnx", precision="float32")
    with open_engine("onnxruntime", reference, bundle.path(reference.file)) as engine:
        expected = engine.infer_batch(samples.canvases)
    rows = []
    for artifact in bundle.artifacts(format="onnx"):
        print(f"{artifact.name}", file=sys.stderr)
        outcome = build_engine(
            artifact,
            bundle.path(artifact.file),
            bundle.manifest.model.parameters,
            BuildOptions(folder=cache),
            announce=lambda sentence: print(f"  {sentence}", file=sys.stderr),
        )
        row = {"artifact": artifact.name, "precision": artifact.precision, "plan": outcome.record.to_dict()}
        rows.append({**row, **run(artifact, samples, expected, bundle.manifest.verification, cache, repeats)})
    return rows


def run(
    artifact: Artifact, samples: ParitySet, expected: Embeddings, decision: Decision, cache: Path | None, repeats: int
) -> dict[str, Any]:
    """Parity and latency of one plan, with and without a CUDA graph."""
    machine = this_machine()
    plan = PlanFolder(cache).load(artifact, machine.key(artifact))
    tensors = [canvas.astype(np.float32).reshape(artifact.input.shape) for canvas in samples.canvases]
    found: dict[bool, Embeddings] = {}
    latency = {}
    for graph in (True, False):
        session = Session(machine.library, find_cuda(), plan, graph=graph)
        try:
            if session.graph_refusal is not None:
                raise SystemExit(f"{artifact.name} runs without a CUDA graph. {session.graph_refusal}")
            found[graph] = np.concatenate([session.run(tensor) for tensor in tensors])
            latency["graph" if graph else "enqueue"] = asdict(summarise(time_runs(session, tensors, repeats)))
        finally:
            session.close()
    return {
        "parity": compare(found[True], expected, samples, decision),
        "graph_equals_enqueue": bool(np.array_equal(found[True], found[False])),
        "latency_ms": latency,
    }


def time_runs(session: Session, tensors: list[NDArray[np.float32]], repeats: int) -> list[float]:
    """Wall-clock milliseconds of single inferences on the tensors in turn, after the warm-up."""
    times = []
    for index in range(WARM_UP + repeats):
        tensor = tensors[index % len(tensors)]
        start = time.perf_counter()
        session.run(tensor)
        if index >= WARM_UP:
            times.append((time.perf_counter() - start) * 1e3)
    return times


def compare(found: Embeddings, expected: Embeddings, samples: ParitySet, decision: Decision) -> dict[str, float | int]:
    """Scores of all pairs, as the bundle compares, against the reference's: differences, and decisions that flip."""
    pairs, threshold = make_pairs(samples), decision.operating_point(decision.default_operating_point, 1).threshold
    compared = decision.similarity, decision.rule
    before, after = (pair_scores(rows, pairs, *compared) for rows in (expected, found))
    return asdict(score_change(before, after, threshold))


def describe_gpu() -> dict[str, str]:
    """The GPU, the libraries under the plans, and the power mode of a Jetson."""
    cuda, machine = find_cuda(), this_machine()
    versions = {name: cuda.call(f"cuda{name}GetVersion") for name in ("Runtime", "Driver")}
    return {
        "gpu": cuda.device().name,
        "compute_capability": machine.compute_capability,
        "tensorrt": machine.library.title,
        "cuda_runtime": cuda_version(versions["Runtime"]),
        "cuda_driver": cuda_version(versions["Driver"]),
        "clocks": "not locked by this script",
        "power_mode": power_mode(),
    }


def power_mode() -> str:
    """What nvpmodel says on a Jetson."""
    if shutil.which("nvpmodel") is None:
        return "not known"
    said = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, check=False).stdout
    return " ".join(said.split()) or "not known"


def cuda_version(number: int) -> str:
    """12060 is 12.6."""
    return f"{number // 1000}.{number % 1000 // 10}"


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


if __name__ == "__main__":
    try:
        main()
    except SigedgeError as error:
        sys.exit(f"tensorrt_gpu: {error}")
