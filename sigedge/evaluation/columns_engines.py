"""The generated table of what the runtime costs: start, inference, throughput."""

from __future__ import annotations

from collections.abc import Iterator

from sigedge.evaluation.columns import ABSENT, Result, Row, Table, text


def _rows(result: Result) -> Iterator[Row]:
    yield from result.get("rows") or ()


def _value(row: Row) -> str:
    value, interval = row.get("value"), row.get("value_ci95")
    if value is None:
        return ABSENT
    shown = f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
    return shown if interval is None else f"{shown} [{interval[0]:,.4g}, {interval[1]:,.4g}]"


TABLES: dict[str, Table] = {
    "engines": Table(
        "engines-*.json",
        _rows,
        (("what", text("what")), ("median [95 %]", _value), ("unit", text("unit"))),
    ),
}
