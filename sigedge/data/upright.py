"""Preprocessing that forgives a turned page: the signature is laid level before it is harmonised.

`harmonise` keeps the direction in which somebody signs, because it is part of the signature. Where pages are
photographed or scanned askew it is no longer the signer's, and this is the preprocessing to use instead, of references
and queries alike: the principal axis of the ink is found on the canvas, the image is turned by it, and harmonised anew.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from sigedge_runtime.preprocessing import Harmonised, Image, PreprocessSpec, harmonise

LARGEST_TURN = 45.0
"""Degrees; an axis that is steeper belongs to a signature that is meant to be."""

LEAST_ELONGATION = 2.0
"""Length over width of the ink from which its axis says how the page lay; a round flourish has none."""


def harmonise_upright(image: Image, spec: PreprocessSpec | None = None) -> Harmonised:
    """Harmonise an image with its signature laid level.

    Args:
        image: as in `sigedge_runtime.preprocessing.harmonise`.
        spec: constants; the default spec when None.

    Returns:
        As `harmonise`; of an image without a clear axis exactly what `harmonise` gives. The quality is the image's own,
        before it was turned.

    Raises:
        ImageError: as `harmonise`.
    """
    first = harmonise(image, spec)
    slope = ink_slope(first.canvas)
    if slope is None or slope == 0:
        return first
    return Harmonised(harmonise(turned(image, slope), spec).canvas, first.quality)


def ink_slope(canvas: Image) -> float | None:
    """Direction of the principal axis of the ink.

    Args:
        canvas: uint8 [H, W], paper 0; every other value counts as ink.

    Returns:
        Degrees, positive where the line rises to the right, at most `LARGEST_TURN` either way; None where there is no
        ink, or no axis that says how the page lay.
    """
    moments = cv2.moments(canvas, binaryImage=True)
    if not moments["m00"]:
        return None
    across, mixed, down = (moments[name] / moments["m00"] for name in ("mu20", "mu11", "mu02"))
    # Half of the difference and of the sum of the two eigenvalues of the covariance of the ink's places.
    spread, middle = math.hypot((across - down) / 2, mixed), (across + down) / 2
    slope = -0.5 * math.degrees(math.atan2(2 * mixed, across - down))
    clear = middle + spread >= LEAST_ELONGATION**2 * (middle - spread)
    return slope if clear and abs(slope) <= LARGEST_TURN else None


def turned(image: Image, degrees: float) -> Image:
    """The image turned clockwise about its middle, on paper of the colour of its border.

    Args:
        image: uint8 [H, W], [H, W, 3] or [H, W, 4].
        degrees: of any size.

    Returns:
        uint8 with as many channels, large enough to hold all corners.
    """
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
    sine, cosine = abs(matrix[0, 1]), abs(matrix[0, 0])
    size = (math.ceil(height * sine + width * cosine), math.ceil(height * cosine + width * sine))
    for axis, (new, old) in enumerate(((size[0], width), (size[1], height))):
        matrix[axis, 2] += (new - old) / 2
    paper = border_colour(image)
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderValue=paper), np.uint8)


def border_colour(image: Image) -> tuple[float, ...]:
    """Median of the pixels along the border of a uint8 image, by channel: the colour of its paper."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return tuple(float(value) for value in np.atleast_1d(np.median(border, axis=0)))
