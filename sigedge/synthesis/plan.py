"""The action plan of a signature: virtual target points in writing order, before any dynamics.

Units: the height of a small letter without ascender is about 10; x grows to the right, y grows upwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sigedge.synthesis.lognormal import Array

Kind = Literal["body", "mark", "flourish"]


@dataclass(frozen=True, slots=True)
class Component:
    """One pen-down run: target points [N, 2], N >= 2, and what it is (letters, a dot or bar, a flourish)."""

    points: Array
    kind: Kind = "body"

    def moved(self, points: Array) -> Component:
        """The same component through other points."""
        return Component(points, self.kind)


Plan = tuple[Component, ...]
Box = tuple[float, float, float, float]  # left, bottom, right, top


def map_points(plan: Plan, function: Callable[[Array], Array]) -> Plan:
    """The plan with `function` ([N, 2] to [N, 2]) applied to every component's points."""
    return tuple(component.moved(function(component.points)) for component in plan)


def bounds(plan: Plan) -> Box:
    """Left, bottom, right, top of all target points."""
    points = np.concatenate([component.points for component in plan])
    low, high = points.min(axis=0), points.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def rotated(points: Array, angle: float, centre: Array | tuple[float, float] = (0.0, 0.0)) -> Array:
    """Points turned counter-clockwise by `angle` radians about `centre`."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray((points - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre)
