"""Real-size input for measurements: synthetic signatures as PNG files with as many pixels as a scan has."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.synthesis import Synthesiser

# The median size of a signature cut from a form scanned at 300 dpi.
WIDTH, HEIGHT = 588, 547
COUNT = 20


def write_images(folder: Path, seed: int, count: int = COUNT) -> list[Path]:
    """Write `count` genuine signatures of one synthetic signer as PNG files of about 588 x 547 pixels.

    Args:
        folder: existing folder.
        seed: seed of the signer.
        count: number of images.

    Returns:
        The files, in order.
    """
    signer = Synthesiser(seed).signer(0)
    paths = []
    for index in range(count):
        path = folder / f"{index:02d}.png"
        cv2.imwrite(str(path), fit(signer.genuine(index).image))
        paths.append(path)
    return paths


def fit(image: NDArray[np.uint8]) -> NDArray[Any]:
    """Scale a scan, aspect kept, to as many pixels as 588 x 547 have; uint8, channels as they are."""
    height, width = image.shape[:2]
    scale = math.sqrt(WIDTH * HEIGHT / (width * height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR_EXACT
    return cv2.resize(image, size, interpolation=interpolation)
