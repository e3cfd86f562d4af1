"""How far a tensor is from its reference, in decibels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[np.floating[Any]]

EXACT = 200.0
"""Equal tensors have no noise; so many dB stand for that, and as many below zero for values that are not finite."""


@dataclass(frozen=True)
class LayerNoise:
    """One layer of an artefact against the layer of its reference that it corresponds to.

    Attributes:
        index: place in the artefact's order of execution, 0 for the canvas.
        layer: name in the artefact.
        operator: as the artefact's format calls it.
        sqnr_db: signal-to-quantization-noise ratio over all canvases, see `sqnr`.
        max_difference: largest absolute difference.
        counterpart: name of the reference's layer.
    """

    index: int
    layer: str
    operator: str
    sqnr_db: float
    max_difference: float
    counterpart: str = ""


def sqnr(reference: Tensor, found: Tensor) -> float:
    """Signal-to-quantization-noise ratio, 10 log10(sum reference^2 / sum (reference - found)^2), in dB.

    Between -`EXACT` and `EXACT`: the latter when both are equal, the former when `found` holds NaN or infinity.
    """
    if not np.isfinite(found).all():
        return -EXACT
    signal = float(np.square(reference, dtype=np.float64).sum())
    noise = float(np.square(reference.astype(np.float64) - found).sum())
    if noise == 0:
        return EXACT
    return -EXACT if signal == 0 else float(np.clip(10 * np.log10(signal / noise), -EXACT, EXACT))
