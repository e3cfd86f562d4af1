"""A whole bench, small: ours, the floor, a peer and one that does not run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from sigedge.bench.contestants import Stopwatch
from sigedge.bench.measure import BenchOptions, measure_bundle
from sigedge.bench.once import OnceError, run
from sigedge.bench.ours import OursRunner
from sigedge.bench.pipeline import Pipeline
from sigedge_runtime.errors import DataError, EngineUnavailableError

SMALL = {"repeats": 6, "rounds": 3, "cold_starts": 2, "references": 3, "queries": 2, "batch": 6, "longest_turn_ms": 1e6}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("peers")
    (folder / "tiny.py").write_text(Path(__file__).with_name("tiny_peer.py").read_text())
    options = BenchOptions(**SMALL, engine="litert", precision="int8", peers=folder, device_id="desk")
    return measure_bundle(None, options)


def test_everybody_has_a_row_of_the_same_run(result: dict[str, Any]) -> None:
    json.dumps(result, allow_nan=False)
    assert [row["source"] for row in result["runs"]] == ["memory", "png"]
    assert len(result["floors"]) == 1 and [row["contestant"] for row in result["peers"]] == ["quarters"]
    for row in (*result["runs"], *result["floors"], *result["peers"]):
        assert row["stages_ms"]["total"]["n"] == 6 and row["peak_rss_mb"] > 5
    memory, png = result["runs"]
    assert png["stages_ms"]["decode"]["p50"] > 10 * memory["stages_ms"]["decode"]["p50"] > 0
    assert memory["selftest"]["passed"] and memory["cold_start_ms"]["process"]["n"] == 2
    assert result["floors"][0]["selftest"] is None and result["peers"][0]["cold_start_ms"]["process"]["n"] == 1


def test_who_did_not_run_is_named_with_the_reason(result: dict[str, Any]) -> None:
    (absent,) = result["not_run"]
    assert absent["contestant"] == "halves, broken" and "parts must be at least 1" in absent["reason"]


def test_every_figure_is_of_this_run(result: dict[str, Any]) -> None:
    figures = {figure["name"]: figure for figure in result["figures"]}
    assert len(figures) == 8 and all(figure["value"] is not None for figure in figures.values())
    overhead = next(figure for name, figure in figures.items() if "bare OpenCV" in name)
    assert overhead["value"] > 1 and overhead["low"] <= overhead["value"] <= overhead["high"]
    first = result["first_verdict_ms"]
    assert set(first) == {"sigedge verify", "quarters"} and first["sigedge verify"]["times_ours"][0] == 1
    assert first["quarters"]["n"] == 2 and first["quarters"]["same_network"]


def test_what_it_was_measured_on_stands_in_it(result: dict[str, Any]) -> None:
    assert result["device_id"] == "desk" and result["protocol"]["scans"] == "synthetic"
    assert result["protocol"]["affinity"]["1"] and result["machine"]["cpu"]
    assert result["machine"]["power_mode"] == "not known" and result["energy"] == "not measured"
    assert result["throughput"]["median"] > 0 and len(result["throughput"]["per_second"]) == 5
    assert 100_000 < result["bundle_zipped"] < 10_000_000


def test_no_engine_is_an_error() -> None:
    with pytest.raises(EngineUnavailableError, match="float16"):
        measure_bundle(None, BenchOptions(engine="litert", precision="float16"))


def test_missing_scans_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 0 images"):
        measure_bundle(None, BenchOptions(**SMALL, scans=tmp_path))


def test_the_batch_path_of_a_runtime_that_has_one_is_taken() -> None:
    class Many:
        found: ClassVar[list[Any]] = ["verdict"]

        def verify_many(self, pairs: list[tuple[str, Any]], *, workers: int) -> list[Any]:
            self.asked = (pairs, workers)
            return self.found

    runner, threads = OursRunner.__new__(OursRunner), cv2.getNumThreads()
    runner.verifier = Many()  # type: ignore[assignment]
    try:
        assert runner.verify_all([1, 2], 2) == "Verifier.verify_many"
        assert runner.verifier.asked == ([("bench", 1), ("bench", 2)], 2)  # type: ignore[attr-defined]
        Many.found = [DataError("one failed")]
        with pytest.raises(DataError, match="one failed"):
            runner.verify_all([1], 2)
    finally:
        cv2.setNumThreads(threads)


def test_a_pipeline_compares_by_the_mean_cosine(tmp_path: Path) -> None:
    pipeline = Pipeline(lambda image: image, lambda image: image)
    pipeline.enroll([np.array([1.0, 0.0]), np.array([0.0, 2.0])])  # type: ignore[list-item]
    watch = Stopwatch()
    assert pipeline.score(np.array([3.0, 0.0]), watch) == pytest.approx(0.5)  # type: ignore[arg-type]
    assert set(watch.spent) == {"preprocess", "infer", "match"}
    pipeline.save(tmp_path / "references.npy")
    again = Pipeline(lambda image: image, lambda image: image)
    again.load(tmp_path / "references.npy")
    assert again.score(np.array([1.0, 1.0])) == pytest.approx(np.sqrt(0.5))  # type: ignore[arg-type]


def test_a_process_without_a_verdict_is_an_error() -> None:
    with pytest.raises(OnceError, match="exit on purpose"):
        run(["python3", "-c", "import sys; print('exit on purpose', file=sys.stderr); sys.exit(3)"])
