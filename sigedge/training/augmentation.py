"""Label-blind random variation of canvases: of every sample, and of the hand of a signer as a whole."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.training.recipe import Augmentation, SignerVariation

Canvas = NDArray[np.uint8]
Grid = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Source column and row of every pixel, float32 [H, W] each."""

_COARSE = (9, 5)  # control points of a sample's elastic field: columns, rows
_COARSE_HAND = (6, 3)  # of a hand's: it bends letters, not strokes


def augment(canvas: Canvas, settings: Augmentation, random: np.random.Generator) -> Canvas:
    """A random variant of a canvas.

    Args:
        canvas: uint8 [H, W], paper 0 and ink 255; grey between them counts as ink from 128.
        settings: the largest variation of each kind.
        random: source of randomness; the result is a function of its state.

    Returns:
        uint8 [H, W], 0 or 255.
    """
    warped = warp(canvas, _sample_grid(canvas.shape, settings, random))
    result = _edged(warped, settings, random)
    if random.random() < settings.erase:
        _erase(result, random)
    return result


def imagine_hand(shape: tuple[int, ...], settings: SignerVariation, random: np.random.Generator) -> Grid | None:
    """A warp that makes another signer of a signer, when all samples, genuine and forged, pass through it.

    Few signers are what limits a verifier; a signature that is mirrored, slanted and bent is the signature of nobody
    known, and its forgeries are forgeries of that.

    Args:
        shape: (H, W) of the canvases.
        settings: the largest variation of each kind.
        random: source of randomness.

    Returns:
        The warp for `warp`, or None where the signer stays as he is.
    """
    if random.random() >= settings.probability:
        return None
    height, width = shape
    stretch = np.exp(random.uniform(-1, 1) * settings.aspect)
    # Only ever smaller, so that nothing is pushed over the edge of the canvas.
    matrix = _turn_and_shear(settings.rotation, settings.shear, random) @ np.diag(
        [min(1, stretch), min(1, 1 / stretch)]
    )
    mirror = [-1 if random.random() < chance else 1 for chance in (settings.mirror, settings.flip)]
    columns, rows = _affine_grid(height, width, matrix @ np.diag(mirror), np.zeros(2))
    return _bent((columns, rows), settings.warp, _COARSE_HAND, random)


def warp(canvas: Canvas, grid: Grid) -> Canvas:
    """The canvas seen through a grid; grey where a stroke ends between two pixels."""
    return np.asarray(cv2.remap(canvas, grid[0], grid[1], cv2.INTER_LINEAR, borderValue=(0.0,)), np.uint8)


def _edged(warped: Canvas, settings: Augmentation, random: np.random.Generator) -> Canvas:
    """Two levels again, with edges of another smoothness and strokes of another width.

    Genuine samples and forgeries of a data set may have been scanned apart; what that leaves at the edges of the ink
    must not tell them apart.
    """
    if settings.smooth == 0:
        return np.asarray(cv2.threshold(warped, 127, 255, cv2.THRESH_BINARY)[1], np.uint8)
    ink = np.count_nonzero(warped > 127) * (1 + settings.width * random.uniform(-1, 1))
    blurred = np.asarray(cv2.GaussianBlur(warped, (0, 0), random.uniform(0.5, max(0.5, settings.smooth))), np.uint8)
    # The highest level above which at least so much ink lies, and never paper.
    above = np.cumsum(np.bincount(blurred.ravel(), minlength=256)[::-1])[::-1]
    level = max(1, int(np.flatnonzero(above >= ink)[-1]))
    return np.asarray(cv2.threshold(blurred, level - 1, 255, cv2.THRESH_BINARY)[1], np.uint8)


def _sample_grid(shape: tuple[int, ...], settings: Augmentation, random: np.random.Generator) -> Grid:
    height, width = shape
    turn = _turn_and_shear(settings.rotation, settings.shear, random)
    scale = 1 + random.uniform(-1, 1) * settings.scale
    stretch = 1 + random.uniform(-1, 1) * settings.aspect
    shift = random.uniform(-1, 1, 2) * settings.shift
    grid = _affine_grid(height, width, turn @ np.diag([scale * stretch, scale / stretch]), shift)
    return _bent(grid, settings.elastic, _COARSE, random)


def _turn_and_shear(rotation: float, shear: float, random: np.random.Generator) -> NDArray[np.float64]:
    angle = np.deg2rad(random.uniform(-1, 1) * rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(turn @ np.array([[1, random.uniform(-1, 1) * shear], [0, 1]]))


def _affine_grid(height: int, width: int, matrix: NDArray[np.float64], shift: NDArray[np.float64]) -> Grid:
    """Grid of a 2x2 matrix about the middle of the canvas, followed by a shift, pixels (x, y)."""
    inverse = np.linalg.inv(matrix)
    x = np.arange(width, dtype=np.float32) - (width - 1) / 2 - shift[0]
    y = np.arange(height, dtype=np.float32) - (height - 1) / 2 - shift[1]
    columns = inverse[0, 0] * x[None, :] + inverse[0, 1] * y[:, None] + (width - 1) / 2
    rows = inverse[1, 0] * x[None, :] + inverse[1, 1] * y[:, None] + (height - 1) / 2
    return columns.astype(np.float32), rows.astype(np.float32)


def _bent(grid: Grid, deviation: float, points: tuple[int, int], random: np.random.Generator) -> Grid:
    """Add a smooth displacement of `points` (columns, rows) control points, standard deviation in pixels."""
    height, width = grid[0].shape
    fields = []
    for source in grid:
        coarse = random.normal(0.0, deviation, points[::-1]).astype(np.float32)
        fields.append(source + cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return np.asarray(fields[0], np.float32), np.asarray(fields[1], np.float32)


def _erase(canvas: Canvas, random: np.random.Generator) -> None:
    """Empty one rectangle of up to a third of the height and a sixth of the width, in place."""
    height, width = canvas.shape
    high, wide = int(random.integers(8, height // 3)), int(random.integers(8, width // 6))
    top, left = int(random.integers(0, height - high)), int(random.integers(0, width - wide))
    canvas[top : top + high, left : left + wide] = 0
