"""Sigma-lognormal strokes: the kinematic theory of rapid human movement.

A movement is a sum of strokes. Stroke i has a lognormal speed profile of area `D`, delayed by `t0`, whose
direction turns from `theta_start` to `theta_end` in proportion to the distance covered.

Source: R. Plamondon, "A kinematic theory of rapid human movements", Biological Cybernetics 72 (1995);
C. O'Reilly and R. Plamondon, "Development of a sigma-lognormal representation for on-line signatures", Pattern
Recognition 42 (2009). The displacement is integrated in closed form, so no time step enters the shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CDF_LIMIT = 6.0
_CDF_GRID: Array = np.linspace(-_CDF_LIMIT, _CDF_LIMIT, 4097)
_CDF_VALUES: Array = np.array([0.5 * math.erfc(-z / math.sqrt(2.0)) for z in _CDF_GRID])
_STRAIGHT = 1e-4


@dataclass(frozen=True, slots=True)
class Strokes:
    """N strokes, one array of shape [N] for each parameter (times in seconds, angles in radians)."""

    distance: Array
    t0: Array
    mu: Array
    sigma: Array
    theta_start: Array
    theta_end: Array


def speed(strokes: Strokes, times: Array) -> Array:
    """Speed of each stroke at each time: [N, T], 0 before the stroke's t0; the area under it is `distance`."""
    elapsed, started = _elapsed(strokes, times)
    z = (np.log(elapsed) - strokes.mu[:, None]) / strokes.sigma[:, None]
    scale = strokes.distance[:, None] / (strokes.sigma[:, None] * math.sqrt(2.0 * math.pi) * elapsed)
    return np.where(started, scale * np.exp(-0.5 * z * z), 0.0)


def progress(strokes: Strokes, times: Array) -> Array:
    """Fraction of each stroke's distance covered at each time: [N, T] in [0, 1] (the lognormal's CDF)."""
    elapsed, started = _elapsed(strokes, times)
    z = (np.log(elapsed) - strokes.mu[:, None]) / strokes.sigma[:, None]
    return np.where(started, np.interp(z, _CDF_GRID, _CDF_VALUES), 0.0)


def trajectory(strokes: Strokes, times: Array, origin: Array) -> Array:
    """Pen position [T, 2] at `times` [T] of the vector sum of all strokes, starting at `origin` [2]."""
    covered = progress(strokes, times)
    sweep = (strokes.theta_end - strokes.theta_start)[:, None]
    straight = np.abs(sweep) < _STRAIGHT
    radius = strokes.distance[:, None] / np.where(straight, 1.0, sweep)
    start = strokes.theta_start[:, None]
    heading = start + sweep * covered
    length = strokes.distance[:, None] * covered
    x = radius * (np.sin(heading) - np.sin(start))
    y = radius * (np.cos(start) - np.cos(heading))
    if straight.any():
        x, y = np.where(straight, length * np.cos(start), x), np.where(straight, length * np.sin(start), y)
    return np.asarray(np.stack([x.sum(axis=0), y.sum(axis=0)], axis=1) + origin)


def arcs_between(
    points: Array, roundness: float | Array, runs: NDArray[np.int_] | None = None
) -> tuple[Array, Array, Array]:
    """Arc length, start and end direction ([N-1] each) of the arcs that join virtual target points [N, 2].

    `roundness` (one value, or one a point) 0 gives straight strokes, 1 the circle through evenly spaced
    points; at a cusp (a turn near 180 degrees) the arcs stay straight, because a hand stops there. `runs` holds
    the indices where pen-down runs begin (0 and N included): the direction is free there.
    """
    steps = np.diff(points, axis=0)
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    turn = np.zeros(len(points) + 1)
    turn[1:-2] = (np.diff(heading) + math.pi) % (2.0 * math.pi) - math.pi
    if runs is not None:
        turn[runs] = 0.0
        turn[runs[1:] - 1] = 0.0
    turn = (turn * np.clip((2.6 - np.abs(turn)) / 0.8, 0.0, 1.0))[:-1] * roundness
    sweep = np.clip(0.5 * (turn[:-1] + turn[1:]), -2.8, 2.8)
    half = np.where(np.abs(sweep) < _STRAIGHT, _STRAIGHT, 0.5 * sweep)
    length = np.hypot(steps[:, 0], steps[:, 1]) * half / np.sin(half)
    return length, heading - 0.5 * sweep, heading + 0.5 * sweep


def _elapsed(strokes: Strokes, times: Array) -> tuple[Array, NDArray[np.bool_]]:
    delay = times[None, :] - strokes.t0[:, None]
    started = delay > 1e-9
    return np.where(started, delay, 1.0), started
