"""Skilled forgeries: another hand redraws the shape of one genuine signature.

A forger has seen one sample and copies it with practice. What gives it away after all grey levels and line widths
are gone is shape: proportions of letters, slant, curvature at the joins, a simplified flourish, lifts and
retouches, hesitation. After M. Ferrer, M. Diaz-Cabrera and A. Morales, "Static signature synthesis: a neuromotor
inspired approach for biometrics", IEEE TPAMI 37 (2015), where a forgery is a wider intra-personal variation; the
bias of the forger's own hand is added here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sigedge.synthesis.lognormal import Array
from sigedge.synthesis.movement import Dynamics
from sigedge.synthesis.plan import Box, Component, Plan, bounds
from sigedge.synthesis.style import SignerStyle
from sigedge.synthesis.variation import Variability, correlated, varied


@dataclass(frozen=True, slots=True)
class Forger:
    """A forger's habits; `skill` 0 (a glance, no practice) .. 1 (long practice)."""

    skill: float
    slant: float
    aspect: float
    spacing: float
    x_height: float
    roundness: float
    overlap: float
    tempo: float
    tremor: float
    lifts: float
    habits: Variability

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Forger:
        """A forger by chance; most have practised."""
        skill = float(rng.beta(2.2, 1.6))
        clumsy = 1.9 - 1.1 * skill
        shaky = rng.random() < 0.4
        return cls(
            skill=skill,
            slant=float(rng.normal(0.0, 0.14) * clumsy),
            aspect=float(rng.normal(0.0, 0.16) * clumsy),
            spacing=float(rng.normal(0.0, 0.1) * clumsy),
            x_height=float(rng.normal(0.0, 0.16) * clumsy),
            roundness=float(rng.uniform(0.1, 1.0)),
            overlap=float(rng.uniform(0.1, 0.35)),
            tempo=float(rng.uniform(0.3, 0.9)),
            tremor=float(rng.uniform(0.05, 0.3) * clumsy) if shaky else 0.03,
            lifts=float(rng.uniform(0.0, 0.2) * clumsy),
            habits=Variability(
                stretch=0.34, height=0.24, shear=0.15, drift=0.7, offset=1.6, jitter=1.5, skip=0.02
            ).scaled(clumsy),
        )


def forged_plan(
    model: Plan, genuine: SignerStyle, forger: Forger, bias: np.random.Generator, rng: np.random.Generator
) -> Plan:
    """The forger's attempt at `model`, the plan of one genuine sample.

    The forger's misreading of the letters (drawn from `bias`, the same in each of their attempts) comes first, then
    the variation of the single attempt (`rng`). A steady hand is the easier to copy.
    """
    habits = forger.habits.scaled(0.65 + 0.35 * genuine.instability)
    misread = varied(tuple(_simplified(run, forger, bias) for run in model), habits, bias)
    plan = tuple(run.moved(_biased(run.points, bounds(misread), forger)) for run in misread)
    attempt = Variability().scaled(0.8 + 0.6 * (1.0 - forger.skill))
    plan = varied(plan, attempt, rng)
    return tuple(part for run in plan for part in _retouched(run, forger, rng))


def forger_dynamics(genuine: SignerStyle, forger: Forger) -> Dynamics:
    """Between the movement of the owner, which skill approaches, and the forger's own."""
    near = 0.25 + 0.6 * forger.skill
    return Dynamics(
        roundness=near * genuine.roundness + (1.0 - near) * forger.roundness,
        overlap=near * genuine.overlap + (1.0 - near) * forger.overlap,
        tempo=forger.tempo,
        jitter=0.12,
        tremor=genuine.tremor * near + forger.tremor,
    )


def _simplified(run: Component, forger: Forger, rng: np.random.Generator) -> Component:
    """A flourish loses a target and some of its sweep when the forger does not dare it at speed."""
    if run.kind != "flourish" or len(run.points) < 4 or rng.random() < forger.skill:
        return run
    keep = rng.random(len(run.points)) > 0.2
    keep[[0, -1]] = True
    centre = run.points.mean(axis=0)
    return run.moved(centre + (run.points[keep] - centre) * rng.uniform(0.75, 1.05))


def _biased(points: Array, box: Box, forger: Forger) -> Array:
    """Slant, aspect and proportions drawn towards the forger's own hand."""
    left, bottom, right, top = box
    centre = np.array([(left + right) / 2, (bottom + top) / 2])
    x, y = (points - centre).T
    reach = max(top - bottom, 1.0) / 2
    y = y * np.exp(-0.5 * forger.aspect) * (1.0 + forger.x_height * (1.0 - np.abs(y) / reach))
    x = x * np.exp(0.5 * forger.aspect) * (1.0 + forger.spacing * np.abs(x) / max(right - left, 1.0))
    return np.asarray(np.stack([x + forger.slant * y, y], axis=1) + centre)


def _retouched(run: Component, forger: Forger, rng: np.random.Generator) -> list[Component]:
    """A hesitation: the pen lifts within a letter and starts again beside the place where it left."""
    if run.kind == "mark" or len(run.points) < 6 or rng.random() >= forger.lifts:
        return [run]
    cut = int(rng.integers(2, len(run.points) - 2))
    again = run.points[cut:].copy()
    again[0] += rng.normal(0.0, 0.7, 2)
    again += 0.4 * correlated(rng, len(again), 0.8)
    return [run.moved(run.points[: cut + 1]), run.moved(again)]
