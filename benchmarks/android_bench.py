"""Measure a bundle's TFLite files on an Android phone over USB; writes a file that the page of benches joins.

Usage: python benchmarks/android_bench.py BENCHMARK_MODEL [BUNDLE] --device-id NAME [--threads N]... [--cpus MASK]

BENCHMARK_MODEL is TensorFlow's `benchmark_model` for the phone's architecture (aarch64 on phones of today), a program
that needs neither Python nor an installation; where to get it stands in docs/performance.md. The phone needs USB
debugging, a charged battery, and nothing else to do. The tool times inference alone: preprocessing and matching of a
whole verification are not in its figures.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sigedge.bench.android import describe_phone, parse_benchmark_model, parse_properties, phone_row
from sigedge.bench.measure import FORMAT_VERSION
from sigedge.evaluation.results import write_result
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import EngineError, EngineUnavailableError, SigedgeError

PLACE = "/data/local/tmp/sigedge-bench"
WARM_UP, RUNS, SECONDS = 50, 1000, 600
RESULTS = Path(__file__).resolve().parent / "results"


def main(arguments: Sequence[str] | None = None) -> Path:
    """Measure and write the result file; its path."""
    options = parse(arguments)
    if not options.benchmark_model.is_file():
        raise EngineUnavailableError(
            f"There is no program {options.benchmark_model}; docs/performance.md says where to get benchmark_model."
        )
    adb("shell", "mkdir", "-p", PLACE)
    adb("push", str(options.benchmark_model), f"{PLACE}/benchmark_model")
    adb("shell", "chmod", "755", f"{PLACE}/benchmark_model")
    with Bundle.open(options.bundle) as bundle:
        model = bundle.manifest.model
        runs = [row for threads in options.threads or [1] for row in measure(bundle, threads, options.cpus)]
    result = {
        "format_version": FORMAT_VERSION,
        "device_id": options.device_id,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": {"name": model.name, "version": model.version, "checkpoint_sha256": model.checkpoint_sha256},
        "machine": phone(),
        "libraries": {},
        "protocol": {
            "input": "random tensor of benchmark_model: inference alone",
            "warm_up": WARM_UP,
            "repeats": RUNS,
            "affinity": options.cpus or "not set",
            "outliers": "kept",
        },
        "energy": "not measured",
        "board": battery(),
        "runs": runs,
    }
    out: Path = options.out or RESULTS / f"bench-{options.device_id}.json"
    write_result(out, result)
    adb("shell", "rm", "-r", PLACE)
    print(f"written: {out}")
    return out


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmark_model", type=Path)
    parser.add_argument("bundle", type=Path, nargs="?", help="default: the bundle shipped with the runtime")
    parser.add_argument(
        "--device-id", required=True, type=device_id, help="what the page calls the phone, e.g. pixel-8"
    )
    parser.add_argument("--threads", type=int, action="append", help="may be repeated; default: 1")
    parser.add_argument("--cpus", help="mask for taskset, e.g. f0 for the large cores of many phones; default: any")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/bench-DEVICE.json")
    return parser.parse_args(arguments)


def device_id(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is None:
        raise argparse.ArgumentTypeError("letters, digits, '.', '_' and '-' only, e.g. pixel-8")
    return text


def measure(bundle: Bundle, threads: int, cpus: str | None) -> list[dict[str, Any]]:
    """A row for each TFLite file of the bundle.

    Raises:
        EngineError: the tool printed no timings; the sentence holds its last line.
    """
    rows = []
    for artifact in bundle.artifacts(format="tflite"):
        there = f"{PLACE}/{artifact.name}.tflite"
        adb("push", str(bundle.path(artifact.file)), there)
        pinned = ["taskset", cpus] if cpus else []
        said = adb("shell", *pinned, f"{PLACE}/benchmark_model", *tool_options(there, threads))
        output = parse_benchmark_model(said)
        if output is None:
            last = (said.strip().splitlines() or ["it printed nothing"])[-1]
            raise EngineError(
                f"benchmark_model did not time {artifact.name} ({last}); take one of the phone's architecture."
            )
        facts = {name: getattr(artifact, name) for name in ("name", "format", "precision", "sha256", "size")}
        rows.append(phone_row(output, facts, threads))
    return rows


def tool_options(graph: str, threads: int) -> list[str]:
    return [
        f"--graph={graph}",
        f"--num_threads={threads}",
        f"--warmup_runs={WARM_UP}",
        f"--num_runs={RUNS}",
        "--use_xnnpack=true",
        "--report_peak_memory_footprint=true",
    ]


def phone() -> dict[str, Any]:
    """The phone's `machine` entry."""
    governor = adb("shell", "cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null || true")
    cores = adb("shell", "grep -c ^processor /proc/cpuinfo").strip()
    return describe_phone(parse_properties(adb("shell", "getprop")), governor, int(cores) if cores.isdigit() else 0)


def battery() -> dict[str, str]:
    """Level and temperature after the runs: a hot or empty phone slows down."""
    said = adb("shell", "dumpsys", "battery")
    found = dict(re.findall(r"^\s*(level|temperature|status): (\S+)", said, re.MULTILINE))
    return {f"battery_{name}": value for name, value in found.items()}


def adb(*arguments: str) -> str:
    """What a command of adb printed, both streams together.

    Raises:
        EngineUnavailableError: adb is not installed, or no phone answers.
    """
    if shutil.which("adb") is None:
        raise EngineUnavailableError("adb is not installed; install Android's platform-tools and connect a phone.")
    done = subprocess.run(
        ["adb", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False
    )
    if done.returncode != 0 and arguments[0] != "shell":
        last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
        raise EngineUnavailableError(
            f"adb {arguments[0]} failed ({last}); connect one phone with USB debugging allowed."
        )
    if "no devices/emulators found" in done.stdout or "device unauthorized" in done.stdout:
        raise EngineUnavailableError("No phone answers; connect one phone with USB debugging allowed.")
    return done.stdout


if __name__ == "__main__":
    try:
        main()
    except SigedgeError as error:
        sys.exit(f"android_bench: {error}")
