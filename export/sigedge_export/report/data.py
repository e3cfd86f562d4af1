"""What a report is made of, and the conclusions drawn from it; nothing here knows of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sigedge_export.audit import FileFacts
from sigedge_export.chain import Hop
from sigedge_export.gate import Breach, breaches
from sigedge_export.lab import BisectReport
from sigedge_export.parity import ArtifactParity, ParityReport
from sigedge_export.report.verdict import Evidence, Verdict, judge
from sigedge_export.statistics import Interval
from sigedge_export.tolerances import Tolerances
from sigedge_runtime.manifest import Manifest

REFERENCE = "float32"
# A file that waits longer for the processor has a time that says more of the machine than of the file.
MOST_WAITED = 0.1
# Which int8 file the page's first sentence is about: what a phone runs, then what an accelerator runs.
HEADLINES = (("int8", "tflite"), ("int8", "onnx"))


@dataclass(frozen=True)
class Latency:
    """Inference time of one artefact on one engine, one thread, measured in turn with all others.

    Attributes:
        artifact: name in the bundle.
        engine: name of the engine.
        n: measurements.
        p50: median with its interval, milliseconds.
        speedup: median of the float32 artefact of the same format and engine over this one's, from the same
            rounds; None when there is none to compare with, or the machine was too busy to tell.
        waited: share of its time that the process waited for the processor, 0 to 1.
    """

    artifact: str
    engine: str
    n: int
    p50: Interval
    speedup: Interval | None
    waited: float = 0.0


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows.

    Attributes:
        manifest: of the bundle.
        created: ISO date and time of the report.
        machine: what it was measured on, by name.
        versions: of the libraries, by name.
        parity: of every artefact on every engine.
        tolerances: the model's, by precision.
        latencies: in any order; SavedModels and torch programs have none.
        hops: steps of the export, in order; empty when they were not recorded.
        bisections: layer by layer, of those artefacts that were traced.
        fault: why the export was refused, in one sentence; None when it was not.
    """

    manifest: Manifest
    created: str
    machine: Mapping[str, str | int]
    versions: Mapping[str, str]
    parity: ParityReport
    tolerances: Mapping[str, Tolerances]
    latencies: tuple[Latency, ...] = ()
    hops: Sequence[Hop] = ()
    bisections: Sequence[BisectReport] = ()
    fault: str | None = None


@dataclass(frozen=True)
class Row:
    """One artefact on one engine, with what follows from its figures.

    Attributes:
        parity: its figures.
        file: what its file says of itself.
        latency: None where it was not measured.
        faults: figures beyond the model's tolerances, in words.
        verdict: whether it is worth it beside float32; None for float32 itself and where the bundle has no
            float32 artefact of the format.
        number: place of its scores in ``parity.scores``.
    """

    parity: ArtifactParity
    file: FileFacts
    latency: Latency | None
    faults: tuple[str, ...]
    verdict: Verdict | None
    number: int


def rows(data: ReportData) -> tuple[Row, ...]:
    """One row for each of the parity report's, in its order.

    Raises:
        ParityError: the model states no tolerances for a precision.
    """
    found = breaches(data.parity, data.tolerances)
    times = {(latency.artifact, latency.engine): latency for latency in data.latencies}
    files = {file.artifact: file for file in data.parity.files}
    made = []
    for number, parity in enumerate(data.parity.rows):
        here = (parity.artifact, parity.engine)
        faults = tuple(_in_words(fault) for fault in found if (fault.artifact, fault.engine) == here)
        row = Row(
            parity, files[parity.artifact], times.get((parity.artifact, engine_name(parity))), faults, None, number
        )
        made.append(row)
    return tuple(replace(row, verdict=_verdict(row, _sibling(row, made), data.tolerances)) for row in made)


def headline(made: Sequence[Row]) -> Row | None:
    """The row that answers "is int8 worth it?": int8 TFLite, else int8 ONNX, on the first engine; None without."""
    for precision, format_ in HEADLINES:
        for row in made:
            if (row.parity.precision, row.parity.format) == (precision, format_) and row.verdict is not None:
                return row
    return None


def summary(data: ReportData) -> dict[str, Any]:
    """Plain values for JSON: the parity report with latency, loading and verdict in each row."""
    made = rows(data)
    first = headline(made)
    return {
        **data.parity.to_dict(),
        "rows": [_plain(row) for row in made],
        "verdict": None if first is None or first.verdict is None else asdict(first.verdict),
        "fault": data.fault,
    }


def engine_name(row: ArtifactParity) -> str:
    """Name of the engine without its version."""
    return row.engine.partition(" ")[0]


def _in_words(fault: Breach) -> str:
    return str(fault).replace("_", " ")


def _sibling(row: Row, made: Sequence[Row]) -> Row | None:
    """The float32 artefact of the same format on the same engine; None for itself."""
    for other in made:
        same = (other.parity.format, other.parity.engine) == (row.parity.format, row.parity.engine)
        if same and other.parity.precision == REFERENCE and row.parity.precision != REFERENCE:
            return other
    return None


def _verdict(row: Row, whole: Row | None, tolerances: Mapping[str, Tolerances]) -> Verdict | None:
    if whole is None:
        return None
    return judge(
        Evidence(
            eer_difference=row.parity.eer_difference,
            tolerance=tolerances[row.parity.precision].eer_difference,
            speedup=None if row.latency is None else row.latency.speedup,
            shrinkage=whole.file.size / row.file.size,
            faults=row.faults,
        )
    )


def _plain(row: Row) -> dict[str, Any]:
    return {
        **asdict(row.parity),
        "size": row.file.size,
        "bytes_per_parameter": row.file.bytes_per_parameter,
        "loads_on": list(row.file.loads_on),
        "faults": list(row.faults),
        "latency": None if row.latency is None else asdict(row.latency),
        "verdict": None if row.verdict is None else {**asdict(row.verdict), "short": row.verdict.short},
    }
