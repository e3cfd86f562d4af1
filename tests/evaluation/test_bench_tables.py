"""Tables of README and docs that come from benches and the profile."""

from __future__ import annotations

import copy
from typing import Any

from sigedge.evaluation.columns import ABSENT
from sigedge.evaluation.tables import NOTHING, render


def times(p50: float) -> dict[str, Any]:
    return {"p50": p50, "p95": p50 + 0.1, "p99": p50 + 0.2, "p50_ci95": [p50 - 0.05, p50 + 0.05]}


def run(name: str, kind: str, total: float, **facts: Any) -> dict[str, Any]:
    stages = {stage: times(total / 4) for stage in ("decode", "preprocess", "infer", "match")}
    row = {
        "contestant": name,
        "kind": kind,
        "artifact": name,
        "engine": "litert",
        "threads": 1,
        "stages_ms": {**stages, "total": times(total)},
        "peak_rss_mb": 80.4,
        "weights": "trained",
    }
    return {**row, "cold_start_ms": {"process": times(200)}, **facts}


RESULT = {
    "device_id": "desk",
    "model": {"name": "edgesig"},
    "machine": {"cpu": "Some CPU"},
    "runs": [run("int8", "ours", 1.0, source="memory"), run("png", "ours", 3.0, source="png")],
    "floors": [run("bare", "floor", 0.9)],
    "peers": [run("peer", "peer", 20.0, weights="random")],
    "figures": [
        {"name": "a", "value": 20.0, "low": 19.0, "high": 21.0, "must": 15, "goal": 30, "reached": "must"},
        {"name": "b", "value": None, "low": None, "high": None, "must": 1, "goal": 2, "reached": "not measured"},
        {"name": "c", "value": 1.25, "low": None, "high": None, "must": 3, "goal": 1.2, "reached": "must"},
    ],
    "first_verdict_ms": {"sigedge verify": {**times(200), "times_ours": [1, 1, 1]}},
}
PROFILE = {
    "meta": {"model": {"name": "edgesig"}, "artifact": "int8", "engine": "litert 2.1.0"},
    "tree": {
        "name": "verification",
        "ms": 2.0,
        "children": [{"name": "infer", "ms": 0.5, "children": [{"name": "invoke", "ms": 0.4, "children": []}]}],
    },
    "floor": {
        "multiply_accumulates": 86_000_000,
        "weight_bytes": 300_000,
        "activation_bytes": 1_700_000,
        "giga_multiply_accumulates_a_second": 500.0,
        "gigabytes_a_second": 200.0,
        "arithmetic_ms": 0.17,
        "memory_ms": 0.01,
        "together_ms": 0.18,
        "invoke_ms": 0.25,
        "times_floor": 1.39,
    },
}


def column(table: str, heading: str) -> list[str]:
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    return [row[head.index(heading)] for row in rows]


def test_everybody_stands_in_one_table_the_fastest_first() -> None:
    table = render("performance", [RESULT])
    assert column(table, "one verification, 10 references") == ["bare", "int8", "png", "peer"]
    assert column(table, "times the fastest of ours") == ["0.9", "1.0", "3.0", "20.0"]
    assert column(table, "median ms [95 %]")[1] == "1.00 [0.95, 1.05]"
    assert column(table, "weights")[-1] == "random" and set(column(table, "device")) == {"desk"}


def test_figures_stand_beside_their_limits() -> None:
    table = render("figures", [RESULT])
    assert column(table, "measured [95 %]") == ["20 [19, 21]", ABSENT, "1.25"]
    assert column(table, "goal") == ["30", "2", "1.2"] and column(table, "reached")[1] == "not measured"


def test_first_verdicts_and_devices() -> None:
    assert column(render("first-verdict", [RESULT]), "times sigedge verify [95 %]") == ["1.0 [1.0, 1.0]"]
    phone = copy.deepcopy(RESULT)
    phone["device_id"] = "phone"
    phone["runs"] = [{**phone["runs"][0], "stages_ms": {"infer": {"p50": 0.4, "p95": None}}}]
    table = render("devices", [RESULT, phone])
    assert column(table, "device") == ["desk", "phone"] and column(table, "verification ms") == ["1.00", ABSENT]
    assert column(table, "p95 ms")[1] == ABSENT
    assert render("performance", [{**phone, "floors": [], "peers": []}]) == NOTHING


def test_files_of_an_older_bench_have_no_row() -> None:
    old = {"runs": [{"artifact": "x", "engine": "litert", "stages_ms": {"total": times(1)}}], "model": {"name": "x"}}
    assert render("performance", [old]) == NOTHING and render("figures", [old]) == NOTHING
    assert column(render("latency", [old]), "artefact on engine") == ["x on litert"]


def test_the_latency_table_leaves_files_to_decode_out() -> None:
    assert column(render("latency", [RESULT]), "artefact on engine") == ["int8 on litert"]


def test_a_profile_is_a_table_of_what_holds_what() -> None:
    table = render("profile", [PROFILE])
    assert column(table, "part") == ["verification", "· infer", "· · invoke"]
    assert column(table, "share") == ["100.0", "25.0", "20.0"]
    floor = render("network-floor", [PROFILE])
    assert column(floor, "times the floor") == ["1.39"] and column(floor, "million multiply-accumulates") == ["86.0"]
