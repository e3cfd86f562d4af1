"""The generated tables of benches: everybody who took turns, the figures and their limits, and first verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sigedge.evaluation.columns import ABSENT, Result, Row, Table, decimals, percent, pick, text

LEAST_SHARE = 0.005
"""Parts of a profile below it have no row."""


def _contestants(result: Result) -> Iterator[Row]:
    """All rows of a file, the fastest first, with how many times the fastest of ours each took."""
    ours, beside = result.get("runs") or (), [*(result.get("floors") or ()), *(result.get("peers") or ())]
    rows = [row for row in (*ours, *beside) if row.get("contestant") and pick(row, "stages_ms", "total")]
    own = [
        pick(row, "stages_ms", "total", "p50") for row in rows if row["kind"] == "ours" and row.get("source") != "png"
    ]
    for row in sorted(rows, key=lambda row: float(pick(row, "stages_ms", "total", "p50"))):
        yield {**row, "device": result.get("device_id"), "times": pick(row, "stages_ms", "total", "p50") / min(own)}


def _figures(result: Result) -> Iterator[Row]:
    for figure in result.get("figures") or ():
        yield {**figure, "device": result.get("device_id")}


def _first_verdicts(result: Result) -> Iterator[Row]:
    for name, found in (result.get("first_verdict_ms") or {}).items():
        yield {**found, "process": name, "device": result.get("device_id")}


def _devices(result: Result) -> Iterator[Row]:
    """Inference alone, which every device has, phones too."""
    for row in result.get("runs") or ():
        if row.get("contestant") and row.get("source") != "png":
            yield {**row, "device": result.get("device_id"), "machine": result.get("machine")}


def _parts(result: Result) -> Iterator[Row]:
    """Every part of a profile, what it is part of above it."""
    whole = pick(result, "tree")
    if whole:
        yield from _below(whole, 0, whole["ms"])


def _below(part: Row, depth: int, whole: float) -> Iterator[Row]:
    yield {"part": "· " * depth + part["name"], "ms": part["ms"], "share": part["ms"] / whole}
    for child in part["children"]:
        if child["ms"] >= LEAST_SHARE * whole:
            yield from _below(child, depth + 1, whole)


def _floors(result: Result) -> Iterator[Row]:
    if result.get("floor"):
        yield {**result["floor"], "meta": result.get("meta")}


def _million(name: str, factor: float = 1e-6) -> Callable[[Row], str]:
    return lambda row: f"{factor * row[name]:.1f}"


def _interval(row: Row) -> str:
    total = pick(row, "stages_ms", "total")
    low, high = total["p50_ci95"]
    return f"{total['p50']:.2f} [{low:.2f}, {high:.2f}]"


def _value(row: Row) -> str:
    if row.get("value") is None:
        return ABSENT
    shown = f"{row['value']:.4g}"
    return shown if row.get("low") is None else f"{shown} [{row['low']:.4g}, {row['high']:.4g}]"


def _times_ours(row: Row) -> str:
    estimate, low, high = row["times_ours"]
    return f"{estimate:.1f} [{low:.1f}, {high:.1f}]"


TABLES: dict[str, Table] = {
    "performance": Table(
        "bench-*.json",
        _contestants,
        (
            ("one verification, 10 references", text("contestant")),
            ("median ms [95 %]", _interval),
            ("p99 ms", decimals(2, "stages_ms", "total", "p99")),
            ("preprocess ms", decimals(2, "stages_ms", "preprocess", "p50")),
            ("infer ms", decimals(2, "stages_ms", "infer", "p50")),
            ("match ms", decimals(2, "stages_ms", "match", "p50")),
            ("times the fastest of ours", decimals(1, "times")),
            ("cold start ms", decimals(0, "cold_start_ms", "process", "p50")),
            ("peak MiB", decimals(0, "peak_rss_mb")),
            ("weights", text("weights")),
            ("device", text("device")),
        ),
    ),
    "figures": Table(
        "bench-*.json",
        _figures,
        (
            ("figure, of one run", text("name")),
            ("measured [95 %]", _value),
            ("must", text("must")),
            ("goal", text("goal")),
            ("reached", text("reached")),
            ("device", text("device")),
        ),
    ),
    "first-verdict": Table(
        "bench-*.json",
        _first_verdicts,
        (
            ("process", text("process")),
            ("start to first verdict, ms", decimals(0, "p50")),
            ("times sigedge verify [95 %]", _times_ours),
            ("device", text("device")),
        ),
    ),
    "devices": Table(
        "bench-*.json",
        _devices,
        (
            ("device", text("device")),
            ("artefact", text("artifact")),
            ("engine", text("engine")),
            ("threads", text("threads")),
            ("infer ms", decimals(2, "stages_ms", "infer", "p50")),
            ("p95 ms", decimals(2, "stages_ms", "infer", "p95")),
            ("verification ms", decimals(2, "stages_ms", "total", "p50")),
            ("processor", text("machine", "cpu")),
        ),
    ),
    "profile": Table(
        "profile-*.json",
        _parts,
        (
            ("part", text("part")),
            ("ms", decimals(3, "ms")),
            ("share", percent("share")),
        ),
    ),
    "network-floor": Table(
        "profile-*.json",
        _floors,
        (
            ("artefact", text("meta", "artifact")),
            ("engine", text("meta", "engine")),
            ("million multiply-accumulates", _million("multiply_accumulates")),
            ("kB of weights", _million("weight_bytes", 1e-3)),
            ("kB of activations", _million("activation_bytes", 1e-3)),
            ("billion multiply-accumulates a second here", decimals(0, "giga_multiply_accumulates_a_second")),
            ("GB a second here", decimals(0, "gigabytes_a_second")),
            ("arithmetic ms", decimals(3, "arithmetic_ms")),
            ("memory ms", decimals(3, "memory_ms")),
            ("floor ms", decimals(3, "together_ms")),
            ("bare network ms", decimals(3, "invoke_ms")),
            ("times the floor", decimals(2, "times_floor")),
        ),
    ),
}
