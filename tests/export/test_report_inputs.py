"""From measurements to the report's data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sigedge.bench.interleaved import Timing
from sigedge.export_report import latencies, recorded_hops
from sigedge_export.chain import Hop
from sigedge_runtime.errors import DataError

HOPS = (
    Hop("float32-onnx", "torch_to_onnx", "done", 6.125, 400_000_000),
    Hop("int8-onnx", "onnx_to_qdq", "cached", 0.01),
)


def timing(precision: str, format_: str, engine: str, *times: float, waited: float = 0.02) -> Timing:
    return Timing(f"tiny-{precision}-{format_}", format_, precision, engine, times, waited)


def test_speed_is_relative_to_float32_of_the_same_format_and_engine() -> None:
    found = latencies(
        [
            timing("float32", "tflite", "litert", 4.0, 4.2, 3.8),
            timing("int8", "tflite", "litert", 2.0, 2.1, 1.9),
            timing("int8", "tflite", "tflite_runtime", 8.0, 8.0, 8.0),
            timing("float32", "onnx", "onnxruntime", 1.0, 1.0, 1.0),
        ]
    )
    assert [latency.speedup is not None for latency in found] == [False, True, False, False]
    whole, quick, *_ = found
    assert quick.speedup is not None
    assert (quick.speedup.estimate, quick.speedup.low, quick.speedup.high) == (2.0, 2.0, 2.0)
    assert (whole.p50.estimate, whole.n, whole.engine) == (4.0, 3, "litert")
    assert whole.p50.low <= whole.p50.estimate <= whole.p50.high


@pytest.mark.parametrize("waited", [(0.0, 0.4), (0.4, 0.0)])
def test_no_speed_is_told_of_a_busy_machine(waited: tuple[float, float]) -> None:
    whole = timing("float32", "tflite", "litert", 19.0, 19.1, 19.2, waited=waited[0])
    quick = timing("int8", "tflite", "litert", 18.9, 19.0, 19.1, waited=waited[1])
    found = latencies([whole, quick])
    assert [latency.speedup for latency in found] == [None, None]
    assert [latency.waited for latency in found] == list(waited)


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_the_hops_of_an_export_are_found_beside_its_bundle(name: str, tmp_path: Path) -> None:
    assert recorded_hops(tmp_path / name) == ()
    logs = tmp_path / "bundle.logs"
    logs.mkdir()
    (logs / "hops.json").write_text(json.dumps([hop.to_dict() for hop in HOPS]))
    assert recorded_hops(tmp_path / name) == HOPS


@pytest.mark.parametrize("content", ["{", "[1]", '[{"name": "x"}]', "{}x"])
def test_a_damaged_record_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "bundle.logs").mkdir()
    (tmp_path / "bundle.logs" / "hops.json").write_text(content)
    with pytest.raises(DataError, match=r"hops\.json is no record"):
        recorded_hops(tmp_path / "bundle")
