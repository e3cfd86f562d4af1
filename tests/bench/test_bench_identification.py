"""The parts of an identification are timed one by one, and add up."""

from __future__ import annotations

import numpy as np
import pytest

from sigedge.bench.identification import time_match, timed
from sigedge_runtime.decision import Calibration, Decision, OperatingPoint
from sigedge_runtime.matching import LocalMatching
from sigedge_runtime.search import MatrixIndex, short_vectors
from sigedge_runtime.store import Gallery

CELLS = LocalMatching(2, 3, 1, 1)
DECISION = Decision(
    fusion="mean",
    default_operating_point="balanced",
    operating_points=(OperatingPoint("balanced", 1, 0.7, 0.05, 0.05), OperatingPoint("balanced", 2, 0.3, 0.04, 0.04)),
    calibrations=(Calibration(1, 40.0, -28.0), Calibration(2, 40.0, -12.0)),
    consistency_weight=0.5,
    matching=CELLS,
)


def test_a_value_comes_back_with_its_milliseconds() -> None:
    value, spent = timed(lambda: 7)
    assert value == 7
    assert spent >= 0


def test_every_part_is_timed_for_every_query() -> None:
    templates = CELLS.prepare(np.random.RandomState(0).normal(size=(10, 24)))
    index = MatrixIndex(24)
    index.add(np.arange(10, dtype=np.int64), short_vectors(templates, CELLS))
    read: list[list[int]] = []

    def gallery(labels: np.ndarray) -> Gallery:
        read.append(labels.tolist())
        return Gallery(tuple(map(str, labels)), np.ones(len(labels), np.intp), templates[labels])

    found = time_match(index, templates[:3], DECISION, gallery, 4)
    assert [labels[0] for labels in read] == [0, 1, 2]
    assert {len(labels) for labels in read} == {4}
    assert {part["n"] for part in found.values()} == {3}
    parts = [found[part]["mean"] for part in ("search", "read", "compare")]
    assert found["remembered"]["mean"] == pytest.approx(sum(parts), abs=0.01)
    assert found["total"]["mean"] == pytest.approx(sum(parts) + found["consistency"]["mean"], abs=0.01)
