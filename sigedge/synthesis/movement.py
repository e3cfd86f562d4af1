"""From a plan to a pen trajectory: each step between targets becomes one sigma-lognormal stroke."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sigedge.synthesis.lognormal import Array, Strokes, arcs_between, trajectory
from sigedge.synthesis.plan import Kind, Plan
from sigedge.synthesis.variation import correlated

_SAMPLES_PER_STROKE = 8
_REACH = 2.5  # a stroke is taken to last from 2.5 sigma before to 2.5 sigma after its median


@dataclass(frozen=True, slots=True)
class Dynamics:
    """How a hand moves: roundness 0..1, overlap 0..0.6, tempo 1 if fluent, log jitter, tremor in plan units."""

    roundness: float
    overlap: float
    tempo: float = 1.0
    jitter: float = 0.08
    tremor: float = 0.0


def execute(plan: Plan, dynamics: Dynamics, rng: np.random.Generator) -> list[Array]:
    """One array [T, 3] a component: x, y in plan units (y up) and pen speed in plan units a second."""
    runs = []
    for points, strokes, end in _planned_strokes(plan, dynamics, rng):
        count = _SAMPLES_PER_STROKE * (len(points) - 1) + 2
        path = trajectory(strokes, np.linspace(0.0, end, count), points[0])
        if dynamics.tremor > 0.0:
            path = path + dynamics.tremor * correlated(rng, count, 0.7)
        steps = np.diff(path, axis=0)
        speed = np.hypot(steps[:, 0], steps[:, 1]) * (count - 1) / end
        runs.append(np.column_stack([path, np.concatenate([speed[:1], speed])]))
    return runs


def _planned_strokes(
    plan: Plan, dynamics: Dynamics, rng: np.random.Generator
) -> Iterator[tuple[Array, Strokes, float]]:
    """For each run its targets, the strokes through them and the time when the last one ends.

    Long strokes are faster (isochrony: duration grows with length ** 0.4). All runs are worked out at once.
    """
    points = np.concatenate([run.points for run in plan])
    roundness = np.concatenate([np.full(len(run.points), _roundness(run.kind, dynamics)) for run in plan])
    firsts = np.cumsum([0, *(len(run.points) for run in plan)])
    distance, start, end = arcs_between(points, roundness, firsts)
    noise = dynamics.jitter * rng.standard_normal((4, len(distance)))
    sigma = 0.28 * np.exp(noise[0])
    duration = 0.05 * np.maximum(distance, 0.5) ** 0.4 * np.exp(noise[1]) / dynamics.tempo
    apart = duration * (1.0 - np.clip(dynamics.overlap * np.exp(2.0 * noise[2]), 0.0, 0.65))
    onset = np.cumsum(apart) - apart
    low, high = np.exp(-_REACH * sigma), np.exp(_REACH * sigma)
    scale = duration / (high - low)
    bend = 0.5 * noise[3]
    rows = np.stack([distance, onset - scale * low, np.log(scale), sigma, start - bend, end + bend])
    for first, last in zip(firsts[:-1], firsts[1:] - 1, strict=True):
        row = rows[:, first:last].copy()
        row[1] -= onset[first]
        finish = (onset[first:last] + duration[first:last]).max() - onset[first]
        yield points[first : last + 1], Strokes(*row), float(finish)


def _roundness(kind: Kind, dynamics: Dynamics) -> float:
    """Flourishes are drawn from the arm in one sweep, so they are round in every hand."""
    return max(dynamics.roundness, 0.85) if kind == "flourish" else dynamics.roundness
