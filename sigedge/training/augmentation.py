"""Label-blind random variation of canvases: one smooth warp, then the canvas is two-level again."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.training.recipe import Augmentation

_COARSE = (9, 5)  # control points of the elastic field: columns, rows


def augment(canvas: NDArray[np.uint8], settings: Augmentation, random: np.random.Generator) -> NDArray[np.uint8]:
    """A random variant of a canvas.

    Args:
        canvas: uint8 [H, W], paper 0 and ink 255.
        settings: the largest variation of each kind.
        random: source of randomness; the result is a function of its state.

    Returns:
        uint8 [H, W], 0 or 255.
    """
    height, width = canvas.shape
    columns, rows = _affine_grid(height, width, settings, random)
    columns += _elastic_field(height, width, settings.elastic, random)
    rows += _elastic_field(height, width, settings.elastic, random)
    warped = cv2.remap(canvas, columns, rows, cv2.INTER_LINEAR, borderValue=(0.0,))
    result = np.asarray(cv2.threshold(warped, 127, 255, cv2.THRESH_BINARY)[1], np.uint8)
    if random.random() < settings.erase:
        _erase(result, random)
    return result


def _affine_grid(
    height: int, width: int, settings: Augmentation, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Source column and row of every pixel, float32 [H, W] each."""
    angle = np.deg2rad(random.uniform(-1, 1) * settings.rotation)
    scale = 1 + random.uniform(-1, 1) * settings.scale
    stretch = 1 + random.uniform(-1, 1) * settings.aspect
    shear = random.uniform(-1, 1) * settings.shear
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, shear], [0, 1]]) @ np.diag([scale * stretch, scale / stretch])
    inverse = np.linalg.inv(matrix)
    shift = random.uniform(-1, 1, 2) * settings.shift
    x = np.arange(width, dtype=np.float32) - width / 2 - shift[0]
    y = np.arange(height, dtype=np.float32) - height / 2 - shift[1]
    columns = inverse[0, 0] * x[None, :] + inverse[0, 1] * y[:, None] + width / 2
    rows = inverse[1, 0] * x[None, :] + inverse[1, 1] * y[:, None] + height / 2
    return columns.astype(np.float32), rows.astype(np.float32)


def _elastic_field(height: int, width: int, deviation: float, random: np.random.Generator) -> NDArray[np.float32]:
    coarse = random.normal(0.0, max(deviation, 0.0), (_COARSE[1], _COARSE[0])).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _erase(canvas: NDArray[np.uint8], random: np.random.Generator) -> None:
    """Empty one rectangle of up to a third of the height and a sixth of the width, in place."""
    height, width = canvas.shape
    high, wide = int(random.integers(8, height // 3)), int(random.integers(8, width // 6))
    top, left = int(random.integers(0, height - high)), int(random.integers(0, width - wide))
    canvas[top : top + high, left : left + wide] = 0
