"""Logarithmic cosine spectra, in which what a network leaves behind may show when the picture looks right.

J. Frank et al., "Leveraging Frequency Analysis for Deep Fake Image Recognition", ICML 2020, section 3: the
two-dimensional DCT of type II, orthonormal, its magnitude on a logarithmic scale; enlarging inside a generator leaves
peaks or a lack of high frequencies.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.systems.forger.preprocessing import Image

LOWEST, HIGHEST = -3.5, 0.5
"""Decades that a canvas spans. Rounding to 256 grey levels makes a floor near 10^-2.9; above lie only the few lowest
frequencies, which say how much ink there is and where."""


def log_spectra(images: Image) -> NDArray[np.float32]:
    """Decimal logarithm of the magnitude of every cosine coefficient.

    Args:
        images: uint8 [N, H, W], H and W even.

    Returns:
        float32 [N, H, W] from `LOWEST` to `HIGHEST`, the lowest frequencies at the top left.
    """
    scaled = images.astype(np.float32) / np.float32(255)
    coefficients = np.stack([cv2.dct(image) for image in scaled])
    logarithms = np.log10(np.maximum(np.abs(coefficients), 10.0**LOWEST))
    return np.asarray(np.clip(logarithms, LOWEST, HIGHEST), dtype=np.float32)


def spectrum_canvases(images: Image) -> Image:
    """What the detector reads: `log_spectra` of uint8 [N, H, W] in 256 steps, of which each is 3.7 % of a magnitude.

    A value is round(255 (log10 |DCT| - LOWEST) / (HIGHEST - LOWEST)): numpy and OpenCV alone, so that a device can do
    it too.
    """
    values = np.rint(255 * (log_spectra(images) - LOWEST) / (HIGHEST - LOWEST))
    return np.asarray(values, dtype=np.uint8)


def profile(spectra: NDArray[np.float32], bins: int = 32) -> NDArray[np.float64]:
    """The average spectrum along the distance from the lowest frequency.

    Args:
        spectra: float32 [N, H, W] of `log_spectra`.
        bins: rings of equal width.

    Returns:
        float64 [bins], from no change at all to the fastest change in both directions.
    """
    height, width = spectra.shape[1:]
    rows, columns = np.arange(height)[:, None] / height, np.arange(width)[None, :] / width
    ring = np.minimum((np.hypot(rows, columns) / np.sqrt(2) * bins).astype(np.int64), bins - 1).ravel()
    sums = np.bincount(ring, spectra.mean(axis=0, dtype=np.float64).ravel(), minlength=bins)
    return np.asarray(sums / np.bincount(ring, minlength=bins), dtype=np.float64)
