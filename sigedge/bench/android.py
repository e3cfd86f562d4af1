"""What `adb` and TensorFlow's `benchmark_model` tell of a phone, as rows of a bench's result file.

`benchmark_model` is the tool that TensorFlow publishes for Android; it times inference alone. Formats after its README
("TFLite Model Benchmark Tool with C++ Binary") and `adb shell getprop`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_STATISTICS = re.compile(r"count=(\d+) .*?min=(\S+) max=(\S+) avg=(\S+)(.*)")
_PERCENTILE = re.compile(r"\b(median|p\d+)=(\S+)")
_INFERENCE = re.compile(
    r"Inference timings in us: Init: (\S+), First inference: (\S+), Warmup \(avg\): (\S+), Inference \(avg\): (\S+)"
)
_PEAK = re.compile(r"Overall peak memory footprint \(MB\)[^:]*: (\S+)")
_XNNPACK = re.compile(r"XNNPACK delegate")


@dataclass(frozen=True)
class BenchmarkOutput:
    """What `benchmark_model` measured; milliseconds.

    Attributes:
        init_ms: loading the file and making the interpreter.
        first_ms: the first inference.
        mean_ms: of the inferences that count.
        count: of those.
        least_ms, most_ms: of those.
        percentiles: ``p50`` and others, where this build of the tool prints them.
        peak_mb: memory of the process, MB; None where it was not measured.
        delegate: ``XNNPACK`` or ``not told``.
    """

    init_ms: float
    first_ms: float
    mean_ms: float
    count: int
    least_ms: float
    most_ms: float
    percentiles: Mapping[str, float]
    peak_mb: float | None
    delegate: str


def parse_benchmark_model(text: str) -> BenchmarkOutput | None:
    """Read what the tool printed; None where it holds no timings."""
    timings = _INFERENCE.search(text)
    # The tool prints a line for the warm-up first, and one for the runs that count.
    counted = list(_STATISTICS.finditer(text))
    if timings is None or not counted:
        return None
    count, least, most, mean, rest = counted[-1].groups()
    peak = _PEAK.search(text)
    found = {"p50" if name == "median" else name: float(value) / 1e3 for name, value in _PERCENTILE.findall(rest)}
    return BenchmarkOutput(
        init_ms=float(timings[1]) / 1e3,
        first_ms=float(timings[2]) / 1e3,
        mean_ms=float(mean) / 1e3,
        count=int(count),
        least_ms=float(least) / 1e3,
        most_ms=float(most) / 1e3,
        percentiles=found,
        peak_mb=float(peak[1]) if peak else None,
        delegate="XNNPACK" if _XNNPACK.search(text) else "not told",
    )


def parse_properties(text: str) -> dict[str, str]:
    """What `getprop` prints, ``[name]: [value]`` a line, by name."""
    return dict(re.findall(r"^\[([^\]]+)\]: \[([^\]]*)\]\s*$", text, re.MULTILINE))


def describe_phone(properties: Mapping[str, str], governor: str, cores: int) -> dict[str, Any]:
    """The `machine` entry of a result file."""
    known = {name: properties.get(name) or "not known" for name in _PROPERTIES}
    chip = " ".join(part for part in (properties.get("ro.soc.manufacturer"), properties.get("ro.soc.model")) if part)
    return {
        "cpu": chip or known["ro.board.platform"],
        "architecture": known["ro.product.cpu.abi"],
        "cores": cores,
        "governor": governor.strip() or "not known",
        "os": f"Android {known['ro.build.version.release']}",
        "model": f"{known['ro.product.manufacturer']} {known['ro.product.model']}",
        "power_mode": "not known",
    }


_PROPERTIES = (
    "ro.board.platform",
    "ro.product.cpu.abi",
    "ro.build.version.release",
    "ro.product.manufacturer",
    "ro.product.model",
)


def phone_row(output: BenchmarkOutput, artifact: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """The row of a run: inference alone, so that it has no total.

    Args:
        output: of the tool.
        artifact: ``name``, ``format``, ``precision``, ``sha256`` and ``size``.
        threads: that it ran on.
    """
    percentiles = {name: output.percentiles.get(name) for name in ("p50", "p90", "p95", "p99")}
    infer = {**percentiles, "n": output.count, "mean": output.mean_ms, "max": output.most_ms, "p50_ci95": None}
    return {
        "contestant": f"{artifact['name']} on benchmark_model, {threads} thread{'s' * (threads != 1)}",
        "kind": "ours",
        "threads": threads,
        "engine": "benchmark_model",
        "engine_version": "",
        "artifact": artifact["name"],
        "format": artifact["format"],
        "precision": artifact["precision"],
        "sha256": artifact["sha256"],
        "size": artifact["size"],
        "source": "memory",
        "weights": "trained",
        "delegate": output.delegate,
        "cold_start_ms": {"load": {"p50": output.init_ms}, "first_run": {"p50": output.first_ms}},
        "stages_ms": {"infer": infer},
        "percentiles_ms": None,
        "waited": None,
        "peak_rss_mb": output.peak_mb,
        "selftest": None,
    }
