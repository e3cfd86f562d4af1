"""The table of what the runtime costs."""

from __future__ import annotations

from sigedge.evaluation.tables import NOTHING, render

RESULT = {
    "rows": [
        {"what": "`Engine.infer`", "unit": "µs", "value": 255.123, "value_ci95": [250.0, 260.04], "n": 9},
        {"what": "int8, 2 workers", "unit": "canvases/s", "value": 7123.4},
        {"what": "unknown", "unit": "ms", "value": None},
    ]
}


def test_a_row_for_each_figure() -> None:
    assert render("engines", [RESULT]).splitlines() == [
        "| what | median [95 %] | unit |",
        "| :--- | ---: | ---: |",
        "| `Engine.infer` | 255.1 [250, 260] | µs |",
        "| int8, 2 workers | 7,123 | canvases/s |",
        "| unknown | \N{EN DASH} | ms |",
    ]


def test_without_a_result_nothing_is_claimed() -> None:
    assert render("engines", []) == NOTHING
