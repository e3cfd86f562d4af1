"""What gets printed and stamped over signatures, drawn with OpenCV: text, ruled lines, stamps and seals.

Each function takes the shape of a region and a generator of random numbers, and returns coverage, uint8 [H, W]: 0 where
nothing is printed, 255 where the mark covers the paper.
"""

from __future__ import annotations

import cv2
import numpy as np

from sigedge.synthesis.names import word
from sigedge.systems.cleaner.regions import Image

Shape = tuple[int, int]

_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX_SMALL,
)
_OFFICE_WORDS = "PAID RECEIVED APPROVED COPY ORIGINAL BANK CASHIER POSTED VALID REGISTERED BRANCH OFFICE".split()


def printed_text(shape: Shape, rng: np.random.Generator) -> Image:
    """One to four lines of print in one type, anywhere; they may run out of the region."""
    height, width = shape
    size, lines = int(rng.integers(7, 15)), int(rng.integers(1, 5))
    left, top = int(rng.integers(-width // 4, width // 2)), int(rng.integers(size, height))
    return text_lines(shape, (left, top), size, lines, rng)


def text_lines(shape: Shape, corner: tuple[int, int], size: int, lines: int, rng: np.random.Generator) -> Image:
    """Lines of made-up words.

    Args:
        shape: (H, W) of the region.
        corner: left end of the first line's baseline, (x, y).
        size: height of capitals, pixels.
        lines: how many.
        rng: chooses font, spacing and words.
    """
    printed = np.zeros(shape, np.uint8)
    font = _FONTS[int(rng.integers(len(_FONTS)))]
    scale = cv2.getFontScaleFromHeight(font, size)
    weight = 2 if size > 10 and rng.random() < 0.3 else 1
    spacing = round(size * rng.uniform(1.6, 2.4))
    for line in range(lines):
        words = " ".join(_printed_word(rng) for _ in range(int(rng.integers(1, 8))))
        at = (corner[0], corner[1] + line * spacing)
        cv2.putText(printed, words, at, font, scale, (255.0,), weight, cv2.LINE_AA)
    return printed


def ruled_lines(shape: Shape, rng: np.random.Generator) -> Image:
    """One to five straight lines, level or nearly so, full or dotted, now and then with uprights that make boxes."""
    height, width = shape
    lines = np.zeros(shape, np.uint8)
    slope, thickness = rng.normal(0, 0.01), int(rng.choice([1, 1, 1, 2]))
    spacing, first = int(rng.integers(14, 45)), int(rng.integers(4, height - 4))
    for y in range(first, height, spacing)[: int(rng.integers(1, 6))]:
        cv2.line(lines, (0, y), (width, round(y + slope * width)), (255.0,), thickness, cv2.LINE_AA)
    if rng.random() < 0.25:
        for x in range(int(rng.integers(width)), width, int(rng.integers(40, 120))):
            cv2.line(lines, (x, first), (x, height), (255.0,), thickness, cv2.LINE_AA)
    if rng.random() < 0.25:
        lines[:, np.arange(width) % 4 > 1] = 0
    return lines


def stamp(shape: Shape, rng: np.random.Generator) -> Image:
    """A framed office stamp of one to three lines, turned, unevenly inked, in whole or in part inside the region."""
    height, width = int(rng.integers(34, 76)), int(rng.integers(90, 180))
    face = np.zeros((height, width), np.uint8)
    cv2.rectangle(face, (2, 2), (width - 3, height - 3), (255.0,), int(rng.integers(1, 4)), cv2.LINE_AA)
    rows = int(rng.integers(1, 4))
    size = max(7, (height - 14) * 2 // (3 * rows))
    for row in range(rows):
        font = _FONTS[int(rng.choice([0, 2, 3]))]
        at = (8, round((row + 0.85) * (height - 10) / rows) + 3)
        scale = cv2.getFontScaleFromHeight(font, size)
        cv2.putText(face, _stamped_words(rng), at, font, scale, (255.0,), 1 + (size > 14), cv2.LINE_AA)
    return _pressed(face, shape, rng.uniform(-25, 25), rng)


def seal(shape: Shape, rng: np.random.Generator) -> Image:
    """A round seal: rings, an inscription along them and a star in the middle."""
    radius = int(rng.integers(30, 62))
    side = 2 * radius + 6
    face = np.zeros((side, side), np.uint8)
    centre = (side // 2, side // 2)
    cv2.circle(face, centre, radius, (255.0,), int(rng.integers(1, 4)), cv2.LINE_AA)
    cv2.circle(face, centre, round(radius * rng.uniform(0.55, 0.68)), (255.0,), 1, cv2.LINE_AA)
    letters = " ".join(_stamped_words(rng) for _ in range(3))[: radius // 2]
    for number, letter in enumerate(letters):
        _write_on_ring(face, letter, 360.0 * number / len(letters), radius)
    points = [_on_circle(centre, radius * (0.35 if i % 2 else 0.15), 36.0 * i) for i in range(10)]
    cv2.polylines(face, [np.array(points, np.int32)], True, (255.0,), 1 + int(rng.random() < 0.3), cv2.LINE_AA)
    return _pressed(face, shape, rng.uniform(-180, 180), rng)


def _printed_word(rng: np.random.Generator) -> str:
    if rng.random() < 0.2:
        return str(rng.integers(10, 100_000))
    name = word(rng, int(rng.integers(1, 4)))
    return name if rng.random() < 0.3 else name.lower()


def _stamped_words(rng: np.random.Generator) -> str:
    if rng.random() < 0.3:
        return f"{rng.integers(1, 29):02d}.{rng.integers(1, 13):02d}.{rng.integers(1990, 2030)}"
    return str(rng.choice(_OFFICE_WORDS))


def _on_circle(centre: tuple[int, int], radius: float, degrees: float) -> tuple[int, int]:
    angle = np.deg2rad(degrees)
    return round(centre[0] + radius * np.sin(angle)), round(centre[1] - radius * np.cos(angle))


def _write_on_ring(face: Image, letter: str, degrees: float, radius: int) -> None:
    """Write a letter upright at the top of the ring and turn it to its place, in place."""
    upright = np.zeros_like(face)
    middle = face.shape[0] / 2
    at = (round(middle) - 4, round(middle - radius * 0.72))
    cv2.putText(upright, letter, at, cv2.FONT_HERSHEY_SIMPLEX, radius / 140, (255.0,), 1, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((middle, middle), -degrees, 1)
    np.maximum(face, cv2.warpAffine(upright, turn, face.shape[::-1]), out=face)


def _pressed(face: Image, shape: Shape, degrees: float, rng: np.random.Generator) -> Image:
    """The stamp's face somewhere on the region, turned, with the patchy ink of a hand's pressure."""
    height, width = shape
    middle = np.array(face.shape[::-1]) / 2
    target = np.array([rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height])
    matrix = cv2.getRotationMatrix2D((middle[0], middle[1]), degrees, 1)
    matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + target - middle])
    pressed = cv2.warpAffine(face, matrix, (width, height))
    coarse = rng.uniform(0.35, 1.25, (6, 10)).astype(np.float32)
    pressure = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(pressed * pressure, 0, 255).astype(np.uint8)
