"""Label-blind harmonisation: any grey or colour scan or photo into one fixed uint8 canvas.

Training and every device run this one implementation. It uses only OpenCV operations that are bit-exact on uint8
across x86-64 and AArch64 (INTER_AREA and INTER_LINEAR_EXACT resizes, Gaussian blur, Otsu, morphology, integer
neighbourhood sums), so that a canvas, and with it a template, is the same on every device.

The scan's paper, ink level, resolution and stroke width are removed on purpose: on public data sets they tell genuine
from forged without looking at the signature, because the two were scanned on different days.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.errors import BundleError, ImageError
from sigedge_runtime.quality import Quality, judge, measure

Image = NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class PreprocessSpec:
    """Every constant of `harmonise`; travels inside a bundle and names the cache of canvases.

    Attributes:
        version: version of the algorithm; a change of behaviour is a new version.
        canvas_height: rows of the canvas, pixels.
        canvas_width: columns of the canvas, pixels.
        margin: empty pixels kept on each side of the canvas.
        working_side: longest side of the image that is searched for ink, pixels.
        minimum_contrast: least grey levels between paper and ink, 0 to 255.
        coverage: share of a canvas pixel, of 255, that ink must cover to count.
        stroke_width: width of every stroke on the canvas, odd number of pixels.
    """

    version: int = 1
    canvas_height: int = 128
    canvas_width: int = 256
    margin: int = 4
    working_side: int = 1024
    minimum_contrast: int = 24
    coverage: int = 80
    stroke_width: int = 3

    def __post_init__(self) -> None:
        if min(self.to_dict().values()) < 1 or self.coverage > 255 or self.stroke_width % 2 == 0:
            raise BundleError(
                f"The preprocessing constants {self.to_dict()} must be positive, coverage at most 255 and stroke_width "
                "odd; export the bundle again."
            )
        if 2 * self.margin >= min(self.canvas_height, self.canvas_width):
            raise BundleError(
                f"A margin of {self.margin} pixels leaves no room on the canvas; export the bundle again."
            )

    def to_dict(self) -> dict[str, int]:
        """Plain integers by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PreprocessSpec:
        """The spec that `to_dict` wrote.

        Raises:
            BundleError: a key is missing or unknown, a value is no integer, or the version is not known here.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names or any(type(value) is not int for value in values.values()):
            raise BundleError(
                f"The preprocessing entry {values} must hold exactly the integers {sorted(names)}; "
                "export the bundle again with this version of sigedge."
            )
        if values["version"] != cls.version:
            raise BundleError(
                f"The bundle wants preprocessing version {values['version']}, this sigedge has {cls.version}; "
                "install the sigedge version named in the bundle's manifest, or export it again."
            )
        return cls(**values)

    def digest(self) -> str:
        """SHA-256 of the values, 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


class Harmonised(NamedTuple):
    """Result of `harmonise`.

    Attributes:
        canvas: uint8 [canvas_height, canvas_width], paper 0 and ink 255, nothing between; all 0 without ink.
        quality: what is wrong with the source image.
    """

    canvas: Image
    quality: Quality


def harmonise(image: Image, spec: PreprocessSpec | None = None) -> Harmonised:
    """Turn a scan or photo of a signature into the canvas that every model of sigedge reads.

    Args:
        image: uint8, grey [H, W], BGR [H, W, 3] or BGRA [H, W, 4]; dark ink on lighter paper.
        spec: constants; the default spec when None.

    Returns:
        The canvas and the quality. Ugly content never raises: the quality says what is wrong.

    Raises:
        ImageError: the array is not uint8 or has another number of dimensions or channels.
    """
    spec = spec or PreprocessSpec()
    grey = _shrink(_to_grey(image), spec.working_side)
    darkness = _darkness(grey)
    mask, contrast = _find_ink(darkness, spec)
    mask, strokes = _drop_specks_and_shadows(mask)
    box = _bounding_box(mask)
    measured = measure(darkness, mask, box, contrast, strokes, enlargement=max(image.shape[:2]) / max(grey.shape))
    if box is None:
        return Harmonised(np.zeros((spec.canvas_height, spec.canvas_width), np.uint8), judge(measured))
    return Harmonised(_render(mask, box, spec), judge(measured))


def _to_grey(image: Image) -> Image:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
        raise ImageError(f"Expected a uint8 image [H, W] or [H, W, 3|4], got {image.dtype} {list(image.shape)}.")
    if image.ndim == 2:
        return np.ascontiguousarray(image)
    if image.shape[2] == 3:
        return _as_image(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    if image.shape[2] != 4:
        raise ImageError(f"Expected 1, 3 or 4 channels, got {image.shape[2]}; convert the image to grey or BGR.")
    grey = cv2.cvtColor(image, cv2.COLOR_BGRA2GRAY).astype(np.uint16)
    alpha = image[:, :, 3].astype(np.uint16)
    return ((grey * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _as_image(array: Any) -> Image:
    """OpenCV's stubs promise less than it returns: uint8 stays uint8 in every call made here."""
    result: Image = array
    return result


def _shrink(grey: Image, side: int) -> Image:
    height, width = grey.shape
    longest = max(height, width)
    if longest <= side:
        return grey
    size = (max(1, width * side // longest), max(1, height * side // longest))
    return _as_image(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))


def _darkness(grey: Image) -> Image:
    """Grey levels by which each pixel is darker than the paper around it: uint8 [H, W], paper near 0."""
    height, width = grey.shape
    small_size = (max(1, (width + 3) // 4), max(1, (height + 3) // 4))
    small = cv2.resize(grey, small_size, interpolation=cv2.INTER_AREA)
    # Closing with a kernel wider than any stroke leaves the paper alone; its size follows the image's.
    reach = max(5, min(small_size) // 6) | 1
    paper = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8), borderType=cv2.BORDER_REPLICATE)
    paper = cv2.GaussianBlur(paper, (5, 5), 0)
    paper = cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return _as_image(cv2.subtract(paper, grey))


def _find_ink(darkness: Image, spec: PreprocessSpec) -> tuple[Image, int]:
    """Mask of ink, uint8 0 or 255 [H, W], and the mean darkness of that ink (0 when there is none)."""
    kernel = 5 if max(darkness.shape) > 512 else 3
    smooth = cv2.GaussianBlur(darkness, (kernel, kernel), 0)
    threshold, mask = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    if threshold * 2 < spec.minimum_contrast:
        # Otsu always splits; a split within the paper's own noise is no ink.
        _, mask = cv2.threshold(smooth, spec.minimum_contrast // 2, 255, cv2.THRESH_BINARY)
    area = cv2.countNonZero(mask)
    contrast = int(cv2.bitwise_and(smooth, mask).sum(dtype=np.int64)) // area if area else 0
    return _as_image(mask), contrast


def _drop_specks_and_shadows(mask: Image) -> tuple[Image, float]:
    """Remove specks and the dark edges that scanners leave; also give the mean stroke width, pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    strokes = _stroke_width(mask)
    areas = stats[:, cv2.CC_STAT_AREA]
    keep = areas >= max(4.0, 0.6 * strokes * strokes)
    keep &= ~_is_border_shadow(np.asarray(stats, np.int32), mask.shape)
    keep[0] = False
    if keep[1:].all():
        return mask, strokes
    lookup = np.where(keep, 255, 0).astype(np.uint8)
    return lookup[labels], strokes


def _stroke_width(mask: Image) -> float:
    """Twice the area over the length of the outline, pixels."""
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8))
    outline = cv2.countNonZero(mask) - cv2.countNonZero(inner)
    return 2.0 * cv2.countNonZero(mask) / max(1, outline)


def _is_border_shadow(stats: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Components that lie along the border: a long thin band at an edge, or a solid block in a corner."""
    height, width = shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    wide, high = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    touches_side = (left == 0) | (left + wide == width)
    touches_end = (top == 0) | (top + high == height)
    band = (touches_side & (wide * 16 <= width) & (high * 3 >= height)) | (
        touches_end & (high * 16 <= height) & (wide * 3 >= width)
    )
    solid = stats[:, cv2.CC_STAT_AREA] * 2 > wide * high
    block = (touches_side | touches_end) & solid & (stats[:, cv2.CC_STAT_AREA] * 200 > height * width)
    return np.asarray(band | block)


def _bounding_box(mask: Image) -> Box | None:
    x, y, width, height = cv2.boundingRect(mask)
    return (x, y, width, height) if width and height else None


def _render(mask: Image, box: Box, spec: PreprocessSpec) -> Image:
    """Scale the ink into the canvas, aspect kept, and redraw every stroke with the same width."""
    x, y, width, height = box
    room_width, room_height = spec.canvas_width - 2 * spec.margin, spec.canvas_height - 2 * spec.margin
    # Integer arithmetic: the same rounding everywhere.
    if width * room_height >= height * room_width:
        size = (room_width, max(1, (height * room_width + width // 2) // width))
    else:
        size = (max(1, (width * room_height + height // 2) // height), room_height)
    shrinks = size[0] < width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR_EXACT
    ink = cv2.resize(mask[y : y + height, x : x + width], size, interpolation=interpolation)
    _, ink = cv2.threshold(ink, spec.coverage if shrinks else 127, 255, cv2.THRESH_BINARY)
    canvas = np.zeros((spec.canvas_height, spec.canvas_width), np.uint8)
    top, left = (spec.canvas_height - size[1]) // 2, (spec.canvas_width - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = ink
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (spec.stroke_width, spec.stroke_width))
    return _as_image(cv2.dilate(thin(canvas), pen))


def _thinning_tables() -> tuple[Image, Image]:
    """Which of the 256 neighbourhoods lose their centre, for the two half-steps of Zhang and Suen (1984)."""
    tables = np.zeros((2, 256), np.uint8)
    for code in range(256):
        p = [(code >> bit) & 1 for bit in range(8)]  # north, north-east, east, ... clockwise
        neighbours = sum(p)
        transitions = sum(p[i] == 0 and p[(i + 1) % 8] == 1 for i in range(8))
        if not (2 <= neighbours <= 6 and transitions == 1):
            continue
        north, east, south, west = p[0], p[2], p[4], p[6]
        tables[0, code] = not (north and east and south) and not (east and south and west)
        tables[1, code] = not (north and east and west) and not (north and south and west)
    return tables[0], tables[1]


_THINNING_TABLES = _thinning_tables()
# Weight of each neighbour in the code, laid out as OpenCV correlates: 1 north, then clockwise.
_NEIGHBOUR_WEIGHTS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)


def thin(mask: Image) -> Image:
    """One-pixel-wide skeleton of a mask.

    T. Y. Zhang and C. Y. Suen, "A fast parallel algorithm for thinning digital patterns", CACM 27(3), 1984: the
    eight neighbours of every pixel become one byte by an integer neighbourhood sum, and a table says what goes.

    Args:
        mask: uint8 [H, W], 0 or 255.

    Returns:
        uint8 [H, W], 0 or 255.
    """
    ink = _as_image(cv2.threshold(mask, 0, 1, cv2.THRESH_BINARY)[1])
    remaining = cv2.countNonZero(ink)
    while True:
        for table in _THINNING_TABLES:
            code = cv2.filter2D(ink, cv2.CV_8U, _NEIGHBOUR_WEIGHTS, borderType=cv2.BORDER_CONSTANT)
            ink = _as_image(cv2.subtract(ink, cv2.LUT(code, table)))
        left = cv2.countNonZero(ink)
        if left == remaining:
            return _as_image(ink * np.uint8(255))
        remaining = left
