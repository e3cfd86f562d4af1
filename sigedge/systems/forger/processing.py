"""What happens to a picture on its way to whoever examines it, and may wipe out what a detector looks for."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from sigedge.systems.forger.preprocessing import Image

JPEG_QUALITY = 75
RESIZED = 0.75


def compressed(image: Image) -> Image:
    """After JPEG at quality `JPEG_QUALITY`."""
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


def resized(image: Image) -> Image:
    """After a reduction to `RESIZED` of its size and back."""
    height, width = image.shape
    size = (round(width * RESIZED), round(height * RESIZED))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def binarised(image: Image) -> Image:
    """After Otsu's threshold: two levels, as a fax or a bilevel data set holds it."""
    return np.asarray(cv2.threshold(image, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1], np.uint8)


PROCESSINGS: dict[str, Callable[[Image], Image]] = {
    "none": lambda image: image,
    "jpeg": compressed,
    "resize": resized,
    "binarise": binarised,
}
"""By name; each takes and gives an ink image uint8 [H, W]."""


def processed(images: Image, name: str) -> Image:
    """All images uint8 [N, H, W] after one of `PROCESSINGS`."""
    return np.stack([PROCESSINGS[name](image) for image in images])
