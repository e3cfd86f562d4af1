"""What a person should know about an image before its score is believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Window = tuple[slice, slice]
_NEAR_INK = np.ones((5, 5), np.uint8)
_WITHIN_ONE = np.ones((3, 3), np.uint8)
_WITHIN_THREE = np.ones((7, 7), np.uint8)


@dataclass(frozen=True)
class QualityIssue:
    """One thing wrong with an image.

    Attributes:
        code: stable identifier, e.g. ``"too-little-ink"``.
        message: a sentence for the person who took the image, with the remedy.
        fatal: whether the image must not be used at all.
    """

    code: str
    message: str
    fatal: bool


@dataclass(frozen=True)
class Measurements:
    """What `harmonise` measured on one image.

    Attributes:
        ink_fraction: share of the image that is ink, 0 to 1.
        ink_contrast: mean grey levels between the paper and the ink, 0 to 255.
        ink_width: width of the signature in pixels of the source image.
        ink_height: height of the signature in pixels of the source image.
        stroke_width: mean width of the strokes in pixels of the source image.
        stroke_length: length of all strokes in pixels of the source image.
        sharpness: mean steepness of the ink's outline, 0 (blurred) to 1 (a step within one pixel).
        paper_unevenness: mean darkness of the paper over that of the ink, 0 (even) to 1.
        sides_touched: sides of the image, 0 to 4, on which the ink runs into the border.
    """

    ink_fraction: float
    ink_contrast: int
    ink_width: int
    ink_height: int
    stroke_width: float
    stroke_length: float
    sharpness: float
    paper_unevenness: float
    sides_touched: int


@dataclass(frozen=True)
class Quality:
    """Quality of one image.

    Attributes:
        issues: what is wrong, fatal issues first; empty for a good image.
        measurements: the figures behind the issues.
    """

    issues: tuple[QualityIssue, ...]
    measurements: Measurements

    @property
    def usable(self) -> bool:
        """True when no issue is fatal."""
        return not any(issue.fatal for issue in self.issues)

    @property
    def reasons(self) -> str:
        """All messages as one text; empty for a good image."""
        return " ".join(issue.message for issue in self.issues)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"usable": self.usable, **asdict(self)}


class Ink(NamedTuple):
    """Ink that `harmonise` found.

    Attributes:
        darkness: uint8 [H, W], grey levels by which a pixel is darker than its paper.
        window: rows and columns of all ink, and four pixels around it where the image goes on.
        mask: uint8, of the window, 255 where there is ink.
        outline: uint8, of the window, 255 where ink has paper beside it.
        box: left, top, width, height of the ink in the image, pixels; None without ink.
        contrast: mean darkness of the ink, grey levels.
        stroke_width: mean width of the strokes, pixels.
    """

    darkness: Image
    window: Window
    mask: Image
    outline: Image
    box: tuple[int, int, int, int] | None
    contrast: int
    stroke_width: float

    @property
    def ink(self) -> Image:
        """The mask without the paper around it; needs ink."""
        assert self.box is not None
        left, top = self.box[0] - self.window[1].start, self.box[1] - self.window[0].start
        return self.mask[top : top + self.box[3], left : left + self.box[2]]


def measure(ink: Ink, *, image_area: float, enlargement: float) -> Measurements:
    """Figures about ink.

    Args:
        ink: what was found.
        image_area: of the whole image, in pixels of the mask, which may show a part of it.
        enlargement: source pixels to one pixel of the mask, along a side.
    """
    area = cv2.countNonZero(ink.mask)
    if ink.box is None or area == 0:
        return Measurements(0.0, ink.contrast, 0, 0, 0.0, 0.0, 0.0, 0.0, 0)
    unevenness = _paper_darkness(ink) / max(1, ink.contrast)
    left, top, width, height = ink.box
    rows, columns = ink.darkness.shape
    touched = (left == 0, top == 0, left + width == columns, top + height == rows)
    return Measurements(
        ink_fraction=area / image_area,
        ink_contrast=ink.contrast,
        ink_width=round(width * enlargement),
        ink_height=round(height * enlargement),
        stroke_width=ink.stroke_width * enlargement,
        stroke_length=area / max(1.0, ink.stroke_width) * enlargement,
        sharpness=_sharpness(ink),
        paper_unevenness=min(1.0, unevenness),
        sides_touched=sum(touched),
    )


def _paper_darkness(ink: Ink) -> float:
    """Mean darkness of what is not near ink: that of everything less that of what is."""
    near = cv2.dilate(ink.mask, _NEAR_INK)
    dark = cv2.sumElems(ink.darkness)[0] - cv2.sumElems(cv2.bitwise_and(ink.darkness[ink.window], near))[0]
    return float(dark / max(1, ink.darkness.size - cv2.countNonZero(near)))


def _sharpness(ink: Ink) -> float:
    """Mean rise within one pixel along the outline, over the rise within three."""
    darkness = ink.darkness[ink.window]
    near = cv2.morphologyEx(darkness, cv2.MORPH_GRADIENT, _WITHIN_ONE)
    far = cv2.morphologyEx(darkness, cv2.MORPH_GRADIENT, _WITHIN_THREE)
    return min(1.0, _mean(near, ink.outline) / max(1.0, _mean(far, ink.outline)))


def _mean(values: Any, mask: Any) -> float:
    """Of values uint8 [H, W] where the mask is 255, 0 where it is nowhere; faster than `cv2.mean` with a mask."""
    return float(cv2.sumElems(cv2.bitwise_and(values, mask))[0] / max(1, cv2.countNonZero(mask)))


@dataclass(frozen=True)
class _Rule:
    """An issue, the figure that decides it, and the limits at which it warns and refuses.

    `sign` +1: the figure must not exceed the limits; -1: it must not fall below them. A limit of None never applies.
    The limits stand well outside what 11,716 scans of CEDAR, BHSig260 Hindi and SigComp2009 show.
    """

    code: str
    figure: Callable[[Measurements], float]
    sign: int
    warns_at: float | None
    refuses_at: float | None
    message: str


_RULES = (
    _Rule(
        "not-ink-on-paper",
        lambda m: m.paper_unevenness,
        1,
        None,
        0.15,
        "The background is no even paper; photograph dark ink on plain light paper.",
    ),
    _Rule(
        "not-ink-on-paper",
        lambda m: m.ink_fraction,
        1,
        None,
        0.3,
        "Too much of the image is dark for a signature; photograph dark ink on plain light paper.",
    ),
    _Rule(
        "not-one-signature",
        lambda m: m.stroke_length / (m.ink_width + m.ink_height),
        1,
        None,
        7.0,
        "There is more writing than one signature; crop the image to the signature.",
    ),
    _Rule(
        "too-small",
        lambda m: max(m.ink_width, m.ink_height),
        -1,
        96,
        48,
        "The signature is only a few pixels large; scan at 150 dpi or more, or move the camera closer.",
    ),
    _Rule(
        "too-little-ink",
        lambda m: m.stroke_length,
        -1,
        100,
        60,
        "There is too little ink for a signature; sign in full with a dark pen.",
    ),
    _Rule(
        "too-blurred",
        lambda m: m.sharpness,
        -1,
        0.45,
        0.38,
        "The strokes are blurred; hold the camera still and focus on the ink.",
    ),
    _Rule(
        "too-faint",
        lambda m: m.ink_contrast,
        -1,
        30,
        12,
        "The ink is hardly darker than the paper; sign with a darker pen.",
    ),
    _Rule(
        "cropped-by-border",
        lambda m: m.sides_touched,
        1,
        0,
        None,
        "Strokes run into the border of the image; leave a margin of paper around the signature.",
    ),
)
_NO_INK = QualityIssue("no-ink", "No ink was found; sign with a dark pen on plain light paper.", fatal=True)


def judge(measurements: Measurements) -> Quality:
    """Quality of an image from its measurements: every issue once, fatal ones first."""
    if measurements.stroke_length == 0:
        return Quality((_NO_INK,), measurements)
    issues: dict[str, QualityIssue] = {}
    for rule in _RULES:
        issue = _apply(rule, measurements)
        if issue and not (rule.code in issues and issues[rule.code].fatal):
            issues[rule.code] = issue
    return Quality(tuple(sorted(issues.values(), key=lambda issue: not issue.fatal)), measurements)


def _apply(rule: _Rule, measurements: Measurements) -> QualityIssue | None:
    value = rule.sign * rule.figure(measurements)
    for limit, fatal in ((rule.refuses_at, True), (rule.warns_at, False)):
        if limit is not None and value > rule.sign * limit:
            return QualityIssue(rule.code, rule.message, fatal)
    return None
