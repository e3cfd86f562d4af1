"""The generated tables of soundness: what fuzzing found, and a soak of many threads."""

from __future__ import annotations

from collections.abc import Iterator

from sigedge.evaluation.columns import ABSENT, Result, Row, Table, decimals, pick, text


def _fuzz_rows(result: Result) -> Iterator[Row]:
    for row in result.get("rows") or ():
        outcomes = row["outcomes"]
        ended = outcomes.get("read", 0) + outcomes.get("written", 0)
        yield {**row, "ended": ended, "refused": outcomes.get("refused", 0), "found": len(row["defects"])}


def _soak_rows(result: Result) -> Iterator[Row]:
    yield {**result, "failed": sum((result.get("errors") or {}).values()), "gone": len(result.get("lost") or ())}


def _growth(row: Row) -> str:
    found = pick(row, "peak_growth_kb")
    return ABSENT if found is None else f"{found / 1024:.0f}"


def _minutes(row: Row) -> str:
    found = pick(row, "seconds")
    return ABSENT if found is None else f"{found / 60:.1f}"


FUZZ = Table(
    "fuzz.json",
    _fuzz_rows,
    (
        ("cases", text("kind")),
        ("files", text("cases")),
        ("bytes", text("bytes")),
        ("read", text("ended")),
        ("refused with a sentence", text("refused")),
        ("anything else", text("found")),
        ("longest, ms", decimals(0, "slowest_ms")),
        ("growth of memory, MB", _growth),
    ),
)
SOAK = Table(
    "soak-*.json",
    _soak_rows,
    (
        ("artefact on engine", lambda row: f"{row['artifact']} on {row['engine']}"),
        ("minutes", _minutes),
        ("threads", text("threads")),
        ("verifications", text("verifications")),
        ("enrolments", text("enrolments")),
        ("errors", text("failed")),
        ("lost enrolments", text("gone")),
        ("memory once warm, MB", decimals(0, "warm_mb")),
        ("at the end, MB", decimals(0, "end_mb")),
        ("growth, MB a minute", decimals(2, "mb_per_minute")),
    ),
)
TABLES = {"fuzz": FUZZ, "soak": SOAK}
