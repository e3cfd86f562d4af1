"""Ink on paper: a pen trajectory becomes an 8-bit scan."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.synthesis.lognormal import Array
from sigedge.synthesis.scan import ScanConditions

Image = NDArray[np.uint8]
Trajectory = NDArray[np.float32]

_WIDEST, _HIGHEST, _NARROWEST = 820.0, 560.0, 180.0  # pixels of ink before the margins
_SUPERSAMPLING = 2
_SMOOTH = np.full(9, 1.0 / 9.0)  # ink does not follow the speed of single samples
_SHIFT = 4  # sub-pixel bits of OpenCV's drawing functions


def render(runs: list[Array], scan: ScanConditions) -> tuple[Image, Trajectory]:
    """Draws pen runs and returns the scan and where the pen went in it.

    Args:
        runs: one array [T, 3] a pen-down run: x, y (plan units, y up), speed.
        scan: the conditions; equal conditions and runs give equal bytes.

    Returns:
        The image, uint8 [H, W] or BGR [H, W, 3], typically 300 to 900 pixels wide, and the trajectory,
        float32 [T, 3]: x, y in pixels (y down) and 1 while the pen is down; a row with 0 closes each run.
    """
    pixels, scale, (width, height) = _placed(runs, scan)
    ink = _ink_layer(pixels, [run[:, 2] for run in runs], scan, scale, (width, height))
    rng = np.random.Generator(np.random.PCG64(scan.noise_seed))
    image = _composed(ink, _paper_layer(width, height, scan, rng), scan)
    return _digitised(image, scan, rng), _as_trajectory(pixels)


def _placed(runs: list[Array], scan: ScanConditions) -> tuple[list[Array], float, tuple[int, int]]:
    """Runs in pixels, pixels a plan unit, and the image size (width, height)."""
    cos, sin = np.cos(scan.skew), np.sin(scan.skew)
    turned = [run[:, :2] @ np.array([[cos, -sin], [sin, -cos]]) for run in runs]
    low = np.min([run.min(axis=0) for run in turned], axis=0)
    high = np.max([run.max(axis=0) for run in turned], axis=0)
    span = np.maximum(high - low, 1e-6)
    scale = min(max(scan.resolution, _NARROWEST / span[0]), _WIDEST / span[0], _HIGHEST / span[1])
    pad = 4.0 + 1.5 * scan.pen_width * scale
    left, top, right, bottom = (pad + margin * max(span) * scale for margin in scan.margins)
    size = np.ceil(span * scale + (left + right, top + bottom)).astype(int)
    return [(run - low) * scale + (left, top) for run in turned], float(scale), (int(size[0]), int(size[1]))


def _ink_layer(
    pixels: list[Array], speeds: list[Array], scan: ScanConditions, scale: float, size: tuple[int, int]
) -> Image:
    """Ink coverage 0..255 [H, W]: line width and darkness give way to speed, as a pen's do."""
    width, height = size
    layer = np.zeros((height * _SUPERSAMPLING, width * _SUPERSAMPLING), dtype=np.uint8)
    usual = float(np.median(np.concatenate(speeds))) + 1e-9
    nib = max(scan.pen_width * scale * _SUPERSAMPLING, 2.2)
    for points, speed in zip(pixels, speeds, strict=True):
        smooth = np.convolve(speed, _SMOOTH, "same") if len(speed) > len(_SMOOTH) else speed
        pressure = np.clip(1.0 + scan.speed_response * (1.0 - smooth / usual), 0.5, 1.3)
        pressure[-3:] *= (0.95, 0.85, 0.7)
        _draw_run(layer, points * _SUPERSAMPLING, nib * pressure, 150.0 + 105.0 * np.minimum(pressure, 1.0))
    return np.asarray(cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _draw_run(layer: Image, points: Array, widths: Array, darkness: Array) -> None:
    """Draws one run as polylines of constant whole width; neighbours of equal width share a call."""
    fixed = np.round((points + 0.5) * (1 << _SHIFT)).astype(np.int32)
    thickness = np.maximum(np.round(0.5 * (widths[1:] + widths[:-1])).astype(int), 1)
    breaks = [0, *(np.flatnonzero(np.diff(thickness)) + 1).tolist(), len(thickness)]
    levels, thick = darkness.tolist(), thickness.tolist()
    for start, stop in pairwise(breaks):
        level = int(levels[(start + stop) // 2])
        cv2.polylines(layer, [fixed[start : stop + 1]], False, (level,), thick[start], cv2.LINE_8, _SHIFT)


def _paper_layer(width: int, height: int, scan: ScanConditions, rng: np.random.Generator) -> NDArray[np.float32]:
    """Brightness of the paper relative to its colour, [H, W] about 1."""
    across = 1.0 - scan.gradient[0] * np.linspace(-0.5, 0.5, width, dtype=np.float32)
    down = 1.0 - scan.gradient[1] * np.linspace(-0.5, 0.5, height, dtype=np.float32)
    light = down[:, None] * across[None, :]
    if scan.texture > 0.0:
        light += (scan.texture / 255.0) * _tile("grain", width, height, rng)
    if scan.stain > 0.0:
        light -= scan.stain * _spot(width, height, rng)
    if scan.ruled > 0.0:
        pitch = max(height // 4, 12)
        for row in range(int(rng.integers(pitch)), height, pitch):
            light[row : row + 2] -= scan.ruled
    return light


def _spot(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    x = (np.arange(width, dtype=np.float32) / width - np.float32(rng.random())) / 0.2
    y = (np.arange(height, dtype=np.float32) / height - np.float32(rng.random())) / 0.3
    return np.asarray(np.exp(-0.5 * y * y)[:, None] * np.exp(-0.5 * x * x)[None, :], dtype=np.float32)


def _composed(ink: Image, light: NDArray[np.float32], scan: ScanConditions) -> NDArray[np.float32]:
    """Paper and ink mixed by coverage: [H, W] or [H, W, 3], 0..255."""
    if scan.blur > 0.15:
        ink = np.asarray(cv2.GaussianBlur(ink, (0, 0), scan.blur), dtype=np.uint8)
    cover = ink.astype(np.float32) * np.float32(scan.opacity / 255.0)
    paper, tint = np.array(scan.paper, np.float32), np.array(scan.ink, np.float32)
    if not scan.colour:
        weights = np.array([0.114, 0.587, 0.299], np.float32)
        paper, tint = paper @ weights, tint @ weights
        return np.asarray(light * (paper + cover * (tint - paper)), dtype=np.float32)
    layers = [light * (paper[c] + cover * (tint[c] - paper[c])) for c in range(3)]
    return np.asarray(cv2.merge(layers), dtype=np.float32)


def _digitised(image: NDArray[np.float32], scan: ScanConditions, rng: np.random.Generator) -> Image:
    """Sensor noise, eight bits, and the file format's losses."""
    if scan.noise > 0.0:
        grain = scan.noise * _tile("sensor", image.shape[1], image.shape[0], rng)
        image = image + (grain if image.ndim == 2 else grain[:, :, None])
    if scan.cut > 0.0:
        image = np.where(image < _cut_level(scan), np.float32(0.0), np.float32(255.0))
    pixels = np.clip(image + 0.5, 0.0, 255.0).astype(np.uint8)
    if scan.jpeg_quality == 0:
        return pixels
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, scan.jpeg_quality])
    flag = cv2.IMREAD_COLOR if scan.colour else cv2.IMREAD_GRAYSCALE
    return np.asarray(cv2.imdecode(encoded, flag), dtype=np.uint8)


def _cut_level(scan: ScanConditions) -> float:
    """Grey level below which a scan in black and white is black."""
    weights = np.array([0.114, 0.587, 0.299])
    paper, tint = (float(np.array(colour) @ weights) for colour in (scan.paper, scan.ink))
    return paper + scan.cut * scan.opacity * (tint - paper)


@cache
def _noise_field(kind: str) -> NDArray[np.float32]:
    """A 1024 x 1024 field of unit variance; drawing a window of it costs far less than drawing noise."""
    rng = np.random.Generator(np.random.PCG64({"grain": 11, "sensor": 12}[kind]))
    field = rng.standard_normal((1024, 1024), dtype=np.float32)
    if kind == "grain":
        field = np.asarray(cv2.GaussianBlur(field, (0, 0), 1.5), dtype=np.float32)
    return np.asarray(field / field.std(), dtype=np.float32)


def _tile(kind: str, width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A window of the noise field at a random place, tiled where the image is larger, mirrored by chance."""
    field = _noise_field(kind)
    if max(height, width) > 1024:
        field = np.tile(field, (-(-height // 1024), -(-width // 1024)))
    top = int(rng.integers(field.shape[0] - height + 1))
    left = int(rng.integers(field.shape[1] - width + 1))
    step = int(rng.choice([-1, 1]))
    return field[top : top + height, left : left + width][::step, ::step]


def _as_trajectory(pixels: list[Array]) -> Trajectory:
    rows = []
    for points in pixels:
        rows.append(np.column_stack([points, np.ones(len(points))]))
        rows.append(np.array([[*points[-1], 0.0]]))
    return np.concatenate(rows).astype(np.float32)
