from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.synthesis.lognormal import Strokes, arcs_between, progress, speed, trajectory

positive = st.floats(0.5, 200.0)
angles = st.floats(-3.0, 3.0)


def one_stroke(
    distance: float = 10.0,
    t0: float = 0.1,
    mu: float = -2.0,
    sigma: float = 0.3,
    start: float = 0.0,
    end: float = 0.0,
) -> Strokes:
    return Strokes(*(np.array([value]) for value in (distance, t0, mu, sigma, start, end)))


@given(positive, st.floats(0.0, 2.0), st.floats(-3.0, 0.0), st.floats(0.1, 0.6))
def test_area_under_the_speed_is_the_distance(distance: float, t0: float, mu: float, sigma: float) -> None:
    times = np.linspace(t0, t0 + math.exp(mu + 6 * sigma), 20_001)
    curve = speed(one_stroke(distance, t0, mu, sigma), times)[0]
    area = float(np.sum((curve[1:] + curve[:-1]) / 2 * np.diff(times)))
    assert area == pytest.approx(distance, rel=1e-3)


def test_speed_peaks_at_the_mode_of_the_lognormal() -> None:
    times = np.linspace(0.1, 1.0, 50_000)
    peak = times[int(np.argmax(speed(one_stroke(), times)[0]))]
    assert peak == pytest.approx(0.1 + math.exp(-2.0 - 0.3**2), abs=1e-4)


def test_nothing_moves_before_its_time() -> None:
    times = np.linspace(0.0, 0.1, 20)
    assert not speed(one_stroke(), times).any()
    assert not progress(one_stroke(), times).any()


@given(st.floats(0.1, 0.6), angles, angles)
def test_progress_rises_from_zero_to_one(sigma: float, start: float, end: float) -> None:
    covered = progress(one_stroke(sigma=sigma, start=start, end=end), np.linspace(0.0, 6.0, 400))[0]
    assert covered[0] == 0.0
    assert covered[-1] == pytest.approx(1.0, abs=1e-6)
    assert (np.diff(covered) >= 0.0).all()


def test_trajectory_integrates_the_velocity() -> None:
    stroke = one_stroke(distance=20.0, start=0.3, end=2.0)
    times = np.linspace(0.0, 2.0, 20_001)
    pace, heading = speed(stroke, times)[0], 0.3 + 1.7 * progress(stroke, times)[0]
    step = times[1]
    integrated = np.array([np.sum(pace * np.cos(heading)) * step, np.sum(pace * np.sin(heading)) * step])
    end = trajectory(stroke, times, np.zeros(2))[-1]
    assert np.allclose(end, integrated, atol=0.02)


@given(angles, st.floats(-2.5, 2.5), positive)
def test_length_of_an_arc_is_its_distance(start: float, sweep: float, distance: float) -> None:
    stroke = one_stroke(distance=distance, start=start, end=start + sweep)
    path = trajectory(stroke, np.linspace(0.0, 3.0, 4000), np.zeros(2))
    assert np.hypot(*np.diff(path, axis=0).T).sum() == pytest.approx(distance, rel=1e-3)


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=2, max_size=12),
    st.floats(0.0, 1.0),
)
def test_arcs_lead_from_target_to_target(targets: list[tuple[float, float]], roundness: float) -> None:
    """Without overlap in time, the vector sum of all arcs ends at the last target."""
    points = np.array(targets)
    distance, start, end = arcs_between(points, roundness)
    count = len(distance)
    strokes = Strokes(distance, np.arange(count) * 1.0, np.full(count, -2.0), np.full(count, 0.3), start, end)
    path = trajectory(strokes, np.array([0.0, count + 5.0]), points[0])
    assert np.allclose(path[-1], points[-1], atol=0.05)


def test_full_roundness_draws_the_circle_through_even_targets() -> None:
    turn = np.linspace(0.0, 2.0 * math.pi, 9)
    points = 10.0 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    distance, start, end = arcs_between(points, 1.0)
    assert np.allclose(distance[1:-1], 2.0 * math.pi * 10.0 / 8.0)
    assert np.allclose((end - start)[1:-1], 2.0 * math.pi / 8.0)


def test_a_cusp_stays_straight() -> None:
    points = np.array([[0.0, 0.0], [0.0, 20.0], [0.5, 0.0]])
    distance, start, end = arcs_between(points, 1.0)
    assert np.allclose(start, end)
    assert np.allclose(distance, np.hypot(*np.diff(points, axis=0).T))


def test_runs_bend_independently() -> None:
    """Worked out together or one by one, two runs give the same arcs."""
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(5, 2)) * 10, rng.normal(size=(6, 2)) * 10
    together = arcs_between(np.concatenate([first, second]), 0.8, np.array([0, 5, 11]))
    apart = [arcs_between(points, 0.8) for points in (first, second)]
    for joint, one, other in zip(together, *apart, strict=True):
        assert np.allclose(np.delete(joint, 4), np.concatenate([one, other]))
