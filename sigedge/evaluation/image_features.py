"""Numbers that describe one image without any reference: what a leaky data set could be read by.

All functions take grey uint8 [H, W] of either polarity: raw scans (dark ink on light paper) and canvases (ink
255 on 0) alike. Ink is the smaller of Otsu's two classes.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.evaluation.metrics import Floats
from sigedge_runtime.thinning import thin

Image = NDArray[np.uint8]

_PERCENTILES = (1, 10, 25, 50, 75, 90, 99)
_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
_LBP_RADII = (1, 2)


def ink_mask(image: Image) -> Image:
    """Mask of the ink: uint8 [H, W], 255 ink and 0 background; all 0 for an image of one grey level."""
    if image.min() == image.max():
        return np.zeros_like(image)
    _, bright = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    bright_is_ink = 2 * cv2.countNonZero(bright) <= image.size
    return np.asarray(bright if bright_is_ink else 255 - bright, dtype=np.uint8)


def level_features(image: Image) -> Floats:
    """Grey levels of background and ink: mean, deviation and 7 percentiles of each, float64 [18].

    They are constant on a canvas of two levels; a canvas that keeps grey betrays its scanner here.
    """
    mask = ink_mask(image)
    background = cv2.bitwise_not(mask).astype(np.uint8)
    return np.concatenate([_level_summary(image, background), _level_summary(image, mask)])


def texture_features(image: Image) -> Floats:
    """Shape of the ink's skeleton and local binary patterns around the ink: float64 [F].

    T. Ojala, M. Pietikäinen and T. Mäenpää, "Multiresolution gray-scale and rotation invariant texture
    classification with local binary patterns", 2002: uniform patterns of 8 neighbours at distances 1 and 2.
    """
    mask = ink_mask(image)
    near_ink = np.asarray(cv2.dilate(mask, np.ones((5, 5), np.uint8)), dtype=np.uint8)
    patterns = [_pattern_histogram(image, near_ink, radius) for radius in _LBP_RADII]
    return np.concatenate([_skeleton_summary(mask), *patterns])


def _level_summary(image: Image, where: Image) -> Floats:
    """Mean, deviation and percentiles of the grey levels of some pixels, from their histogram."""
    histogram = cv2.calcHist([image], [0], where, [256], [0, 256]).ravel().astype(np.float64)
    total = histogram.sum()
    if total == 0:
        return np.zeros(2 + len(_PERCENTILES))
    levels = np.arange(256)
    mean = float(histogram @ levels / total)
    deviation = float(np.sqrt(histogram @ (levels - mean) ** 2 / total))
    percentiles = np.searchsorted(histogram.cumsum(), np.array(_PERCENTILES) / 100 * total)
    return np.array([mean, deviation, *percentiles])


def _skeleton_summary(mask: Image) -> Floats:
    """Length, stroke width, ends, crossings, pieces, directions and extent of the ink."""
    skeleton = thin(_padded(mask))
    length = cv2.countNonZero(skeleton)
    if length == 0:
        return np.zeros(16)
    _, _, width, height = cv2.boundingRect(mask)
    widths = 2.0 * cv2.distanceTransform(_padded(mask), cv2.DIST_L2, 3)[skeleton > 0]
    line = (skeleton > 0).astype(np.uint8)
    degree = cv2.filter2D(line, cv2.CV_8U, np.ones((3, 3)), borderType=cv2.BORDER_CONSTANT)[line > 0] - 1
    pieces = cv2.connectedComponents(line)[0] - 1
    area, diagonal = cv2.countNonZero(mask), float(np.hypot(width, height))
    shape = [length / diagonal, width / height, diagonal, area / (width * height)]
    stroke = [widths.mean(), widths.std(), *np.percentile(widths, (10, 90))]
    nodes = [(degree == 1).mean(), (degree >= 3).mean(), pieces / diagonal, pieces / length]
    return np.array([*shape, *stroke, *nodes, *_directions(line, length)])


def _directions(line: Image, length: int) -> list[float]:
    """Share of skeleton pixels with a next pixel to the right, below, and along either diagonal."""
    steps = (
        line[:, :-1] & line[:, 1:],
        line[:-1] & line[1:],
        line[:-1, :-1] & line[1:, 1:],
        line[:-1, 1:] & line[1:, :-1],
    )
    return [cv2.countNonZero(step) / length for step in steps]


def _pattern_histogram(image: Image, where: Image, radius: int) -> Floats:
    """Shares of the 59 uniform patterns of 8 neighbours; pixels above no neighbour are left out."""
    padded = cv2.copyMakeBorder(image, radius, radius, radius, radius, cv2.BORDER_REPLICATE)
    height, width = image.shape
    code = np.zeros(image.shape, np.uint8)
    for bit, (down, right) in enumerate(_NEIGHBOURS):
        top, left = radius * (1 + down), radius * (1 + right)
        not_below = cv2.compare(padded[top : top + height, left : left + width], image, cv2.CMP_GE)
        code |= np.asarray(not_below, dtype=np.uint8) & np.uint8(1 << bit)
    codes = cv2.calcHist([code], [0], where, [256], [0, 256]).ravel()[:255]
    counts = np.bincount(_UNIFORM_PATTERN[:255], weights=codes, minlength=59)
    return np.asarray(counts / max(1.0, counts.sum()))


def _uniform_patterns() -> NDArray[np.int64]:
    """Bin of each of the 256 codes: one for each code of at most two changes, one for the rest."""
    bins = np.full(256, 58, dtype=np.int64)
    next_bin = 0
    for code in range(256):
        rotated = (code >> 1) | ((code & 1) << 7)
        if (code ^ rotated).bit_count() <= 2:
            bins[code] = next_bin
            next_bin += 1
    return bins


_UNIFORM_PATTERN = _uniform_patterns()


def _padded(mask: Image) -> Any:
    return cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,))
