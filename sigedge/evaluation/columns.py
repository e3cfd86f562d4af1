"""What each generated table shows: its result files, its rows, and one line for every column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Result = Mapping[str, Any]
Row = Mapping[str, Any]
ABSENT = "–"  # noqa: RUF001


@dataclass(frozen=True)
class Table:
    """One generated table.

    Attributes:
        files: pattern of the result files' names.
        rows: the rows that one result gives.
        columns: heading and how to show a cell, in order; the first is left-aligned, the others right-aligned.
    """

    files: str
    rows: Callable[[Result], Iterator[Row]]
    columns: tuple[tuple[str, Callable[[Row], str]], ...]


def model_of(result: Result) -> str:
    """Name of the model that a result is about; empty for a result about data."""
    model = pick(result, "meta", "model") or pick(result, "model") or ""
    name = model.get("name", "") if isinstance(model, Mapping) else str(model)
    return str(name).split(" ")[0]


def pick(values: Any, *path: str) -> Any:
    """Value at a path of nested mappings; None where a step is missing."""
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def text(*path: str) -> Callable[[Row], str]:
    """Show a value as it is."""
    return lambda row: ABSENT if pick(row, *path) is None else str(pick(row, *path))


def percent(*path: str) -> Callable[[Row], str]:
    """Show a rate, 0 to 1, in percent."""
    return lambda row: _shown(pick(row, *path), 100, ".1f")


def decimals(count: int, *path: str) -> Callable[[Row], str]:
    """Show a number with a fixed number of decimals."""
    return lambda row: _shown(pick(row, *path), 1, f".{count}f")


def percent_interval(*path: str) -> Callable[[Row], str]:
    """Show a rate in percent with the interval stored beside it as ``NAME_ci95``."""
    *above, name = path

    def show(row: Row) -> str:
        interval = pick(row, *above, f"{name}_ci95")
        shown = _shown(pick(row, *path), 100, ".1f")
        return shown if not interval else f"{shown} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"

    return show


def points(count: int, name: str) -> Callable[[Row], str]:
    """Show a difference of rates in percentage points, with its interval, as a paired comparison stores it."""

    def show(row: Row) -> str:
        if pick(row, name, "estimate") is None:
            return ABSENT
        estimate, low, high = (f"{100 * row[name][end]:+.{count}f}" for end in ("estimate", "low", "high"))
        return f"{estimate} [{low}, {high}]"

    return show


def median_and_tail(stage: str) -> Callable[[Row], str]:
    """Show median and 95th percentile of a latency, milliseconds."""

    def show(row: Row) -> str:
        times = pick(row, "stages_ms", stage)
        return ABSENT if not times else f"{times['p50']:.2f} ({times['p95']:.2f})"

    return show


def _shown(value: Any, factor: float, form: str) -> str:
    return ABSENT if value is None else format(factor * value, form)


def _accuracy_rows(result: Result) -> Iterator[Row]:
    for count, figures in sorted((pick(result, "references") or {}).items(), key=lambda item: int(item[0])):
        if figures.get("signers"):
            data = f"{result.get('dataset')} {result.get('split', '')}".strip()
            yield {**figures, "data": data, "count": count, "gates": result.get("leak_gates"), "all": result}


def _leak_rows(result: Result) -> Iterator[Row]:
    verdict = {True: "passed", False: "FAILED", None: ABSENT}[result.get("passed")]
    yield {**result, "verdict": verdict}


def _parity_rows(result: Result) -> Iterator[Row]:
    for row in result.get("rows") or ():
        yield {
            **row,
            "ran": f"{row.get('artifact')} on {row.get('engine')}",
            "pairs": result.get("pairs"),
            "source": result.get("source"),
        }


def _latency_rows(result: Result) -> Iterator[Row]:
    for run in result.get("runs") or ():
        if run.get("source") == "png" or not pick(run, "stages_ms", "total"):
            continue
        ran = f"{run.get('artifact')} on {run.get('engine')} {run.get('engine_version', '')}".strip()
        threads = run.get("threads") or pick(result, "protocol", "threads")
        yield {**run, "ran": ran, "machine": result.get("machine"), "threads": threads}


def _localisation_rows(result: Result) -> Iterator[Row]:
    for name, found in (result.get("sets") or {}).items():
        yield {**found, "pages_of": name}


def _size(row: Row) -> str:
    return _shown(row.get("size"), 1 / 1000, ".0f")


def _inference(row: Row) -> str:
    median = pick(row, "latency", "p50")
    return ABSENT if median is None else f"{median['estimate']:.2f} [{median['low']:.2f}, {median['high']:.2f}]"


def _flipped(row: Row) -> str:
    return ABSENT if row.get("flipped") is None else f"{row['flipped']} of {row['pairs']}"


TABLES: dict[str, Table] = {
    "accuracy": Table(
        "accuracy-*.json",
        _accuracy_rows,
        (
            ("data set", text("data")),
            ("artefact", text("all", "artifact")),
            ("signers", text("signers")),
            ("references", text("count")),
            ("EER skilled [95 %]", percent_interval("eer_skilled")),
            ("EER random [95 %]", percent_interval("eer_random")),
            ("EER per signer", percent("eer_per_signer_mean")),
            ("FRR at FAR 1 %", percent("frr_at_far_1pct")),
            ("FAR skilled / random", lambda row: f"{percent('far_skilled')(row)} / {percent('far_random')(row)}"),
            ("FRR", percent("frr")),
            ("Cllr (least)", lambda row: f"{decimals(2, 'cllr')(row)} ({decimals(2, 'min_cllr')(row)})"),
            ("background and ink AUC", decimals(2, "gates", "background_ink_auc")),
            ("skeleton AUC", decimals(2, "gates", "skeleton_auc")),
            ("reference swap AUC", decimals(2, "gates", "reference_swap_auc")),
        ),
    ),
    "leaks": Table(
        "leaks-*.json",
        _leak_rows,
        (
            ("data set", text("dataset")),
            ("signers", text("signers")),
            ("background and ink, raw", decimals(2, "raw", "background_ink_auc")),
            ("background and ink, canvas", decimals(2, "canvas", "background_ink_auc")),
            ("gate", text("verdict")),
            ("skeleton and texture, raw", decimals(2, "raw", "skeleton_auc")),
            ("skeleton and texture, canvas", decimals(2, "canvas", "skeleton_auc")),
        ),
    ),
    "parity": Table(
        "parity-*.json",
        _parity_rows,
        (
            ("signatures", text("source")),
            ("artefact on engine", text("ran")),
            ("kB", _size),
            ("bytes a weight", decimals(2, "bytes_per_parameter")),
            ("largest score difference", decimals(5, "max_score_difference")),
            ("99th percentile", decimals(5, "p99_score_difference")),
            ("flipped decisions", _flipped),
            ("EER change, points [95 %]", points(2, "eer_difference")),
            ("inference ms [95 %]", _inference),
            ("worth it beside float32", text("verdict", "short")),
        ),
    ),
    "localisation": Table(
        "system-localisation.json",
        _localisation_rows,
        (
            ("test pages", text("pages_of")),
            ("pages", text("pages")),
            ("signatures", text("signatures")),
            ("AP at IoU 0.5 [95 %]", percent_interval("average_precision")),
            ("precision", percent("precision")),
            ("recall", percent("recall")),
            ("false alarms a page", decimals(2, "false_alarms_per_page")),
        ),
    ),
    "latency": Table(
        "bench-*.json",
        _latency_rows,
        (
            ("artefact on engine", text("ran")),
            ("kB", _size),
            ("preprocess ms", median_and_tail("preprocess")),
            ("infer ms", median_and_tail("infer")),
            ("match ms", median_and_tail("match")),
            ("total ms", median_and_tail("total")),
            ("cold start ms", decimals(0, "cold_start_ms", "process", "p50")),
            ("peak MiB", decimals(0, "peak_rss_mb")),
            ("threads", text("threads")),
            ("processor", text("machine", "cpu")),
        ),
    ),
}
