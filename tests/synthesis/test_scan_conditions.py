from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge.synthesis import Sample, ScanConditions, Synthesiser, SyntheticSigner
from sigedge.synthesis.scan import PENS


def auc(positive: list[float], negative: list[float]) -> float:
    """Chance that a positive scores above a negative, ties counted half."""
    difference = np.subtract.outer(positive, negative)
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def grey(sample: Sample) -> NDArray[np.float64]:
    image = sample.image.astype(np.float64)
    return image if image.ndim == 2 else np.asarray(image.mean(axis=2))


PROBES = {
    "background": lambda image: float(np.median(image)),
    "ink level": lambda image: float(np.percentile(image, 0.5)),
    "mean": lambda image: float(image.mean()),
    "paper noise": lambda image: float(np.abs(np.diff(image[:4], axis=1)).mean()),
    "colour": lambda image: float(image.ndim),
}


@pytest.fixture(scope="module")
def scans() -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    signers = [Synthesiser(6).signer(number) for number in range(50)]
    genuine = [grey(signer.genuine(index)) for signer in signers for index in range(3)]
    forged = [grey(signer.skilled_forgery(index)) for signer in signers for index in range(3)]
    return genuine, forged


@pytest.mark.parametrize("probe", sorted(PROBES))
def test_the_scan_says_nothing_about_the_label(
    probe: str, scans: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]
) -> None:
    genuine, forged = ([PROBES[probe](image) for image in images] for images in scans)
    assert auc(genuine, forged) == pytest.approx(0.5, abs=0.1)


def test_conditions_come_from_their_own_stream_alone() -> None:
    """Two signers' handwriting differs, but equal generators give equal conditions."""
    first, second = (ScanConditions.random(np.random.default_rng(5)) for _ in range(2))
    assert first == second
    assert ScanConditions.clean() == ScanConditions.clean()


def test_random_conditions_cover_their_range() -> None:
    rng = np.random.default_rng(0)
    drawn = [ScanConditions.random(rng) for _ in range(400)]
    assert {scan.pen for scan in drawn} == set(PENS)
    assert {scan.colour for scan in drawn} == {True, False}
    assert any(scan.stain for scan in drawn) and any(scan.jpeg_quality for scan in drawn)
    assert not any(scan.ruled for scan in drawn), "ruled lines are off unless asked for"


@given(st.integers(0, 2**32), st.integers(0, 2**32))
@settings(max_examples=20)
def test_the_scan_does_not_move_the_pen(seed: int, noise_seed: int) -> None:
    signer = SyntheticSigner(seed)
    plain = signer.genuine(0, ScanConditions.clean())
    noisy = dataclasses.replace(
        ScanConditions.clean(), noise=5.0, texture=3.0, blur=1.0, jpeg_quality=50, stain=0.1, noise_seed=noise_seed
    )
    other = signer.genuine(0, noisy)
    assert np.array_equal(plain.trajectory, other.trajectory)
    assert plain.image.shape == other.image.shape
    assert not np.array_equal(plain.image, other.image)


@pytest.mark.parametrize(
    ("change", "measure"),
    [
        ({"pen_width": 2.5}, lambda image: -float((image < 128).sum())),
        ({"paper": (200, 200, 200)}, lambda image: float(np.median(image))),
        ({"ruled": 0.2}, lambda image: float(image[:, 0].astype(float).min())),
        ({"stain": 0.3}, lambda image: float(np.percentile(image, 40))),
        ({"gradient": (0.5, 0.0)}, lambda image: float(image[:, -1].astype(float).mean())),
        ({"blur": 2.0}, lambda image: -float(image.min())),
    ],
)
def test_each_condition_shows(change: dict[str, object], measure: object) -> None:
    signer, clean = SyntheticSigner(3), ScanConditions.clean()
    plain = signer.genuine(0, clean).image
    changed = signer.genuine(0, dataclasses.replace(clean, **change)).image  # type: ignore[arg-type]
    assert callable(measure)
    assert measure(changed) < measure(plain)


def test_colour_scans_show_the_ink_colour() -> None:
    scan = dataclasses.replace(ScanConditions.clean(), colour=True, ink=(160, 40, 20))
    image = SyntheticSigner(3).genuine(0, scan).image
    assert image.ndim == 3
    blue, _, red = image[image.sum(axis=2) < 400].mean(axis=0)
    assert blue > red + 40
