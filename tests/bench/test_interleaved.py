"""Inference times side by side."""

from __future__ import annotations

import time

import numpy as np

from sigedge.bench.interleaved import CANVASES, take_turns, time_artifacts
from sigedge_runtime.bundle import Bundle


def test_every_run_takes_its_turn_once_a_round_and_the_warm_up_is_not_counted() -> None:
    seen: list[tuple[int, int]] = []
    runs = [lambda canvas, number=number: seen.append((number, int(canvas[0, 0]))) for number in range(3)]
    canvases = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    taken = take_turns(runs, canvases, rounds=5, warm_up=2)
    assert [len(rounds) for rounds in taken] == [5, 5, 5]
    assert all(passed >= 0 and ran >= 0 for rounds in taken for passed, ran in rounds)
    rounds = [seen[start : start + 3] for start in range(0, len(seen), 3)]
    assert len(rounds) == 7
    for number, turn in enumerate(rounds):
        assert {run for run, _ in turn} == {0, 1, 2}
        assert {canvas for _, canvas in turn} == {number % 4}, "all see the same canvas in a round"
    assert len({tuple(run for run, _ in turn) for turn in rounds}) > 1, "nobody always runs after the same one"


def test_the_shipped_bundle_is_timed_on_every_engine_that_runs_it() -> None:
    with Bundle.open() as bundle:
        spec = bundle.manifest.preprocess
        canvases = np.zeros((CANVASES + 1, spec.canvas_height, spec.canvas_width), np.uint8)
        found = time_artifacts(bundle, canvases, rounds=3, warm_up=1)
        names = {artifact.name for artifact in bundle.manifest.artifacts}
    assert found and {timing.artifact for timing in found} <= names
    assert all(len(timing.times) == 3 and min(timing.times) > 0 for timing in found)
    assert all(0 <= timing.waited <= 1 for timing in found)
    assert len({(timing.artifact, timing.engine) for timing in found}) == len(found)


def test_waiting_is_told_from_working() -> None:
    waiting, working = take_turns([lambda _: time.sleep(0.02), _work], np.zeros((1, 2, 2), np.uint8), 3, 0)
    assert all(ran < 0.5 * passed for passed, ran in waiting)
    assert all(ran > 5 for _, ran in working)


def _work(_: object) -> None:
    start = time.process_time()
    while time.process_time() - start < 0.01:
        pass
