"""The page itself: figures and pictures into the template, and the template into a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sigedge_export.lab import BisectReport, LayerNoise
from sigedge_export.lab.noise import EXACT
from sigedge_export.report.data import MOST_WAITED, ReportData, Row, headline, rows
from sigedge_export.report.picture import BOX_HEIGHT, BOX_WIDTH, draw_chain, kilobytes
from sigedge_export.report.plots import histogram, scatter
from sigedge_export.report.verdict import NO, SIZE_ONLY, YES
from sigedge_export.statistics import Interval
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import ExportError

# A layer this clean, or cleaner, fills its bar.
CLEAN_DB = 60.0
TONES = {YES: "yes", SIZE_ONLY: "maybe", NO: "no"}


@dataclass(frozen=True)
class Plots:
    """Parity plots of one artefact."""

    row: Row
    scatter: Markup
    histogram: Markup


@dataclass(frozen=True)
class NoisyLayer:
    """A layer with the length of its bar in percent; `noisiest` marks the artefact's worst."""

    noise: LayerNoise
    bar: float
    noisiest: bool


def write_report(path: Path, data: ReportData) -> Path:
    """Write a report, whole or not at all, making its folder.

    Raises:
        ExportError: the file cannot be written.
        ParityError: the model states no tolerances for a precision.
    """
    page = render_report(data)
    try:
        return write_atomically(path, page.encode())
    except OSError as error:
        raise ExportError(f"The report {path} cannot be written ({error.strerror}); name another file.") from error


def render_report(data: ReportData) -> str:
    """The report as HTML text.

    Raises:
        ParityError: the model states no tolerances for a precision.
    """
    environment = Environment(
        loader=PackageLoader("sigedge_export.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(kb=kilobytes, points=points, ends=ends, scientific=scientific, decibels=decibels)
    made = rows(data)
    return environment.get_template("report.html.j2").render(
        data=data,
        model=data.manifest.model,
        rows=made,
        headline=headline(made),
        tones=TONES,
        picture=draw_chain(data, made),
        box=(BOX_WIDTH, BOX_HEIGHT),
        plots=plots(data, made),
        bisections=[(report, noisy_layers(report)) for report in data.bisections],
        refusals=[sentence for file in data.parity.files for sentence in file.refused_by],
        most_waited=MOST_WAITED,
        busiest=max((latency.waited for latency in data.latencies), default=0.0),
        largest=max(row.file.size for row in made),
        slowest=max((row.latency.p50.high for row in made if row.latency is not None), default=1.0),
    )


def plots(data: ReportData, made: Sequence[Row]) -> list[Plots]:
    """Plots of every artefact, each on the first engine that ran it; none when the scores were not kept."""
    scores = data.parity.scores
    if scores is None:
        return []
    first = {row.parity.artifact: row for row in reversed(made)}
    drawn = []
    for row in sorted(first.values(), key=lambda row: row.number):
        found, name = scores.rows[row.number], f"p{row.number}"
        drawn.append(
            Plots(
                row,
                Markup(scatter(f"{name}s", scores.kind, scores.reference, found, data.parity.threshold)),
                Markup(histogram(f"{name}h", scores.reference, found)),
            )
        )
    return drawn


def noisy_layers(report: BisectReport) -> list[NoisyLayer]:
    """Layers of the last hop, which made the artefact, with their bars, in the order of execution."""
    layers = report.hops[-1].layers if report.hops else ()
    worst = min(layers, key=lambda layer: layer.sqnr_db, default=None)
    return [
        NoisyLayer(layer, round(100 * min(max(layer.sqnr_db / CLEAN_DB, 0.0), 1.0), 1), layer is worst)
        for layer in layers
    ]


def points(value: Interval) -> str:
    """The ends of a difference of rates, 0 to 1, in percentage points."""
    return f"[{100 * value.low:+.2f}, {100 * value.high:+.2f}]"


def ends(value: Interval) -> str:
    """The ends of an interval, two decimals."""
    return f"[{value.low:.2f}, {value.high:.2f}]"


def scientific(value: float) -> str:
    """A small difference: five decimals, or its power of ten where those would show nothing."""
    if value == 0 or value >= 5e-5:
        return f"{value:.5f}"
    return f"{value:.0e}".replace("e-0", "e-")


def decibels(value: float) -> str:
    """A ratio in dB, in words where the tensors are equal or hold NaN or infinity."""
    if abs(value) < EXACT:
        return f"{value:.1f} dB"
    return "exact" if value > 0 else "not finite"
