"""What the runtime adds to a network's own time, how soon a process answers, and how much a server gets through.

Usage: python benchmarks/engines.py [--small]

Writes benchmarks/results/engines-edgesig.json, the figures of docs/engines.md. Run it on a quiet machine; `--small`
only tries whether everything works, prints what it measured and writes nothing. The batched float32 network, with which
one engine a core is compared, is exported from models/weights on the way and needs the extra `export`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sigedge.bench.images import synthetic_scans
from sigedge.bench.summary import summarise
from sigedge.evaluation.results import provenance, write_result
from sigedge_runtime import Verifier

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "engines-edgesig.json"
WEIGHTS = ROOT / "models" / "weights" / "edgesig.safetensors"
USER, REFERENCES, SCANS, BATCHES = "ada", 5, 20, (1, 8, 32)
PEAK = """
import sys, sigedge.cli, sigedge.bench.machine
sys.argv = ["sigedge", *sys.argv[1:]]
try:
    sigedge.cli.main()
except SystemExit:
    print(sigedge.bench.machine.peak_rss_mb(), file=sys.stderr)
"""
PYTHON = "import sys\nfrom sigedge_runtime import Verifier\nVerifier.open(store=sys.argv[3]).verify(*sys.argv[1:3])"


def main(small: bool) -> None:
    """Measure everything and write the result."""
    repeats, processes = (20, 2) if small else (2000, 30)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = [folder / f"{number:02d}.png" for number in range(SCANS)]
        for path, scan in zip(images, synthetic_scans(0, SCANS), strict=True):
            cv2.imwrite(str(path), scan)
        store = folder / "templates.db"
        with Verifier.open(store=store) as verifier:
            verifier.enroll(USER, list(images[:REFERENCES]))
        rows = [*starts(images[-1], store, folder, processes)]
        with Verifier.open(store=store) as verifier:
            rows += overhead(verifier, images[-1], repeats)
            rows += throughput(verifier, images[REFERENCES:], repeats)
            rows += batches(verifier, folder, repeats)
            model, artifact = verifier.manifest.model, verifier.artifact
            choice = verifier.engine_choice
    facts = {"name": model.name, "version": model.version, "checkpoint_sha256": model.checkpoint_sha256}
    protocol = {"repeats": repeats, "processes": processes, "references": REFERENCES, "seed": 0}
    meta = provenance(model=facts, artifact=artifact.name, sha256=artifact.sha256, **protocol)
    result = {"rows": rows, "choice": None if choice is None else choice.to_dict(), "meta": meta}
    if small:
        print(json.dumps(result, indent=2))
    else:
        write_result(RESULT, result)


def starts(query: Path, store: Path, folder: Path, processes: int) -> Iterator[dict[str, Any]]:
    """From the start of a process to its end, with one verdict in between."""
    command = [sys.executable, "-m", "sigedge", "verify", str(query), "--user", USER, "--store", str(store)]
    first = [run(command, SIGEDGE_CACHE=str(folder / f"cache{number}")) for number in range(min(3, processes))]
    yield row("`sigedge verify`, first time on a machine", "ms", first)
    cache = str(folder / "cache0")
    yield row("`sigedge verify`", "ms", [run(command, SIGEDGE_CACHE=cache) for _ in range(processes)])
    python = [sys.executable, "-c", PYTHON, USER, str(query), str(store)]
    yield row(
        "`Verifier.open` and `verify` in Python", "ms", [run(python, SIGEDGE_CACHE=cache) for _ in range(processes)]
    )
    yield row(
        "of these, `import numpy, cv2`",
        "ms",
        [run([sys.executable, "-c", "import numpy, cv2"]) for _ in range(processes)],
    )
    peak = subprocess.run(
        [sys.executable, "-c", PEAK, *command[3:]],
        env={**os.environ, "SIGEDGE_CACHE": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    yield row("largest memory of `sigedge verify`", "MB", [float(peak.stderr.split()[-1])])


def overhead(verifier: Verifier, image: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """`Engine.infer` beside the interpreter's own call, in turn, so that what disturbs one disturbs both."""
    engine, canvas = verifier.engine, canvas_of(verifier, image)
    invoke = getattr(engine, "_interpreter").invoke  # noqa: B009
    calls: tuple[Callable[[], Any], ...] = (invoke, lambda: engine.infer(canvas))
    times: tuple[list[float], ...] = ([], [])
    for _ in range(repeats):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append((time.perf_counter() - start) * 1e6)
    yield row("`invoke` of the interpreter alone", "µs", times[0])
    yield row("`Engine.infer`", "µs", times[1])
    added = float(np.median(times[1]) - np.median(times[0]))
    yield {"what": "added by `Engine.infer`", "unit": "µs", "value": round(added, 2)}


def throughput(verifier: Verifier, images: list[Path], repeats: int) -> Iterator[dict[str, Any]]:
    """Whole verifications a second, by one worker and by one on each core."""
    pixels = [cv2.imread(str(path)) for path in images]
    pairs = [(USER, pixels[number % len(pixels)]) for number in range(repeats)]
    for count in sorted({1, len(os.sched_getaffinity(0))}):
        verify = lambda: verifier.verify_many(pairs, workers=count)  # noqa: B023, E731
        yield rate(f"`verify_many`, {count} workers", "verifications/s", repeats, verify)


def batches(verifier: Verifier, folder: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """The same network in float32, batched, on all cores: what one int8 engine a core is to be compared with."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    file = dynamic_onnx(folder / "dynamic.onnx")
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    height, width = verifier.engine.canvas_shape
    for size in BATCHES:
        tensor = np.random.default_rng(0).choice(np.float32([0, 255]), (size, 1, height, width))
        rounds = max(1, repeats // size)
        run_all = lambda: [session.run(None, {"canvas": tensor}) for _ in range(rounds)]  # noqa: B023, E731
        what = f"ONNX float32, batches of {size}, {options.intra_op_num_threads} threads"
        yield rate(what, "canvases/s", rounds * size, run_all)


def dynamic_onnx(file: Path) -> Path:
    """Export the deployed graph with a free batch axis."""
    import torch

    from sigedge_export.reference import deployed_module
    from sigedge_models.checkpoint import load_checkpoint

    model, info = load_checkpoint(WEIGHTS)
    canvas = torch.zeros(2, 1, info.preprocess["canvas_height"], info.preprocess["canvas_width"])
    torch.onnx.export(
        deployed_module(model),
        (canvas,),
        file,
        input_names=["canvas"],
        output_names=["embedding"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return file


def canvas_of(verifier: Verifier, image: Path) -> Any:
    """The canvas of an image file."""
    from sigedge_runtime import harmonise, read_image

    return harmonise(read_image(image), verifier.manifest.harmonisation).canvas


def run(command: list[str], **environment: str) -> float:
    """Milliseconds from the start of a process to its end."""
    start = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=False)
    elapsed = (time.perf_counter() - start) * 1e3
    if done.returncode not in (0, 1):
        sys.exit(done.stderr.decode())
    return elapsed


def rate(what: str, unit: str, count: int, work: Callable[[], object]) -> dict[str, Any]:
    """How many a second, the best of three rounds after one that warms up."""
    work()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return {"what": what, "unit": unit, "value": round(count / min(seconds), 1)}


def row(what: str, unit: str, values: list[float]) -> dict[str, Any]:
    """The median with its interval."""
    found = summarise(values)
    return {"what": what, "unit": unit, "value": found.p50, "value_ci95": list(found.p50_ci95), "n": found.n}


if __name__ == "__main__":
    main("--small" in sys.argv[1:])
