"""Where the time of a verification goes, and how far the network is from its floor; writes a result file and a picture.

Usage: python benchmarks/profile_verification.py [BUNDLE] [--repeats N] [--out PATH] [--picture PATH] [--draw-only]

The stages come from the verdicts; the calls of the preprocessing are recorded and timed one by one; the network is run
bare. The floor is what its multiply-accumulates take at the fastest rate of an integer matrix product measured here,
and its bytes at the bandwidth of the cache that the largest operation fits into, also measured here. With --draw-only
the picture is drawn from the result file that is there.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from sigedge.bench import costs
from sigedge.bench.contestants import STAGES
from sigedge.bench.floor import bare_call
from sigedge.bench.images import synthetic_scans
from sigedge.bench.recorder import Call, record
from sigedge.bench.team import processors
from sigedge.bench.worker import pin
from sigedge.evaluation.results import provenance, read_result, write_result
from sigedge_runtime import Verifier
from sigedge_runtime.engines import engine_class
from sigedge_runtime.errors import EngineError, SigedgeError
from sigedge_runtime.preprocessing import harmonise

FORMAT_VERSION = 1
SEED, REFERENCES, USER, WARM_UP, FUNCTIONS = 0, 10, "profile", 20, 12
ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "profile.png"
INK, SOFT = "#1d2330", "#8a92a0"
SHADES = {"decode": "#b9bfca", "preprocess": "#e3a07f", "infer": "#8fb1de", "match": "#9ccbb0", "rest": "#e6e3da"}
LEAST_LABELLED, LONGEST_LABEL = 0.018, 13
LETTER = 0.0065  # width of a letter, share of the picture

Node = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> Path:
    """Measure, write the result file and draw it; its path."""
    options = parse(arguments)
    if options.draw_only:
        out = options.out or ROOT / "benchmarks" / "results" / "profile-edgesig.json"
    else:
        result = measure(options.bundle, options.repeats)
        out = options.out or ROOT / "benchmarks" / "results" / f"profile-{result['meta']['model']['name']}.json"
        write_result(out, result)
        print(f"written: {out}")
    draw(read_result(out), options.picture)
    print(f"written: {options.picture}")
    return out


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, nargs="?", help="default: the bundle shipped with the runtime")
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/profile-MODEL.json")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--draw-only", action="store_true")
    return parser.parse_args(arguments)


def measure(bundle: Path | None, repeats: int) -> dict[str, Any]:
    """The profile of the best int8 artefact as plain values, milliseconds."""
    cv2.setNumThreads(1)
    pin(processors(1))
    scans = synthetic_scans(SEED, REFERENCES + 1)
    with Verifier.open(bundle, precision="int8", selftest=False) as verifier:
        verifier.enroll(USER, scans[:REFERENCES])
        artifact, engine = verifier.artifact, verifier.engine.name
        path, spec = verifier.bundle.path(artifact.file), verifier.manifest.harmonisation
        calls = record(lambda image: harmonise(image, spec), scans[-1])
        bare = bare_call(engine, artifact, str(path), 1)
        began, ran = time.perf_counter(), time.process_time()
        stages, each, invoke = time_parts(verifier, scans[-1], calls, bare, repeats)
        waited = max(0.0, 1 - (time.process_time() - ran) / (time.perf_counter() - began))
        model = verifier.manifest.model
        return {
            "format_version": FORMAT_VERSION,
            "meta": provenance(
                model={"name": model.name, "version": model.version, "checkpoint_sha256": model.checkpoint_sha256},
                seed=SEED,
                artifact=artifact.name,
                engine=f"{engine} {verifier.engine.version()}",
                repeats=repeats,
                affinity=processors(1),
                waited=round(waited, 4),
            ),
            "tree": tree(stages, [(call.name, spent) for call, spent in zip(calls, each, strict=True)], invoke),
            "floor": network_floor(path, engine, artifact.format, invoke),
            "functions": list(busiest_functions(verifier, scans[-1], repeats)),
        }


def time_parts(
    verifier: Verifier, scan: Any, calls: Sequence[Call], invoke: Callable[[], Any], repeats: int
) -> tuple[dict[str, float], list[float], float]:
    """Median milliseconds of each stage and the whole, of each recorded call, and of the bare network.

    They take turns, so that what disturbs the machine for a while disturbs all of them.
    """
    stages: dict[str, list[float]] = {name: [] for name in (*STAGES, "total")}
    each: list[list[float]] = []
    bare: list[float] = []
    for index in range(-WARM_UP, repeats):
        total, timings = timed(lambda: verifier.verify(USER, scan).timings)
        of_calls = [timed(call.function, *call.arguments, **call.keywords)[0] for call in calls]
        alone, _ = timed(invoke)
        if index < 0:
            continue
        for name, spent in {**timings.to_dict(), "total": total}.items():
            stages[name].append(spent)
        each.append(of_calls)
        bare.append(alone)
    medians = {name: float(np.median(times)) for name, times in stages.items()}
    return medians, np.median(each, axis=0).tolist(), float(np.median(bare))


def timed(run: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[float, Any]:
    """Milliseconds of a call, and what it returned."""
    start = time.perf_counter()
    result = run(*arguments, **keywords)
    return (time.perf_counter() - start) * 1e3, result


def tree(stages: dict[str, float], calls: list[tuple[str, float]], invoke: float) -> Node:
    """What holds what: the whole, its stages, and within them the library calls and what lies around them."""
    inside = {
        "preprocess": with_rest(stages["preprocess"], list(grouped(calls)), "checks, quality, Python"),
        "infer": with_rest(stages["infer"], [node("invoke", invoke)], "copies, checks, norm"),
    }
    parts = [node(name, stages[name], inside.get(name, [])) for name in STAGES]
    return node("verification", stages["total"], with_rest(stages["total"], parts, "between the stages"))


def grouped(calls: list[tuple[str, float]]) -> Iterator[Node]:
    """Calls of one function together, the longest first."""
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for name, spent in calls:
        sums[name] = sums.get(name, 0.0) + spent
        counts[name] = counts.get(name, 0) + 1
    for name in sorted(sums, key=lambda name: -sums[name]):
        yield node(name if counts[name] == 1 else f"{name} x {counts[name]}", sums[name])


def with_rest(whole: float, parts: list[Node], rest: str) -> list[Node]:
    """The parts and what the whole takes beyond them; medians do not add up exactly, so a rest below 0 is none."""
    return [*parts, node(rest, max(0.0, whole - sum(part["ms"] for part in parts)))]


def node(name: str, spent: float, children: list[Node] | None = None) -> Node:
    return {"name": name, "ms": round(spent, 4), "children": children or []}


def network_floor(path: Path, engine: str, file_format: str, invoke: float) -> dict[str, Any]:
    """Multiply-accumulates, bytes, the rates measured here, and how far the bare run of the network is from them."""
    if file_format != "tflite":
        raise EngineError(f"The floor is worked out for TFLite files, not for {path.name}; install sigedge[litert].")
    operations = costs.tflite_operations(path, engine_class(engine).library())
    # What one operation moves fits into a cache, and main memory would be no floor.
    largest = max(one.weight_bytes + one.activation_bytes for one in operations)
    rate, bandwidth = costs.int8_rate(), costs.memory_bandwidth(largest // 2)
    if rate is None:
        raise EngineError("No integer matrix product is installed to measure a rate with; install sigedge[export].")
    floor = costs.floor(operations, rate, bandwidth)
    return {
        **costs.totals(operations),
        "operations": len(operations),
        "giga_multiply_accumulates_a_second": round(rate / 1e9, 1),
        "gigabytes_a_second": round(bandwidth / 1e9, 1),
        "largest_operation_bytes": largest,
        **{name: round(value, 4) for name, value in asdict(floor).items()},
        "invoke_ms": round(invoke, 4),
        "times_floor": round(invoke / floor.together_ms, 2),
    }


def busiest_functions(verifier: Verifier, scan: Any, repeats: int) -> Iterator[dict[str, Any]]:
    """Functions with the most time of their own under Python's profiler, which itself slows Python down."""
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(repeats):
        verifier.verify(USER, scan)
    profiler.disable()
    stats: Any = pstats.Stats(profiler)
    entries = sorted(stats.stats.items(), key=lambda entry: -entry[1][2])[:FUNCTIONS]
    whole = stats.total_tt
    for (file, _, name), (_, calls, own, _, _) in entries:
        where = "" if file == "~" else f"{Path(file).stem}."
        yield {"function": f"{where}{name}", "calls": round(calls / repeats, 1), "share": round(own / whole, 4)}


def draw(result: dict[str, Any], path: Path) -> None:
    """An icicle: each row is what the row above is made of, as wide as the time it takes."""
    figure, axes = plt.subplots(figsize=(11, 4), dpi=110)
    whole = result["tree"]["ms"]
    _draw_node(axes, result["tree"], 0.0, 0, whole, "rest")
    floor = result["floor"]
    axes.set(xlim=(0, whole), ylim=(-3.05, 1), yticks=[])
    axes.set_xlabel(
        f"milliseconds, medians; bare network {floor['invoke_ms']:.3f} ms, its floor {floor['together_ms']:.3f} ms",
        color=SOFT,
        fontsize=9,
    )
    axes.tick_params(colors=SOFT, labelsize=8)
    axes.spines[["top", "left", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None}, facecolor="white")
    plt.close(figure)


def _draw_node(axes: Axes, item: Node, start: float, depth: int, whole: float, shade: str) -> None:
    shade = item["name"] if item["name"] in SHADES else shade
    axes.barh(-depth, item["ms"], left=start, height=0.94, color=SHADES[shade], edgecolor="white", linewidth=0.8)
    if item["ms"] > LEAST_LABELLED * whole:
        text = item["name"].removeprefix("cv2.").removeprefix("numpy.")
        upright = item["ms"] < LETTER * len(text) * whole
        label = text[:LONGEST_LABEL] if upright else f"{text}\n{item['ms']:.2f}"
        middle = start + item["ms"] / 2
        axes.text(
            middle,
            -depth,
            label,
            ha="center",
            va="center",
            fontsize=7,
            color=INK,
            rotation=90 if upright else 0,
            clip_on=True,
        )
    for child in item["children"]:
        _draw_node(axes, child, start, depth + 1, whole, shade)
        start += child["ms"]


if __name__ == "__main__":
    try:
        main()
    except SigedgeError as error:
        sys.exit(f"profile_verification: {error}")
