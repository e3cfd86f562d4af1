"""The page itself: result files into the template, and the template into a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sigedge.bench.contestants import OURS, PEER
from sigedge.bench.report.plots import Point, against_errors, distributions, stage_bars
from sigedge.evaluation.results import read_result
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import DataError

TEMPLATE = "bench.html.j2"
PATTERN = "bench-*.json"
READABLE = 2
DATASET, REFERENCES = "cedar-half", "5"
TONES = {"goal": "yes", "must": "maybe", "missed": "no", "not measured": "maybe"}
NOTHING = "\N{EN DASH}"
MEASURED_HERE = ("stages_ms", "percentiles_ms")

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Device:
    """What the page shows of one result file."""

    result: Result
    rows: Sequence[Mapping[str, Any]]
    fastest: str | None
    stages: Markup | None
    distributions: Markup | None


@dataclass(frozen=True)
class ErrorRates:
    """Equal error rate, 0 to 1, and bytes of the int8 file by name of the model; ``source`` says on what data."""

    rates: Mapping[str, float]
    sizes: Mapping[str, int]
    source: str


def write_page(path: Path, results: Sequence[Result], errors: ErrorRates | None = None) -> Path:
    """Write the page of one or several devices, whole or not at all, making its folder.

    Args:
        path: HTML file.
        results: contents of result files of `measure_bundle`, at least one.
        errors: of `error_rates`; None leaves the plots against error rates out.

    Raises:
        DataError: the file cannot be written.
    """
    page = render_page(results, errors or ErrorRates({}, {}, ""))
    try:
        return write_atomically(path, page.encode())
    except OSError as error:
        raise DataError(f"The page {path} cannot be written ({error.strerror}); name another file.") from error


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Result files of benches in a folder that this version can read, by name.

    Raises:
        DataError: a file cannot be read, or there is none.
    """
    found = [read_result(path) for path in sorted(folder.glob(PATTERN))]
    readable = [result for result in found if result.get("format_version") == READABLE]
    if not readable:
        raise DataError(f"{folder} holds no {PATTERN} that this version can read; measure with sigedge bench --json.")
    return readable


def error_rates(folder: Path) -> ErrorRates:
    """Error rates of the int8 files that were scored on one data set with five references, from their result files.

    Raises:
        DataError: a file cannot be read.
    """
    rates, sizes = {}, {}
    for path in sorted(folder.glob(f"accuracy-*-{DATASET}.json")):
        result = read_result(path)
        model, figures = result["meta"]["model"]["name"], result["references"].get(REFERENCES)
        if figures and figures.get("eer_skilled") is not None:
            rates[model], sizes[model] = figures["eer_skilled"], result["meta"]["artifact"]["size"]
    return ErrorRates(rates, sizes, f"test signers of {DATASET}, {REFERENCES} references")


def render_page(results: Sequence[Result], errors: ErrorRates) -> str:
    """The page as HTML text, without a script or anything to fetch."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("sigedge.bench.report"), PackageLoader("sigedge_export.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(ms=milliseconds, ends=ends, number=number)
    return environment.get_template(TEMPLATE).render(
        devices=[_device(index, result) for index, result in enumerate(results)],
        tones=TONES,
        error_plots=list(_error_plots(results, errors)),
        errors=errors,
    )


def fastest(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The contestant that is faster than every other beyond doubt; None where intervals of the medians overlap."""
    ordered = sorted(rows, key=lambda row: row["stages_ms"]["total"]["p50"])
    if len(ordered) < 2 or ordered[0]["stages_ms"]["total"]["p50_ci95"][1] >= min(
        row["stages_ms"]["total"]["p50_ci95"][0] for row in ordered[1:]
    ):
        return None
    return str(ordered[0]["contestant"])


def milliseconds(value: float | None) -> str:
    """Three significant digits or more; a dash where it was not measured."""
    if value is None:
        return NOTHING
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def ends(interval: Sequence[float] | None) -> str:
    """The ends of an interval; nothing without one."""
    return "" if interval is None or interval[0] is None else f"[{number(interval[0])}, {number(interval[1])}]"


def number(value: float | None) -> str:
    """A figure with as many decimals as it deserves."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _device(index: int, result: Result) -> Device:
    rows = [*result["runs"], *result.get("floors", ()), *result.get("peers", ())]
    whole = [row for row in rows if all(row.get(key) for key in MEASURED_HERE) and "total" in row["stages_ms"]]
    return Device(
        result=result,
        rows=sorted(rows, key=lambda row: row["stages_ms"].get("total", {"p50": 0.0})["p50"]),
        fastest=fastest([row for row in whole if row["kind"] in (OURS, PEER)]),
        stages=Markup(stage_bars(f"s{index}", whole)) if whole else None,
        distributions=Markup(distributions(f"d{index}", whole)) if whole else None,
    )


def _error_plots(results: Sequence[Result], errors: ErrorRates) -> Iterator[tuple[str, str, Markup]]:
    """Title, description and plot."""
    devices = [f", {result['device_id']}" if len(results) > 1 else "" for result in results]
    points = [p for result, device in zip(results, devices, strict=True) for p in _times(result, errors, device)]
    if points:
        plot = against_errors("et", points, "milliseconds of a verification, median")
        yield (
            "Time against error rate",
            "Median time of a verification against the error rate of its model.",
            Markup(plot),
        )
    sizes = [
        Point(model, OURS if model.startswith("edgesig") else PEER, errors.sizes[model] / 1000, rate)
        for model, rate in errors.rates.items()
    ]
    if sizes:
        plot = against_errors("es", sizes, "int8 file, kB")
        yield "Size against error rate", "Size of the int8 file against its error rate.", Markup(plot)


def _times(result: Result, errors: ErrorRates, device: str) -> Iterator[Point]:
    for row in [*result["runs"], *result.get("peers", ())]:
        model = row.get("model", result["model"]["name"] if row["kind"] == OURS else "")
        total = row["stages_ms"].get("total")
        if model in errors.rates and total and row["threads"] == 1 and row.get("source") != "png":
            name = f"{model} {row['precision']}, {row['engine']}{device}"
            yield Point(name, row["kind"], total["p50"], errors.rates[model])
