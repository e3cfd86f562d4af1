"""The tables of identification say what the result file says, and nothing where it says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from sigedge.evaluation.columns import ABSENT
from sigedge.evaluation.columns_identity import TABLES
from sigedge.evaluation.tables import NOTHING, render

TIME = {"p50": 1.234, "p99": 5.678}
PARTS = {part: TIME for part in ("search", "read", "compare", "consistency", "remembered", "total")}
RESULT: dict[str, Any] = {
    "rows": [
        {
            "templates": 1_000_000,
            "spliced": 196_856,
            "queries": 300,
            "recall": {
                "lengths": {"1": 0.75, "50": 0.996},
                "kinds": {"synthetic": 1.0, "validation": 0.99},
                "short_list": 0.996,
                "short_list_by_faiss": 0.991,
                "faiss_of_exact_search": 0.981,
                "writer_wins": 0.993,
                "worst_place": None,
            },
            "matrix": {"ms": PARTS, "build_s": 0.2, "bytes": 392_000_000},
            "faiss": {"ms": PARTS, "build_s": 8.06, "bytes": 201_500_000},
        }
    ],
    "whole": [{"templates": 1000, "everybody_ms": TIME, "short_list_ms": TIME}],
    "constants": {"exact_up_to": 1000, "matrix_up_to": 100_000, "short_list": 50},
    "crossovers": {"short_list": 500, "faiss": None},
    "meta": {"model": {"name": "edgesig"}},
}


def last_row(name: str) -> list[str]:
    return [cell.strip() for cell in render(name, [RESULT]).splitlines()[-1].strip("|").split("|")]


def test_speed_and_memory() -> None:
    time = "1.23 (5.68)"
    assert last_row("identity-speed") == ["1,000,000", time, time, time, time, "392.0", "201.5", "8.1"]
    assert last_row("identity-parts") == ["1,000,000", *[time] * 6]


def test_recall_by_the_length_of_the_list() -> None:
    shown = ["1,000,000", "196,856", "300", "75.0", ABSENT, ABSENT, "99.6", ABSENT, ABSENT, ABSENT]
    assert last_row("identity-recall") == shown


def test_recall_of_the_list_as_it_is() -> None:
    kinds = "synthetic 100.0, validation 99.0"
    assert last_row("identity-answers") == ["1,000,000", "50", "99.6", "99.1", kinds, "98.1", "99.3"]


def test_both_ways_of_comparing() -> None:
    assert last_row("identity-everybody") == ["1,000", "1.23 (5.68)", "1.23 (5.68)"]


def test_constants_stand_beside_what_was_measured() -> None:
    rows = render("identity-constants", [RESULT]).splitlines()[2:]
    assert [row.split("|")[2].strip() for row in rows] == ["1,000", "100,000", "50"]
    assert [row.split("|")[3].strip() for row in rows] == ["500", ABSENT, ABSENT]


@pytest.mark.parametrize("name", TABLES)
def test_without_figures_there_is_no_table(name: str) -> None:
    assert render(name, [{}]) == NOTHING
