"""How one person's signature differs from day to day.

The deformation is smooth along the writing (local stretch, base-line drift, shear), with a little jitter of
single targets. Global, inter-component and intra-component variability after M. Diaz, M. Ferrer, G. Eskander and
R. Sabourin, "Generation of duplicated off-line signature images for verification systems", IEEE TPAMI 39 (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from sigedge.synthesis.lognormal import Array
from sigedge.synthesis.plan import Component, Plan, bounds, rotated


@dataclass(frozen=True, slots=True)
class Variability:
    """Spread of each source of variation; lengths in plan units, angles in radians, the rest log ratios."""

    rotation: float = 0.035
    slant: float = 0.045
    aspect: float = 0.06
    stretch: float = 0.11
    height: float = 0.08
    drift: float = 0.45
    shear: float = 0.05
    offset: float = 0.6
    jitter: float = 0.5
    ending: float = 0.16
    flourish: float = 0.12
    skip: float = 0.012
    lift: float = 0.05

    def scaled(self, factor: float) -> Variability:
        """Every spread times `factor`."""
        values = {name: getattr(self, name) * factor for name in self.__dataclass_fields__}
        return Variability(**values)


def varied(plan: Plan, spread: Variability, rng: np.random.Generator) -> Plan:
    """One instance of the plan."""
    warp = _draw_warp(plan, spread, rng)
    runs = [run for run in plan if run.kind != "mark" or rng.random() >= 2.0 * spread.skip]
    runs = [run.moved(_skipped(run.points, spread.skip, rng)) for run in runs or plan]
    points = _jittered(runs, warp, spread, rng)
    ends = np.cumsum([len(run.points) for run in runs])
    stretch = np.clip(spread.ending * rng.standard_normal(len(runs)), -0.5, 0.8)
    points[ends - 1] += stretch[:, None] * (points[ends - 1] - points[ends - 2])
    moved = [run.moved(part) for run, part in zip(runs, np.split(points, ends[:-1]), strict=True)]
    moved = [_loose_flourish(run, spread, rng) if run.kind == "flourish" else run for run in moved]
    return _lifted(moved, spread.lift, rng)


def correlated(rng: np.random.Generator, count: int, memory: float) -> Array:
    """Unit-variance noise [count, 2] with correlation `memory` (0 < memory < 1) between neighbours."""
    kernel = _memory_kernel(memory)
    noise = rng.standard_normal((2, count + len(kernel) - 1))
    return np.stack([np.convolve(noise[0], kernel, "valid"), np.convolve(noise[1], kernel, "valid")], axis=1)


@cache
def _memory_kernel(memory: float) -> Array:
    taps = int(np.ceil(np.log(0.02) / np.log(memory))) + 1
    kernel = memory ** np.arange(taps)
    return np.asarray(kernel / np.sqrt(np.sum(kernel**2)))


@dataclass(frozen=True, slots=True)
class _Warp:
    """A smooth map of the plane given along x at `knots` [K]."""

    knots: Array
    x: Array
    scale: Array
    drift: Array
    shear: Array
    slant: float
    aspect: float
    rotation: float

    def __call__(self, points: Array) -> Array:
        at = points[:, 0]
        y = points[:, 1] * np.interp(at, self.knots, self.scale) + np.interp(at, self.knots, self.drift)
        x = np.interp(at, self.knots, self.x) + (np.interp(at, self.knots, self.shear) + self.slant) * y
        return rotated(np.stack([x * self.aspect, y / self.aspect], axis=1), self.rotation)


def _draw_warp(plan: Plan, spread: Variability, rng: np.random.Generator) -> _Warp:
    left, bottom, right, top = bounds(plan)
    count = int(np.clip((right - left) / 9.0, 3, 24)) + 1
    knots = np.linspace(left - 1.0, right + 1.0, count)
    first, second = correlated(rng, count, 0.45), correlated(rng, count, 0.85)
    local = first[1:, 0] - 0.7 * first[1:, 0].mean()
    steps = np.diff(knots) * np.exp(spread.stretch * local)
    drift = 2.0 * spread.drift * second[:, 0] * (0.5 + 0.02 * (top - bottom))
    normal = rng.standard_normal(3)
    return _Warp(
        knots=knots,
        x=knots[0] + np.concatenate([[0.0], np.cumsum(steps)]),
        scale=np.exp(spread.height * first[:, 1]),
        drift=drift - drift.mean(),
        shear=spread.shear * second[:, 1],
        slant=float(spread.slant * normal[0]),
        aspect=float(np.exp(0.5 * spread.aspect * normal[1])),
        rotation=float(spread.rotation * normal[2]),
    )


def _jittered(runs: list[Component], warp: _Warp, spread: Variability, rng: np.random.Generator) -> Array:
    """All targets [N, 2], warped, with correlated jitter and an offset of each run of its own."""
    points = np.concatenate([run.points for run in runs])
    counts = [len(run.points) for run in runs]
    steps = np.hypot(*np.diff(points, axis=0, append=points[-1:]).T)
    size = np.minimum(1.0, (steps + np.roll(steps, 1)) / 12.0)
    loose = np.array([{"body": 1.0, "mark": 1.6, "flourish": 1.4}[run.kind] for run in runs])
    offset = spread.offset * loose[:, None] * rng.standard_normal((len(runs), 2))
    jitter = spread.jitter * size[:, None] * correlated(rng, len(points), 0.35)
    return np.asarray(warp(points) + jitter + np.repeat(offset, counts, axis=0))


def _loose_flourish(run: Component, spread: Variability, rng: np.random.Generator) -> Component:
    """A flourish also grows and turns on its own."""
    start = run.points[0]
    grown = (run.points - start) * np.exp(spread.flourish * rng.standard_normal()) + start
    centre = grown.mean(axis=0)
    return run.moved(rotated(grown, 0.35 * spread.flourish * float(rng.standard_normal()), centre))


def _skipped(points: Array, chance: float, rng: np.random.Generator) -> Array:
    """Targets left out now and then; never an end, nor one far from its neighbour."""
    if len(points) < 6:
        return points
    keep = rng.random(len(points)) >= chance
    keep[1:] |= np.hypot(*np.diff(points, axis=0).T) > 10.0
    keep[[0, -1]] = True
    return points if keep.all() else np.asarray(points[keep])


def _lifted(runs: list[Component], chance: float, rng: np.random.Generator) -> Plan:
    """Pen lifts that are forgotten (runs merge) or added (a run parts)."""
    plan: list[Component] = []
    for run in runs:
        near = plan and plan[-1].kind == run.kind == "body"
        if near and np.hypot(*(run.points[0] - plan[-1].points[-1])) < 9.0 and rng.random() < chance:
            plan[-1] = plan[-1].moved(np.concatenate([plan[-1].points, run.points]))
        elif run.kind == "body" and len(run.points) >= 9 and rng.random() < 2.0 * chance:
            cut = int(rng.integers(3, len(run.points) - 4))
            plan += [run.moved(run.points[: cut + 1]), run.moved(run.points[cut + 1 :])]
        else:
            plan.append(run)
    return tuple(plan)
