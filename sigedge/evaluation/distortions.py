"""What happens to a signature's picture on its way to the verifier: each kind in steps of rising severity.

Every distortion takes the source image alone, never its label, and draws from a generator that is seeded by the image's
content. Images are grey: `harmonise` reads nothing else, and JPEG codes luminance apart from colour.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sigedge.data.upright import border_colour, turned
from sigedge.evaluation.image_features import Image, ink_mask

Colour = tuple[int, int, int]
WHITE = 255.0
_CORNERS = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)


@dataclass(frozen=True)
class Distortion:
    """One kind of distortion with its ladder.

    Attributes:
        name: key in results.
        title: what a reader sees.
        unit: of the ladder's labels.
        distort: makes uint8 [H, W] or BGR [H, W, 3] of a grey image uint8 [H, W], a generator and an amount.
        ladder: amounts by label, in the order of a plot; None stands for the image as it is.
    """

    name: str
    title: str
    unit: str
    distort: Callable[[Image, np.random.Generator, Any], Image]
    ladder: Mapping[str, Any]

    def apply(self, image: Image, label: str, pixels: str, seed: int = 0) -> Image:
        """The image at one step of the ladder.

        Args:
            image: uint8 [H, W], dark ink on lighter paper.
            label: of the step.
            pixels: hash (hex) of the image. Together with the seed it alone decides what is drawn, the same for all
                steps: a ladder turns or lights an image from the same side all the way.
            seed: of the evaluation.

        Returns:
            uint8 [H, W] or BGR [H, W, 3], of another size where the distortion changes it.
        """
        amount = self.ladder[label]
        if amount is None:
            return image
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode()), int(pixels[:16], 16)])
        return self.distort(image, rng, amount)


def rotated(image: Image, rng: np.random.Generator, degrees: float) -> Image:
    """Turned to either side, on paper of its own colour and large enough to lose nothing."""
    return turned(image, degrees * float(rng.choice((-1, 1))))


def scaled(image: Image, rng: np.random.Generator, factor: float) -> Image:
    """Resampled as if scanned at `factor` times the resolution."""
    height, width = (max(1, round(side * factor)) for side in image.shape)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def compressed(image: Image, rng: np.random.Generator, quality: int) -> Image:
    """After JPEG of a quality, 1 to 100."""
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


def blurred(image: Image, rng: np.random.Generator, sigma: float) -> Image:
    """Out of focus: a Gaussian of `sigma` pixels of the source image."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def inked(image: Image, rng: np.random.Generator, colour: Colour) -> Image:
    """Signed with ink that has this colour, BGR, on white paper; the paper stays."""
    paper, ink = _paper_and_ink(image)
    covered = tuple(channel * paper / WHITE for channel in colour)
    return _recoloured(image, paper, ink, (paper,) * 3, covered)


def papered(image: Image, rng: np.random.Generator, colour: Colour) -> Image:
    """Signed on paper of another colour, BGR, with the same ink: it lets the same share of the light through."""
    paper, ink = _paper_and_ink(image)
    covered = tuple(channel * ink / max(paper, 1.0) for channel in colour)
    return _recoloured(image, paper, ink, colour, covered)


def ruled(image: Image, rng: np.random.Generator, darkness: float) -> Image:
    """On lined paper: lines a quarter of the height apart and `darkness`, 0 to 1, darker than it; ink covers them."""
    height = image.shape[0]
    pitch, thickness = max(height // 4, 12), max(1, height // 150)
    line = round(_paper_and_ink(image)[0] * (1 - darkness))
    lined = image.copy()
    for top in range(int(rng.integers(pitch)), height, pitch):
        lined[top : top + thickness] = np.minimum(lined[top : top + thickness], line)
    return lined


def photographed(image: Image, rng: np.random.Generator, strength: float) -> Image:
    """Taken with a phone held askew: perspective, and light that falls off to one side.

    Args:
        image: uint8 [H, W].
        rng: draws which corners lie farther away and where the light comes from.
        strength: share of a side, 0 to 0.25, by which a corner moves inward at most; the darkest place loses three
            times that share of its light.
    """
    height, width = image.shape
    size = np.array([width, height], np.float32)
    inward = (1 - 2 * _CORNERS) * strength * rng.uniform(0.2, 1.0, _CORNERS.shape)
    seen_from = ((_CORNERS + inward) * size).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(_CORNERS * size, seen_from)
    seen = cv2.warpPerspective(image, matrix, (width, height), borderValue=border_colour(image))
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.add.outer(np.sin(angle) * np.linspace(-1, 1, height), np.cos(angle) * np.linspace(-1, 1, width))
    return np.asarray(seen * (1 - 3 * strength * (ramp / np.abs(ramp).max() + 1) / 2), np.uint8)


def _paper_and_ink(image: Image) -> tuple[float, float]:
    """Median grey of the paper and mean grey of the ink; equal where an image shows no ink."""
    mask = ink_mask(image)
    if not mask.any():
        level = float(np.median(image))
        return level, level
    return float(np.median(image[mask == 0])), float(image[mask > 0].mean())


def _recoloured(
    image: Image, paper: float, ink: float, new_paper: tuple[float, ...], new_ink: tuple[float, ...]
) -> Image:
    """BGR [H, W, 3]: the grey level `paper` became one colour, `ink` another, and what lies between lies between."""
    cover = (paper - image.astype(np.float32)) / ((paper - ink) or 1.0)
    channels = [light + cover * (dark - light) for light, dark in zip(new_paper, new_ink, strict=True)]
    return np.asarray(np.clip(np.stack(channels, axis=2), 0, WHITE), np.uint8)


# Colours are blue, green, red, in falling contrast.
_INKS = {
    "as it is": None,
    "blue": (140, 60, 25),
    "red": (45, 40, 190),
    "pencil": (150, 150, 150),
    "faint": (200, 200, 200),
    "palest": (240, 240, 240),
}
_PAPERS = {
    "as it is": None,
    "yellow": (150, 235, 250),
    "grey": (190, 190, 190),
    "brown": (110, 150, 180),
    "dark": (90, 90, 90),
}
_ROTATIONS = {"0": None, "2": 2.0, "4": 4.0, "6": 6.0, "8": 8.0, "10": 10.0}
_SCALES = {"0.5": 0.5, "0.75": 0.75, "1": None, "1.25": 1.25, "1.5": 1.5}
_BLURS = {"0": None, "1": 1.0, "2": 2.0, "3": 3.0, "4": 4.0}
_LINES = {"none": None, "0.1": 0.1, "0.2": 0.2, "0.4": 0.4, "0.6": 0.6}
_PHOTOS = {"none": None, "0.05": 0.05, "0.1": 0.1, "0.15": 0.15, "0.2": 0.2}

DISTORTIONS = (
    Distortion("rotation", "Rotation", "degrees, to either side", rotated, _ROTATIONS),
    Distortion("scale", "Scale", "times the resolution", scaled, _SCALES),
    Distortion("jpeg", "JPEG", "quality", compressed, {"none": None, "90": 90, "60": 60, "40": 40, "20": 20}),
    Distortion("blur", "Blur", "sigma, pixels of the scan", blurred, _BLURS),
    Distortion("ink", "Ink colour", "in falling contrast", inked, _INKS),
    Distortion("paper", "Paper colour", "in falling contrast", papered, _PAPERS),
    Distortion("ruled", "Ruled lines", "darkness of the lines", ruled, _LINES),
    Distortion("photo", "Phone photo", "shift of the corners, with shading", photographed, _PHOTOS),
)
"""Every distortion, in the order of the report."""
