"""What a calibration set has to cover: how dense the ink of a canvas is, and how far it reaches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEATURES = ("ink density", "ink width", "ink height")
DECILES = tuple(range(0, 101, 10))


def features(canvases: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """The `FEATURES` of canvases.

    Args:
        canvases: uint8 [N, H, W]; above 127 counts as ink.

    Returns:
        For each feature [N] values of 0 to 1: the share of the canvas that is ink, and the extent of the ink as a
        share of the canvas width and height. A blank canvas has zeros.
    """
    ink = canvases > 127
    return {
        "ink density": ink.mean(axis=(1, 2)),
        "ink width": _extent(ink.any(axis=1)),
        "ink height": _extent(ink.any(axis=2)),
    }


def _extent(occupied: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance from the first to the last true entry of each row of [N, L], both counted, as a share of L."""
    length = occupied.shape[1]
    first = np.argmax(occupied, axis=1)
    last = length - np.argmax(occupied[:, ::-1], axis=1)
    extent: NDArray[np.float64] = np.where(occupied.any(axis=1), (last - first) / length, 0.0)
    return extent
