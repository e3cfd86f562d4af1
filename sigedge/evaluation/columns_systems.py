"""The generated table of all systems."""

from __future__ import annotations

from collections.abc import Iterator

from sigedge.evaluation.columns import ABSENT, Result, Row, Table, decimals, pick, text


def _rows(result: Result) -> Iterator[Row]:
    yield from result.get("rows") or ()


def _here(row: Row) -> str:
    value, interval = row.get("value"), row.get("ci95")
    if value is None:
        return ABSENT
    return f"{value:.3g}" if interval is None else f"{value:.3g} [{interval[0]:.3g}, {interval[1]:.3g}]"


def _thousands(row: Row) -> str:
    return ABSENT if not row.get("parameters") else f"{row['parameters'] / 1000:,.0f}"


def _size(row: Row) -> str:
    return ABSENT if row.get("int8_size") is None else f"{row['int8_size'] / 1000:,.0f}"


def _formats(row: Row) -> str:
    if row.get("exported") is None:
        return ABSENT
    built = pick(row, "tensorrt_rtx") or []
    return f"{row['exported']}, TensorRT-RTX {' and '.join(built)}" if built else str(row["exported"])


TABLES: dict[str, Table] = {
    "systems": Table(
        "systems.json",
        _rows,
        (
            ("system", text("system")),
            ("network", text("network")),
            ("task", text("task")),
            ("metric", text("metric")),
            ("there", text("reference_metric")),
            ("here [95 %]", _here),
            ("parameters, thousands", _thousands),
            ("int8 file, kB", _size),
            ("int8 against float32", text("int8_change")),
            ("int8 ms", decimals(2, "int8_ms", "value")),
            ("chain", _formats),
        ),
    ),
}
