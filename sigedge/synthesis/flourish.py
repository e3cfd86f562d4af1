"""What is not lettering: underlines, tails, entry loops, enclosures, monograms and free scribbles."""

from __future__ import annotations

import numpy as np

from sigedge.synthesis.lognormal import Array
from sigedge.synthesis.plan import Box, Component, Plan, bounds
from sigedge.synthesis.style import SignerStyle


def decorated(plan: Plan, style: SignerStyle, rng: np.random.Generator) -> Plan:
    """The plan with the decorations this signer is given to; each is drawn once, for the master signature."""
    if rng.random() < style.entry:
        plan = (_entry(plan[0], rng), *plan[1:])
    if rng.random() < style.tail:
        plan = _with_tail(plan, rng)
    elif rng.random() < style.underline:
        plan = (*plan, *_underlines(plan, rng))
    if rng.random() < style.enclosure:
        plan = (*plan, _enclosure(plan, rng)) if rng.random() < 0.5 else (_enclosure(plan, rng), *plan)
    if rng.random() < 0.4 * style.underline:
        plan = (*plan, *_dots(plan, rng))
    return plan


def monogram(letters: Plan, rng: np.random.Generator) -> Plan:
    """Capitals pushed over one another, and now and then closed by a loop."""
    squeeze = rng.uniform(0.5, 1.0)
    plan = tuple(run.moved(run.points * (squeeze, rng.uniform(0.8, 1.2))) for run in letters)
    return (*plan, _loops(plan, rng)) if rng.random() < 0.5 else plan


def scribble(rng: np.random.Generator) -> Plan:
    """A free paraph: a few spikes, arches or coils in a row, then a stroke through or under them."""
    count = int(rng.integers(4, 11))
    period, height = rng.uniform(6.0, 15.0), rng.uniform(12.0, 28.0)
    lean, coil = rng.uniform(-3.0, 6.0), rng.uniform(-0.9, 0.6) * period
    turns = np.arange(2 * count)
    top = turns % 2 == 0
    envelope = 1.0 + rng.uniform(-0.6, 0.6) * turns / len(turns) + rng.normal(0.0, 0.2, len(turns))
    x = turns * period / 2 + np.where(top, lean - coil / 2, coil / 2) + rng.normal(0.0, 0.7, len(turns))
    y = np.where(top, height, rng.uniform(-6.0, 4.0)) * envelope
    body = Component(np.stack([x, y], axis=1))
    return (body, _loops((body,), rng)) if rng.random() < 0.5 else (body,)


def _entry(first: Component, rng: np.random.Generator) -> Component:
    start = first.points[0]
    sweep = np.array([[-14.0, -6.0], [-20.0, 4.0], [-10.0, 12.0]]) * rng.uniform(0.5, 1.4, size=(3, 1))
    return first.moved(np.concatenate([start + sweep, first.points]))


def _with_tail(plan: Plan, rng: np.random.Generator) -> Plan:
    """Lengthens the last letter: a long straight end, a swoop back under the name, a loop, or a rise."""
    last = max((i for i, run in enumerate(plan) if run.kind == "body"), default=len(plan) - 1)
    end = plan[last].points[-1]
    tail = _TAILS[int(rng.integers(len(_TAILS)))](end, bounds(plan), rng)
    run = plan[last].moved(np.concatenate([plan[last].points, tail]))
    return (*plan[:last], run, *plan[last + 1 :])


def _straight_tail(end: Array, box: Box, rng: np.random.Generator) -> Array:
    reach = (box[2] - box[0]) * rng.uniform(0.15, 0.6)
    return np.array([[0.4 * reach, rng.uniform(-3.0, 3.0)], [reach, rng.uniform(-6.0, 8.0)]]) + end


def _swoop_tail(end: Array, box: Box, rng: np.random.Generator) -> Array:
    left, bottom, right, _ = box
    low = bottom - rng.uniform(2.0, 8.0)
    back = max(left - 5.0, end[0] - (right - left) * rng.uniform(0.4, 1.0))
    tail = [[end[0] + 8.0, end[1] - 4.0], [end[0] - 2.0, low], [back, low - rng.uniform(-2.0, 4.0)]]
    if rng.random() < 0.6:
        tail += [[back - 4.0, low + 4.0], [right + rng.uniform(-10.0, 15.0), low + rng.uniform(0.0, 8.0)]]
    return np.array(tail)


def _loop_tail(end: Array, box: Box, rng: np.random.Generator) -> Array:
    reach = (box[2] - box[0]) * rng.uniform(0.15, 0.6)
    depth = -24.0 * rng.uniform(0.6, 1.6)
    return np.array([[6.0, -14.0], [-4.0, depth], [-14.0, -16.0], [reach, -4.0]]) + end


def _rising_tail(end: Array, box: Box, rng: np.random.Generator) -> Array:
    reach = (box[2] - box[0]) * rng.uniform(0.15, 0.6)
    return np.array([[0.5 * reach, rng.uniform(2.0, 10.0)], [reach, rng.uniform(8.0, 26.0)]]) + end


_TAILS = (_straight_tail, _swoop_tail, _loop_tail, _rising_tail)


def _underlines(plan: Plan, rng: np.random.Generator) -> Plan:
    left, bottom, right, top = bounds(plan)
    width = right - left
    y = bottom + (rng.uniform(-0.25, 0.15) * (top - bottom))
    x0, x1 = left + width * rng.uniform(-0.1, 0.3), right + width * rng.uniform(-0.25, 0.15)
    rise = rng.normal(0.02, 0.06) * width
    lines = [_line(x0, y, x1, y + rise, rng)]
    if rng.random() < 0.35:
        shrink = rng.uniform(0.0, 0.3) * width
        lines.append(_line(x0 + shrink, y - rng.uniform(3, 6), x1 - shrink, y + rise - rng.uniform(3, 6), rng))
    if len(lines) == 2 and rng.random() < 0.4:
        lines = [np.concatenate([lines[0], lines[1][::-1]])]
    return tuple(Component(points, "flourish") for points in lines)


def _line(x0: float, y0: float, x1: float, y1: float, rng: np.random.Generator) -> Array:
    middle = [x0 + (x1 - x0) * rng.uniform(0.35, 0.65), (y0 + y1) / 2 + rng.normal(0.0, 1.5)]
    return np.array([[x0, y0], middle, [x1, y1]])


def _enclosure(plan: Plan, rng: np.random.Generator) -> Component:
    """An oval around the whole, or around the first part of it."""
    left, bottom, right, top = bounds(plan)
    span = rng.uniform(0.35, 1.0)
    centre = np.array([left + (right - left) * span / 2, (bottom + top) / 2])
    radii = np.array([(right - left) * span / 2 * 1.15, (top - bottom) / 2 * rng.uniform(0.8, 1.3)])
    angles = rng.uniform(0.0, 6.28) + np.linspace(0.0, rng.uniform(5.6, 7.0), 9) * rng.choice([-1.0, 1.0])
    points = centre + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Component(points + rng.normal(0.0, 0.8, points.shape), "flourish")


def _loops(plan: Plan, rng: np.random.Generator) -> Component:
    """A coil or a strike that runs across the body."""
    left, bottom, right, top = bounds(plan)
    width, height = right - left, top - bottom
    turns = float(rng.choice([0.6, 1.2, 1.8]))
    angles = np.linspace(0.0, 2 * np.pi * turns, int(6 * turns) + 3) + rng.uniform(0.0, 6.28)
    x = left + width * np.linspace(rng.uniform(-0.2, 0.3), rng.uniform(0.7, 1.4), len(angles))
    x = x + 0.4 * width * np.cos(angles)
    y = bottom + height * rng.uniform(0.1, 0.6) + height * rng.uniform(0.1, 0.4) * np.sin(angles)
    return Component(np.stack([x, y], axis=1), "flourish")


def _dots(plan: Plan, rng: np.random.Generator) -> Plan:
    left, bottom, right, _ = bounds(plan)
    count = int(rng.integers(1, 3))
    x = rng.uniform(left + 0.4 * (right - left), right + 4.0)
    y = bottom - rng.uniform(0.0, 6.0)
    return tuple(Component(np.array([[x + 5 * i, y], [x + 5 * i + 1, y + 0.4]]), "mark") for i in range(count))
