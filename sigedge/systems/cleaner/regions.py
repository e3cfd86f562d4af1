"""Regions: the fixed piece of a document that the cleaner reads, and signatures as ink laid into one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.errors import ImageError

Image = NDArray[np.uint8]

HEIGHT, WIDTH = 128, 256
"""Rows and columns of a region, pixels."""

_LARGEST = 640  # pixels: finer scans are shrunk before their ink is looked for
_ENOUGH = 2  # times the size of a region, likewise


def fit_region(grey: Image, height: int = HEIGHT, width: int = WIDTH) -> Image:
    """A piece of a document in the size of a region: aspect kept, centred, the rest filled with its paper.

    Args:
        grey: uint8 [h, w], dark ink on lighter paper, cut out roughly at the signature.
        height: rows of the region, pixels.
        width: columns of the region, pixels.

    Returns:
        uint8 [height, width].

    Raises:
        ImageError: the array is no grey uint8 image.
    """
    _require_grey(grey)
    share = min(height / grey.shape[0], width / grey.shape[1])
    fitted = _resized(grey, share, (height, width))
    border = np.concatenate([fitted[0], fitted[-1], fitted[:, 0], fitted[:, -1]])
    region = np.full((height, width), np.median(border), np.uint8)
    top, left = (height - fitted.shape[0]) // 2, (width - fitted.shape[1]) // 2
    region[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return region


def ink_of(grey: Image) -> Image:
    """How much ink lies on each pixel of a signature: paper and the scan's ink level are removed, whatever the label.

    The paper is what a morphological closing leaves, dividing by it removes uneven light, and Otsu's threshold
    separates ink from paper; ink is then stretched so that its darkest tenth is full.

    Args:
        grey: uint8 [h, w], a signature on paper without marks.

    Returns:
        uint8 [h', w'], 0 for paper and 255 for full ink, cut to the ink; at most 640 pixels long.

    Raises:
        ImageError: the array is no grey uint8 image, or shows no ink.
    """
    _require_grey(grey)
    grey = _resized(grey, min(1.0, _LARGEST / max(grey.shape)), (_LARGEST, _LARGEST))
    reach = max(5, min(grey.shape) // 6) | 1
    paper = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8), borderType=cv2.BORDER_REPLICATE)
    darkness = 255 - cv2.divide(grey, cv2.GaussianBlur(paper, (0, 0), reach / 6), scale=255)
    threshold, mask = cv2.threshold(cv2.GaussianBlur(darkness, (3, 3), 0), 0, 255, cv2.THRESH_OTSU)
    if threshold < 8 or not mask.any():
        raise ImageError("The image shows no ink; give a signature, dark on lighter paper.")
    full = max(1.0, float(np.percentile(darkness[mask > 0], 90)))
    ink = np.clip(darkness * (255.0 / full), 0, 255).astype(np.uint8)
    ink[cv2.dilate(mask, np.ones((3, 3), np.uint8)) == 0] = 0
    x, y, wide, high = cv2.boundingRect(mask)
    return ink[y : y + high, x : x + wide]


def place(ink: Image, fill: float, where: tuple[float, float], height: int = HEIGHT, width: int = WIDTH) -> Image:
    """Lay a signature's ink into an empty region.

    Args:
        ink: uint8 [h, w], from `ink_of`.
        fill: share of the region's height or width, whichever is reached first, that the ink takes; above 0, to 1.
        where: share of the free rows above it and of the free columns left of it, each 0 to 1.
        height: rows of the region, pixels.
        width: columns of the region, pixels.

    Returns:
        uint8 [height, width], 0 for paper and 255 for full ink.
    """
    share = fill * min(height / ink.shape[0], width / ink.shape[1])
    fitted = _resized(ink, share, (height, width))
    region = np.zeros((height, width), np.uint8)
    top, left = (int((room - side) * part) for room, side, part in zip(region.shape, fitted.shape, where, strict=True))
    region[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return region


def on_white(ink: Image, depth: float = 1.0) -> Image:
    """Ink uint8 [H, W] on white paper; `depth`, 0 to 1, is the darkness of full ink."""
    return np.asarray(255 - np.rint(ink * depth), np.uint8)


def _resized(image: Image, share: float, limits: tuple[int, int]) -> Image:
    """The image in `share` of its size, within (height, width)."""
    height, width = (max(1, min(limit, round(side * share))) for side, limit in zip(image.shape, limits, strict=True))
    interpolation = cv2.INTER_AREA if share < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)


def _require_grey(image: Image) -> None:
    if image.dtype != np.uint8 or image.ndim != 2 or image.size == 0:
        raise ImageError(
            f"Expected a grey uint8 image [H, W], got {image.dtype} {list(image.shape)}; convert it first."
        )
