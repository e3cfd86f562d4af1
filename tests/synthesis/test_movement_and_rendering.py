from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from sigedge.synthesis.lognormal import Array
from sigedge.synthesis.movement import Dynamics, execute
from sigedge.synthesis.plan import Component, Plan
from sigedge.synthesis.rendering import render
from sigedge.synthesis.scan import ScanConditions

CLEAN = ScanConditions.clean()
SHARP = Dynamics(roundness=0.0, overlap=0.0, jitter=0.0)


def zigzag() -> Plan:
    x = np.arange(9) * 8.0
    return (Component(np.stack([x, 20.0 * (np.arange(9) % 2)], axis=1)),)


def run_of(plan: Plan, dynamics: Dynamics, seed: int = 0) -> Array:
    return execute(plan, dynamics, np.random.default_rng(seed))[0]


def nearest(path: Array, points: Array) -> Array:
    """Distance from each target to the path, shape [N]."""
    return np.asarray(np.hypot(*(path[:, None, :2] - points[None]).transpose(2, 0, 1)).min(axis=0))


def test_without_overlap_the_pen_reaches_every_target() -> None:
    assert nearest(run_of(zigzag(), SHARP), zigzag()[0].points).max() < 1.0


def test_overlap_rounds_the_corners_off() -> None:
    targets = zigzag()[0].points[1:-1]
    misses = [
        nearest(run_of(zigzag(), dataclasses.replace(SHARP, overlap=overlap)), targets).mean()
        for overlap in (0.0, 0.25, 0.5)
    ]
    assert misses[0] < misses[1] < misses[2]


def test_runs_start_and_end_at_their_targets() -> None:
    plan = (*zigzag(), Component(np.array([[5.0, 30.0], [6.0, 31.0]]), "mark"))
    runs = execute(plan, dataclasses.replace(SHARP, overlap=0.3), np.random.default_rng(0))
    assert len(runs) == 2
    for run, component in zip(runs, plan, strict=True):
        assert np.allclose(run[0, :2], component.points[0], atol=0.3)
        assert np.allclose(run[-1, :2], component.points[-1], atol=0.5)


def test_the_pen_is_fast_in_mid_stroke_and_slow_at_the_corners() -> None:
    run = run_of(zigzag(), SHARP)
    corner = nearest(zigzag()[0].points, run[:, :2])
    assert run[corner > 8.0, 2].mean() > 2.0 * run[corner < 1.0, 2].mean()


def test_a_slow_hand_is_slower() -> None:
    fast, slow = (run_of(zigzag(), dataclasses.replace(SHARP, tempo=tempo))[:, 2].mean() for tempo in (1.0, 0.5))
    assert slow == pytest.approx(0.5 * fast, rel=0.01)


def test_tremor_shakes_the_line_by_its_own_measure() -> None:
    steady = run_of(zigzag(), SHARP)[:, :2]
    shaken = run_of(zigzag(), dataclasses.replace(SHARP, tremor=0.3))[:, :2]
    assert (shaken - steady).std() == pytest.approx(0.3, rel=0.3)


def test_flourishes_are_round_in_every_hand() -> None:
    bend = np.array([[0.0, 0.0], [20.0, 0.0], [20.0, 20.0]])
    straight = run_of((Component(bend),), SHARP)
    swung = run_of((Component(bend, "flourish"),), SHARP)
    assert np.ptp(swung[:, 1]) > np.ptp(straight[:, 1]) + 0.5


def ink(image: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return np.argwhere(image < 128)


def test_up_is_up_and_right_is_right() -> None:
    hook = Component(np.array([[0.0, 40.0], [0.0, 0.0], [40.0, 0.0]]))
    image, path = render([run_of((hook,), SHARP)], CLEAN)
    assert image[: image.shape[0] // 2, image.shape[1] // 2 :].min() == 255, "nothing at the upper right"
    assert image[: image.shape[0] // 2, : image.shape[1] // 3].min() < 100
    assert path[0, 1] < path[-2, 1] and path[0, 0] < path[-2, 0]


def test_the_size_limits_hold_for_odd_shapes() -> None:
    for shape in ([[0.0, 0.0], [3000.0, 2.0]], [[0.0, 0.0], [2.0, 3000.0]], [[0.0, 0.0], [0.5, 0.5]]):
        image, _ = render([run_of((Component(np.array(shape)),), SHARP)], CLEAN)
        assert max(image.shape) < 1300 and min(image.shape) >= 8
        assert len(ink(image)) > 5


def test_a_wide_pen_draws_wide_lines() -> None:
    line = [run_of((Component(np.array([[0.0, 0.0], [100.0, 0.0]])),), SHARP)]
    heights = []
    for width in (0.6, 1.2, 2.4):
        rows = ink(render(line, dataclasses.replace(CLEAN, pen_width=width))[0])[:, 0]
        heights.append(np.ptp(rows) + 1)
    assert heights[0] < heights[1] < heights[2]


def test_fast_strokes_are_thin_with_a_pen_that_answers_to_speed() -> None:
    runs = [run_of(zigzag(), SHARP)]
    even, lively = (
        len(ink(render(runs, dataclasses.replace(CLEAN, pen_width=2.0, speed_response=response))[0]))
        for response in (0.0, 0.6)
    )
    assert lively != even


def test_skew_turns_the_page() -> None:
    line = [run_of((Component(np.array([[0.0, 0.0], [100.0, 0.0]])),), SHARP)]
    _, path = render(line, dataclasses.replace(CLEAN, skew=0.1))
    rise = path[-2, :2] - path[0, :2]
    assert abs(np.arctan2(rise[1], rise[0])) == pytest.approx(0.1, abs=0.01)


def test_equal_input_gives_equal_bytes() -> None:
    scan = ScanConditions.random(np.random.default_rng(5))
    runs = [run_of(zigzag(), SHARP)]
    first, second = render(runs, scan), render(runs, scan)
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()


def test_threads_do_not_change_the_bytes() -> None:
    scan = dataclasses.replace(ScanConditions.random(np.random.default_rng(6)), blur=1.0)
    runs = [run_of(zigzag(), SHARP)]
    threads = cv2.getNumThreads()
    images = []
    try:
        for count in (1, 2):
            cv2.setNumThreads(count)
            images.append(render(runs, scan)[0].tobytes())
    finally:
        cv2.setNumThreads(threads)
    assert images[0] == images[1]
