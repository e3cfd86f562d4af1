"""The page of benches, from made-up results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sigedge.bench.android import parse_benchmark_model, phone_row
from sigedge.bench.report import error_rates, read_results, write_page
from sigedge.bench.report.page import ErrorRates, fastest, render_page
from sigedge_runtime.errors import DataError

NO_ERRORS = ErrorRates({}, {}, "")


def times(p50: float, spread: float = 0.05) -> dict[str, Any]:
    low, high = p50 * (1 - spread), p50 * (1 + spread)
    return {
        "n": 9,
        "p50": p50,
        "p90": high,
        "p95": high,
        "p99": high,
        "max": high,
        "mean": p50,
        "p50_ci95": [low, high],
    }


def row(name: str, p50: float, kind: str = "ours", **facts: Any) -> dict[str, Any]:
    return {
        "contestant": name,
        "kind": kind,
        "threads": 1,
        "engine": "litert",
        "engine_version": "2.1.0",
        "artifact": "edgesig-int8-tflite",
        "precision": "int8",
        "source": "memory",
        "weights": "trained",
        "sha256": "ab" * 32,
        "size": 320_000,
        "cold_start_ms": {part: times(50) for part in ("import", "load", "first_run", "process")},
        "stages_ms": {
            **{stage: times(p50 / 4) for stage in ("decode", "preprocess", "infer", "match")},
            "total": times(p50),
        },
        "percentiles_ms": [p50 * (0.9 + 0.002 * index) for index in range(101)],
        "waited": 0.01,
        "peak_rss_mb": 80.0,
        "selftest": {"passed": True} if kind == "ours" else None,
        **facts,
    }


def bench(**changes: Any) -> dict[str, Any]:
    return {
        "format_version": 2,
        "device_id": "desk",
        "date": "2030-01-02T03:04:05+00:00",
        "model": {"name": "edgesig", "version": "1.0.0", "checkpoint_sha256": "cd" * 32},
        "machine": {"cpu": "Some <CPU>", "governor": "performance"},
        "libraries": {"numpy": "1.26.4"},
        "protocol": {"repeats": 5000, "engine": None},
        "energy": "not measured",
        "board": None,
        "runs": [row("edgesig-int8 on litert", 1.0)],
        "floors": [row("bare calls", 0.9, "floor")],
        "peers": [row("Peer A", 20.0, "peer", model="signet"), row("Peer B", 400.0, "peer")],
        "not_run": [{"contestant": "Peer C", "reason": "no compiler"}],
        "throughput": {"median": 1234.5, "way": "Verifier.verify_many", "threads": 2, "batch": 100},
        "first_verdict_ms": {"sigedge verify": {**times(200), "times_ours": [1, 1, 1]}},
        "figures": [
            {
                "name": "peer / ours",
                "value": 20.0,
                "low": 19.0,
                "high": 21.0,
                "must": 15,
                "goal": 30,
                "reached": "must",
            },
            {
                "name": "other",
                "value": None,
                "low": None,
                "high": None,
                "must": 1,
                "goal": 2,
                "reached": "not measured",
            },
        ],
        **changes,
    }


SAID = """INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
count=50 first=900 curr=400 min=390 max=900 avg=420 std=20
count=1000 first=405 curr=400 min=380 max=800 avg=402.5 std=20 p5=390 median=400 p95=430
Inference timings in us: Init: 5000, First inference: 900, Warmup (avg): 420, Inference (avg): 402.5
"""


def phone() -> dict[str, Any]:
    output = parse_benchmark_model(SAID)
    assert output is not None
    artifact = {"name": "edgesig-int8-tflite", "format": "tflite", "precision": "int8", "sha256": "ab" * 32, "size": 3}
    whole = bench(device_id="phone-1", runs=[phone_row(output, artifact, 1)])
    return {key: value for key, value in whole.items() if key not in _NOT_OF_A_PHONE}


_NOT_OF_A_PHONE = ("floors", "peers", "not_run", "throughput", "first_verdict_ms", "figures")


def test_a_page_holds_what_makes_a_figure_trustworthy() -> None:
    page = render_page([bench()], NO_ERRORS)
    for wanted in (
        "edgesig-int8 on litert",
        "abababababab",
        "litert 2.1.0",
        "Some &lt;CPU&gt;",
        "performance",
        "not measured",
        "Peer C did not run: no compiler",
        "[19, 21]",
        "1,234",
        "passed",
        "Verifier.verify_many",
    ):
        assert wanted in page, wanted
    assert "<script" not in page and not re.search(r'(?:src|href)="(?!#)', page), "nothing is fetched"
    assert page.count("<svg") == 2


def test_devices_of_several_files_stand_on_one_page() -> None:
    page = render_page([bench(), phone()], NO_ERRORS)
    assert page.index('id="device-1"') < page.index('id="device-2"') and "phone-1" in page and "XNNPACK" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_points_against_error_rates_are_of_models_that_were_scored() -> None:
    errors = ErrorRates({"edgesig": 0.1, "signet": 0.2}, {"edgesig": 320_000, "signet": 1_000_000}, "somebody")
    page = render_page([bench()], errors)
    assert page.count("<svg") == 4 and "signet int8, litert" in page and "somebody" in page
    assert "edgesig int8, litert, desk" in render_page([bench(), phone()], errors), (
        "the device, where there are several"
    )


@pytest.mark.parametrize(
    ("medians", "spread", "winner"),
    [((1.0, 2.0), 0.05, "0"), ((1.0, 1.05), 0.05, None), ((2.0, 1.0, 1.5), 0.05, "1"), ((1.0,), 0.05, None)],
)
def test_nobody_wins_where_intervals_overlap(medians: tuple[float, ...], spread: float, winner: str | None) -> None:
    rows = [
        {"contestant": str(index), "stages_ms": {"total": times(median, spread)}}
        for index, median in enumerate(medians)
    ]
    assert fastest(rows) == winner


def test_files_of_another_format_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "bench-old.json").write_text('{"format_version": 1}')
    with pytest.raises(DataError, match="holds no bench"):
        read_results(tmp_path)
    (tmp_path / "bench-new.json").write_text(json.dumps(bench()))
    assert [result["device_id"] for result in read_results(tmp_path)] == ["desk"]


def test_error_rates_are_read_from_the_accuracy_files(tmp_path: Path) -> None:
    content = {
        "meta": {"model": {"name": "signet"}, "artifact": {"size": 7}},
        "references": {"5": {"eer_skilled": 0.2}, "1": {"eer_skilled": 0.3}},
    }
    (tmp_path / "accuracy-signet-cedar-half.json").write_text(json.dumps(content))
    (tmp_path / "accuracy-signet-elsewhere.json").write_text("{}")
    found = error_rates(tmp_path)
    assert found.rates == {"signet": 0.2} and found.sizes == {"signet": 7}


def test_the_page_is_written_whole_or_an_error(tmp_path: Path) -> None:
    assert write_page(tmp_path / "new" / "index.html", [bench()]).read_text().startswith("<!DOCTYPE html>")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_page(tmp_path / "file" / "index.html", [bench()])
