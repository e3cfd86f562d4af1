"""Label-blind harmonisation: any grey or colour scan or photo into one fixed uint8 canvas.

Training and every device run this one implementation. It uses only operations that are bit-exact on uint8 across x86-64
and AArch64 (means of whole squares, INTER_LINEAR_EXACT, Gaussian blur, Otsu, morphology, sums of integers), so that a
canvas, and with it a template, is the same on every device.

The scan's paper, ink level, resolution and stroke width are removed on purpose: on public data sets they tell genuine
from forged without looking at the signature, because the two were scanned on different days.

An image is reduced to little more than the resolution of the canvas before anything is searched in it. That makes the
cost nearly independent of the scan's resolution, averages its noise away, and lets a scan of half the resolution give
nearly the same canvas.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import reduce
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.errors import BundleError, ImageError
from sigedge_runtime.quality import Ink, Quality, Window, judge, measure
from sigedge_runtime.thinning import thin

Image = NDArray[np.uint8]
Box = tuple[int, int, int, int]
_SQUARE = np.ones((3, 3), np.uint8)
# Reductions for which means are taken from sums here, twice as fast as OpenCV takes them: sums of more fit into no 16
# bits, and for 2 OpenCV has a way of its own.
_SUMMED = range(3, 17)
# Around the ink as much of the image is kept as tells everything about its outline.
_BESIDE_INK = 4


@dataclass(frozen=True)
class PreprocessSpec:
    """Every constant of `harmonise`; travels inside a bundle and names the cache of canvases.

    Attributes:
        version: version of the algorithm; a change of behaviour is a new version.
        canvas_height: rows of the canvas, pixels.
        canvas_width: columns of the canvas, pixels.
        margin: empty pixels kept on each side of the canvas.
        oversampling: pixels of the reduced image for 100 of the canvas, at least; 100 to 400.
        minimum_contrast: least grey levels between paper and ink, 0 to 255.
        sensitivity: hundredths of Otsu's threshold above which a pixel is ink, 50 to 100; below 100 the thin strokes
            stay, which are paler than the others once the image is reduced.
        coverage: share of a canvas pixel, of 255, that ink must cover to count.
        stroke_width: width of every stroke on the canvas, odd number of pixels.
    """

    version: int = 2
    canvas_height: int = 128
    canvas_width: int = 256
    margin: int = 4
    oversampling: int = 125
    minimum_contrast: int = 24
    sensitivity: int = 75
    coverage: int = 80
    stroke_width: int = 3

    def __post_init__(self) -> None:
        if min(self.to_dict().values()) < 1 or self.coverage > 255 or self.stroke_width % 2 == 0:
            raise BundleError(
                f"The preprocessing constants {self.to_dict()} must be positive, coverage at most 255 and stroke_width "
                "odd; export the bundle again."
            )
        if not 100 <= self.oversampling <= 400:
            raise BundleError(
                f"The preprocessing constant oversampling is {self.oversampling}, not 100 to 400; export the bundle "
                "again."
            )
        if not 50 <= self.sensitivity <= 100:
            raise BundleError(
                f"The preprocessing constant sensitivity is {self.sensitivity}, not 50 to 100; export the bundle again."
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
    spec = spec or _DEFAULT
    grey = _to_grey(image)
    factor = _reduction(grey.shape, spec)
    found = _find_ink(reduced(grey, factor), spec, smooth=factor == 1)
    closer = _closer_look(found.box, factor, spec)
    if found.box is not None and closer < factor:
        # The signature is a small part of the image, which can give more of it than the whole needed.
        margin = _BESIDE_INK + (found.box[2] + found.box[3]) // 16
        window = _around(found.box, found.darkness.shape, margin, factor)
        nearer = _find_ink(reduced(grey[window], closer), spec, smooth=closer == 1)
        if nearer.box is not None:
            found, factor = nearer, closer
    measured = measure(found, image_area=grey.size / factor**2, enlargement=factor)
    if found.box is None:
        return Harmonised(np.zeros((spec.canvas_height, spec.canvas_width), np.uint8), judge(measured))
    return Harmonised(_render(found.ink, spec), judge(measured))


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


def _reduction(shape: tuple[int, ...], spec: PreprocessSpec) -> int:
    """Whole factor by which an image is larger than it need be to fill the canvas, at least 1."""
    height, width = shape
    fullest = max(height * 100 // spec.canvas_height, width * 100 // spec.canvas_width)
    return max(1, fullest // spec.oversampling)


def reduced(grey: Image, factor: int) -> Image:
    """Means of squares of pixels, rounded as OpenCV's INTER_AREA rounds them.

    Args:
        grey: uint8 [H, W].
        factor: pixels along a side of a square, at least 1.

    Returns:
        uint8 [ceil(H / factor), ceil(W / factor)]; the last row and column are repeated where squares would jut out.
    """
    if factor == 1:
        return grey
    height, width = (side - side % factor for side in grey.shape)
    if (height, width) == grey.shape:
        return _means(grey, factor)
    # What juts out is reduced by itself: to repeat its pixels there is no need to copy the whole image.
    means = np.empty([-(-side // factor) for side in grey.shape], np.uint8)
    if height and width:
        means[: height // factor, : width // factor] = _means(grey[:height, :width], factor)
    if width < grey.shape[1]:
        means[:, width // factor :] = _means(_padded(grey[:, width:], factor), factor)
    if height < grey.shape[0]:
        means[height // factor :] = _means(_padded(grey[height:], factor), factor)
    return means


def _means(grey: Image, factor: int) -> Image:
    """`reduced` where both sides are multiples of the factor."""
    height, width = grey.shape[0] // factor, grey.shape[1] // factor
    if factor not in _SUMMED:
        return _as_image(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA))
    rows = np.add(grey[0::factor], grey[1::factor], dtype=np.uint16)
    for row in range(2, factor):
        np.add(rows, grey[row::factor], out=rows)
    columns = cv2.split(rows.reshape(height, width, factor))
    return _as_image(cv2.convertScaleAbs(reduce(cv2.add, columns), alpha=1 / factor**2))


def _padded(grey: Image, multiple: int) -> Image:
    """The image with its last row and column repeated until both sides are multiples."""
    below, beside = -grey.shape[0] % multiple, -grey.shape[1] % multiple
    if not (below or beside):
        return grey
    return _as_image(cv2.copyMakeBorder(grey, 0, below, 0, beside, cv2.BORDER_REPLICATE))


def _closer_look(box: Box | None, factor: int, spec: PreprocessSpec) -> int:
    """The reduction at which ink that does not fill the canvas would; the same where it does."""
    if box is None or (box[2] >= spec.canvas_width - 2 * spec.margin or box[3] >= spec.canvas_height - 2 * spec.margin):
        return factor
    return min(factor, _reduction((box[3] * factor, box[2] * factor), spec))


def _around(box: Box | None, shape: tuple[int, ...], margin: int, factor: int = 1) -> Window:
    """Rows and columns of the source around a box of the reduced image; of everything where there is no box."""
    x, y, width, height = box or (0, 0, shape[1], shape[0])
    rows = slice(max(0, y - margin) * factor, (y + height + margin) * factor)
    return rows, slice(max(0, x - margin) * factor, (x + width + margin) * factor)


def _find_ink(grey: Image, spec: PreprocessSpec, *, smooth: bool) -> Ink:
    """The ink of an image without specks and dark edges; `smooth` evens out the noise where no reduction did."""
    darkness = paper_darkness(grey)
    level = _as_image(cv2.GaussianBlur(darkness, (3, 3), 0)) if smooth else darkness
    otsu, _ = cv2.threshold(level, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    # Otsu always splits; a split within the paper's own noise is no ink.
    threshold = max(int(otsu) * spec.sensitivity // 100, spec.minimum_contrast // 2)
    _, mask = cv2.threshold(level, threshold, 255, cv2.THRESH_BINARY)
    rows, columns = _around(_bounding_box(_as_image(mask)), mask.shape, _BESIDE_INK)
    # Most of a page is paper: what follows looks at the ink and a little around it.
    level, mask = level[rows, columns], _as_image(mask[rows, columns])
    area = cv2.countNonZero(mask)
    contrast = int(cv2.sumElems(cv2.bitwise_and(level, mask))[0]) // area if area else 0
    inner = _as_image(cv2.erode(mask, _SQUARE))
    # Twice the area over the length of the outline.
    stroke_width = 2.0 * area / max(1, area - cv2.countNonZero(inner))
    mask = _without_specks_and_shadows(mask, stroke_width, (rows.start, columns.start), darkness.shape)
    outline = _as_image(cv2.subtract(mask, inner))
    box = _bounding_box(mask)
    if box is not None:
        box = (box[0] + columns.start, box[1] + rows.start, box[2], box[3])
    return Ink(darkness, (rows, columns), mask, outline, box, contrast, stroke_width)


def paper_darkness(grey: Image) -> Image:
    """Grey levels by which each pixel is darker than the paper around it.

    Args:
        grey: uint8 [H, W].

    Returns:
        uint8 [H, W], paper near 0.
    """
    height, width = grey.shape
    padded = _padded(grey, 4)
    full_size = (padded.shape[1], padded.shape[0])
    small = cv2.resize(padded, (full_size[0] // 4, full_size[1] // 4), interpolation=cv2.INTER_AREA)
    # Closing with a kernel wider than any stroke leaves the paper alone; its size follows the image's.
    reach = max(5, min(small.shape) // 6) | 1
    paper = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8), borderType=cv2.BORDER_REPLICATE)
    paper = cv2.GaussianBlur(paper, (5, 5), 0)
    paper = cv2.resize(paper, full_size, interpolation=cv2.INTER_LINEAR_EXACT)
    return _as_image(cv2.subtract(paper[:height, :width], grey))


def _without_specks_and_shadows(
    mask: Image, stroke_width: float, corner: tuple[int, int], shape: tuple[int, ...]
) -> Image:
    """The mask, whose first row and column in an image of that shape are given, without specks and scanners' edges."""
    # Labels of 16 bits are faster; so small an image has no more than that.
    labels_type = cv2.CV_16U if mask.size < 4 * 65535 else cv2.CV_32S
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, labels_type, cv2.CCL_SPAGHETTI)
    keep = stats[:, cv2.CC_STAT_AREA] >= max(4.0, 0.6 * stroke_width * stroke_width)
    keep[0] = False
    for label in np.flatnonzero(keep):
        left, top, wide, high, area = stats[label].tolist()
        keep[label] = not _is_border_shadow((left + corner[1], top + corner[0], wide, high), area, shape)
    if keep[1:].all():
        return mask
    table = np.zeros(max(256, len(keep)), np.uint8)
    table[: len(keep)][keep] = 255
    # A table of bytes is several times faster; more labels than that are rare.
    return _as_image(cv2.LUT(labels.astype(np.uint8), table)) if len(keep) <= 256 else table[labels]


def _is_border_shadow(box: Box, area: int, shape: tuple[int, ...]) -> bool:
    """Whether a component lies along the border: a long thin band at an edge, or a solid block in a corner."""
    left, top, wide, high = box
    height, width = shape
    touches_side = left == 0 or left + wide == width
    touches_end = top == 0 or top + high == height
    band = (touches_side and wide * 16 <= width and high * 3 >= height) or (
        touches_end and high * 16 <= height and wide * 3 >= width
    )
    solid = area * 2 > wide * high
    return band or ((touches_side or touches_end) and solid and area * 200 > height * width)


def _bounding_box(mask: Image) -> Box | None:
    x, y, width, height = cv2.boundingRect(mask)
    return (x, y, width, height) if width and height else None


def _render(mask: Image, spec: PreprocessSpec) -> Image:
    """Scale a mask that is all ink from side to side into the canvas, and redraw every stroke with the same width."""
    height, width = mask.shape
    room_width, room_height = spec.canvas_width - 2 * spec.margin, spec.canvas_height - 2 * spec.margin
    # Integer arithmetic: the same rounding everywhere.
    if width * room_height >= height * room_width:
        size = (room_width, max(1, (height * room_width + width // 2) // width))
    else:
        size = (max(1, (width * room_height + height // 2) // height), room_height)
    # At most two or three pixels become one, which a bilinear look does not miss.
    ink = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR_EXACT)
    _, ink = cv2.threshold(ink, spec.coverage if size[0] < width else 127, 255, cv2.THRESH_BINARY)
    canvas = np.zeros((spec.canvas_height, spec.canvas_width), np.uint8)
    top, left = (spec.canvas_height - size[1]) // 2, (spec.canvas_width - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = thin(_as_image(ink))
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (spec.stroke_width, spec.stroke_width))
    return _as_image(cv2.dilate(canvas, pen))


_DEFAULT = PreprocessSpec()
