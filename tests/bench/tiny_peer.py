"""A peer that needs nothing: its embedding is the mean grey level of each quarter."""

from __future__ import annotations

from typing import Any

import numpy as np

from sigedge.bench.contestants import PEER, Contestant
from sigedge.bench.pipeline import Pipeline


def contestants() -> list[Contestant]:
    facts = {"artifact": "quarters", "engine": "numpy", "precision": "float32", "weights": "none"}
    flags = {"yardstick": True, "first_verdict": True, "same_network": True}
    return [
        Contestant("quarters", PEER, __file__, {"parts": 2}, facts={**facts, **flags}),
        Contestant("halves, broken", PEER, __file__, {"parts": 0}, facts=facts),
    ]


def import_libraries(parts: int) -> None:
    """Nothing."""


def open_runner(parts: int) -> Pipeline:
    if parts < 1:
        raise ValueError("parts must be at least 1")
    return Pipeline(lambda image: image.astype(np.float32), lambda image: quarters(image, parts))


def quarters(image: Any, parts: int) -> Any:
    rows = np.array_split(image, parts)
    return np.array([cell.mean() for row in rows for cell in np.array_split(row, parts, axis=1)])
