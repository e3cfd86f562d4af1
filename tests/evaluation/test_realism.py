"""The probe of realism: it tells apart what differs, and does not tell apart what does not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.evaluation.realism import measure_realism
from sigedge.synthesis import Synthesiser
from sigedge_runtime.errors import DataError
from sigedge_runtime.preprocessing import harmonise

Drawn = tuple[list[NDArray[np.uint8]], list[str]]


def drawn(first: int, signers: int = 10, samples: int = 2) -> Drawn:
    population = Synthesiser(31)
    numbers = [number for number in range(first, first + signers) for _ in range(samples)]
    canvases = [
        harmonise(population.signer(number).genuine(place % samples).image).canvas
        for place, number in enumerate(numbers)
    ]
    return canvases, [str(number) for number in numbers]


@pytest.fixture(scope="module")
def some() -> Drawn:
    return drawn(0)


def test_two_draws_of_one_population_are_hard_to_tell_apart(some: Drawn) -> None:
    found = measure_realism(*some, *drawn(10))
    assert 0.2 < found["auc"] < 0.8
    assert found["real"] == found["synthetic"] == {"images": 20, "signers": 10}


def test_strokes_of_another_width_are_told_apart(some: Drawn) -> None:
    canvases, signers = some
    dots = np.zeros_like(canvases[0])
    dots[::6, ::6] = 255
    found = measure_realism(canvases, signers, [np.maximum(canvas, dots) for canvas in canvases], signers)
    assert found["auc"] > 0.95
    assert found["auc"] == max(found["probes"].values())


def test_one_signer_is_no_population(some: Drawn) -> None:
    canvases, signers = some
    with pytest.raises(DataError, match="fewer than two synthetic signers"):
        measure_realism(canvases, signers, canvases[:2], ["one", "one"])
