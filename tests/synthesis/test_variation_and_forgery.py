"""Statistics that make the samples useful: stable within a signer, apart between signers, forgeries in between."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.synthesis import ScanConditions, Synthesiser
from sigedge.synthesis.forgery import Forger
from sigedge.synthesis.plan import Component, bounds
from sigedge.synthesis.variation import Variability, correlated, varied

SIGNERS, SAMPLES = 14, 5


def descriptor(trajectory: NDArray[np.float32]) -> NDArray[np.float64]:
    """Blurred histogram of where the pen was and how it was heading, of unit length; knows no grey level."""
    steps = np.diff(trajectory[:, :2], axis=0)
    on = (trajectory[1:, 2] == 1.0) & (trajectory[:-1, 2] == 1.0)
    low, span = trajectory[:, :2].min(axis=0), np.ptp(trajectory[:, :2], axis=0).max()
    at = ((trajectory[1:, :2] - low) / span * 23).astype(int)[on]
    direction = ((np.arctan2(steps[:, 1], steps[:, 0]) % np.pi) / np.pi * 6).astype(int)[on] % 6
    grid = np.zeros((6, 24, 24), np.float64)
    np.add.at(grid, (direction, at[:, 1], at[:, 0]), np.hypot(*steps[on].T))
    soft = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.5) for plane in grid]).ravel()
    return np.asarray(soft / np.linalg.norm(soft))


@pytest.fixture(scope="module")
def similarities() -> dict[str, NDArray[np.float64]]:
    population, clean = Synthesiser(2), ScanConditions.clean()
    genuine, forged = [], []
    for number in range(SIGNERS):
        signer = population.signer(number)
        genuine.append(np.array([descriptor(signer.genuine(i, clean).trajectory) for i in range(SAMPLES)]))
        forged.append(np.array([descriptor(signer.skilled_forgery(i, clean).trajectory) for i in range(SAMPLES)]))
    above = np.triu_indices(SAMPLES, 1)
    first = np.array([samples[0] for samples in genuine])
    return {
        "genuine": np.array([(g @ g.T)[above] for g in genuine]),
        "skilled": np.array([(g @ f.T).ravel() for g, f in zip(genuine, forged, strict=True)]),
        "random": (first @ first.T)[np.triu_indices(SIGNERS, 1)],
    }


def test_a_signer_varies_less_than_signers_differ(similarities: dict[str, NDArray[np.float64]]) -> None:
    assert similarities["genuine"].mean() > similarities["random"].mean() + 0.2
    assert similarities["genuine"].max() < 0.999, "no two samples are copies"


def test_forgeries_lie_between_genuine_and_random(similarities: dict[str, NDArray[np.float64]]) -> None:
    genuine, skilled, random = (similarities[name] for name in ("genuine", "skilled", "random"))
    assert random.mean() + 0.2 < skilled.mean() < genuine.mean() - 0.09
    assert (skilled.mean(axis=1) < genuine.mean(axis=1)).mean() > 0.85, "of nearly every signer"
    assert np.percentile(skilled, 90) > np.percentile(genuine, 10), "but hard: the two overlap"


def test_some_signers_are_steadier_than_others(similarities: dict[str, NDArray[np.float64]]) -> None:
    per_signer = similarities["genuine"].mean(axis=1)
    assert per_signer.max() - per_signer.min() > 0.08


def test_forgers_have_hands_of_their_own() -> None:
    """Two attempts of one forger are more alike than attempts of two forgers."""
    population, clean = Synthesiser(4), ScanConditions.clean()
    same, other = [], []
    for number in range(12):
        signer = population.signer(number)
        attempts = [descriptor(signer.skilled_forgery(i, clean).trajectory) for i in (0, 1, 3, 4)]
        same += [attempts[0] @ attempts[2], attempts[1] @ attempts[3]]
        other += [attempts[0] @ attempts[1], attempts[2] @ attempts[3]]
    assert np.mean(same) > np.mean(other) + 0.02


def test_more_skill_means_smaller_errors() -> None:
    forgers = [Forger.draw(np.random.default_rng(seed)) for seed in range(200)]
    ordered = sorted(forgers, key=lambda forger: forger.skill)
    assert ordered[0].habits.jitter > ordered[-1].habits.jitter
    slants = np.abs([forger.slant for forger in ordered])
    assert slants[:60].mean() > slants[-60:].mean()


def plan() -> tuple[Component, ...]:
    x = np.linspace(0.0, 60.0, 14)
    return (
        Component(np.stack([x, 8.0 * (np.arange(14) % 2)], axis=1)),
        Component(np.array([[10.0, 14.0], [11.0, 14.5]]), "mark"),
        Component(np.array([[0.0, -5.0], [30.0, -4.0], [60.0, -5.0]]), "flourish"),
    )


def test_no_spread_changes_nothing() -> None:
    same = varied(plan(), Variability().scaled(0.0), np.random.default_rng(0))
    for before, after in zip(plan(), same, strict=True):
        assert before.kind == after.kind
        assert np.allclose(before.points, after.points)


def test_variation_grows_with_the_spread() -> None:
    def moved(factor: float) -> float:
        still = Variability(skip=0.0, lift=0.0).scaled(factor)
        runs = [varied(plan(), still, np.random.default_rng(seed))[0] for seed in range(40)]
        return float(np.mean([np.hypot(*(run.points - plan()[0].points).T).mean() for run in runs]))

    assert moved(0.5) < moved(1.0) < moved(2.0)


def test_variation_keeps_the_plan_in_place() -> None:
    for seed in range(40):
        left, bottom, right, top = bounds(varied(plan(), Variability(), np.random.default_rng(seed)))
        assert left > -25.0 and right < 90.0 and bottom > -30.0 and top < 40.0


@pytest.mark.parametrize("memory", [0.35, 0.85])
def test_correlated_noise_has_unit_variance_and_memory(memory: float) -> None:
    noise = correlated(np.random.default_rng(0), 20_000, memory)
    assert noise.shape == (20_000, 2)
    assert noise.std() == pytest.approx(1.0, abs=0.05)
    assert np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1] == pytest.approx(memory, abs=0.05)
