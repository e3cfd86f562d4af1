"""From a scan to what the forger and the detector see: ink in grey on empty paper, and its centre line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.data import ReadReport, Record, SkippedFile, iter_grey
from sigedge.data.images import to_grey
from sigedge.synthesis import ScanConditions, Synthesiser, SyntheticSigner
from sigedge_runtime.errors import DataError, ImageError
from sigedge_runtime.thinning import thin

Image = NDArray[np.uint8]

SIZE = (64, 128)
"""Rows and columns of every image here."""

_MARGIN = 3  # empty pixels on each side
_WORKING_SIDE = 512
_LEAST_CONTRAST = 24  # grey levels between paper and ink
_SPECK = 12  # pixels at the working side
_LINE_LEVEL = 64  # ink from which a pixel belongs to a stroke
_SESSION = 41  # names the random stream of a signer's session


@dataclass(frozen=True)
class Signatures:
    """Images of some signers; row i of everything belongs together.

    Attributes:
        images: uint8 [N, H, W], paper 0 and ink up to 255.
        signers: N names.
        report: how many images were read, and the skipped ones by name.
    """

    images: Image
    signers: tuple[str, ...]
    report: ReadReport

    def __len__(self) -> int:
        return len(self.signers)


def ink_image(image: Image) -> Image:
    """A signature in grey, cropped to its ink, on paper that is exactly empty.

    The paper is removed by a black hat (the closing of the image less the image), ink is what lies above Otsu's
    threshold with a rim of one pixel, and its darkness is stretched so that the scan's contrast says nothing.

    Args:
        image: uint8, grey [H, W] or BGR [H, W, 3]; dark ink on lighter paper.

    Returns:
        uint8 of `SIZE`, paper 0 and ink up to 255, the aspect kept and the ink in the middle.

    Raises:
        ImageError: the image shows no ink.
    """
    grey = _shrunk(to_grey(image))
    reach = max(15, min(grey.shape) // 6) | 1
    darkness = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, np.ones((reach, reach), np.uint8))
    mask = _ink_mask(cv2.GaussianBlur(darkness, (3, 3), 0).astype(np.uint8))
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0:
        raise ImageError("The image shows no ink; give a scan of dark writing on lighter paper.")
    ink = cv2.bitwise_and(darkness, cv2.dilate(mask, np.ones((3, 3), np.uint8)))
    return _stretched(_placed(np.asarray(ink[y : y + height, x : x + width], np.uint8)))


def centre_lines(ink: Image) -> Image:
    """The one-pixel centre line of an ink image: uint8 [H, W], 0 or 255."""
    return thin(np.asarray(cv2.threshold(ink, _LINE_LEVEL, 255, cv2.THRESH_BINARY)[1], np.uint8))


def read_signatures(records: Iterable[Record]) -> Signatures:
    """Ink images of records; what cannot be read or shows no ink is left out and named in the report.

    Raises:
        DataError: not one image could be read.
    """
    skipped: list[SkippedFile] = []
    images: list[Image] = []
    signers: list[str] = []
    for record, grey in iter_grey(records, skipped):
        try:
            images.append(ink_image(grey))
        except ImageError as error:
            skipped.append(SkippedFile(record.path, str(error)))
            continue
        signers.append(record.identity)
    report = ReadReport(len(images), tuple(skipped))
    report.require_any()
    return Signatures(np.stack(images), tuple(signers), report)


def draw_signatures(seed: int, signers: Sequence[int], samples: int) -> Signatures:
    """Ink images of synthetic signers, each of whom signs in one session: one pen, one paper, one scanner.

    Args:
        seed: of the population, as in `Synthesiser`.
        signers: numbers of the signers.
        samples: genuine samples of each, at least 1.

    Raises:
        DataError: there is no signer or no sample to draw.
    """
    if not signers or samples < 1:
        raise DataError(f"Cannot draw {samples} samples of {len(signers)} signers; ask for at least one of each.")
    people = Synthesiser(seed)
    drawn = [
        (f"synthetic-{seed}/{number}", ink_image(signer.genuine(sample, session_scan(signer, sample)).image))
        for number, signer in ((number, people.signer(number)) for number in signers)
        for sample in range(samples)
    ]
    images = np.stack([image for _, image in drawn])
    return Signatures(images, tuple(name for name, _ in drawn), ReadReport(len(drawn)))


def session_scan(signer: SyntheticSigner, sample: int) -> ScanConditions:
    """One signer's pen, paper and scanner, with the grain and the skew of one sample."""
    session = ScanConditions.random(np.random.default_rng([signer.seed, _SESSION]))
    own = np.random.default_rng([signer.seed, _SESSION, sample])
    return replace(session, skew=float(own.normal(0.0, 0.02)), noise_seed=int(own.integers(2**31)))


def _shrunk(grey: Image) -> Image:
    scale = _WORKING_SIDE / max(grey.shape)
    if scale >= 1:
        return grey
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _ink_mask(smooth: Image) -> Image:
    """Pixels of ink without specks: uint8 [H, W], 0 or 255."""
    threshold, mask = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    if 2 * threshold < _LEAST_CONTRAST:
        # Otsu always splits; a split within the paper's own noise is no ink.
        mask = cv2.threshold(smooth, _LEAST_CONTRAST // 2, 255, cv2.THRESH_BINARY)[1]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    keep = np.asarray(stats)[:, cv2.CC_STAT_AREA] >= _SPECK
    keep[0] = False
    return np.asarray(np.where(keep, 255, 0)[labels], np.uint8)


def _placed(ink: Image) -> Image:
    height, width = ink.shape
    scale = min((SIZE[0] - 2 * _MARGIN) / height, (SIZE[1] - 2 * _MARGIN) / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR_EXACT)
    canvas = np.zeros(SIZE, np.uint8)
    top, left = (SIZE[0] - size[1]) // 2, (SIZE[1] - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas


def _stretched(ink: Image) -> Image:
    """The darkest twentieth of the ink becomes black; thin strokes of a small image are pale otherwise."""
    inked = ink[ink >= _LEAST_CONTRAST]
    darkest = float(np.percentile(inked if inked.size else ink, 95))
    return np.asarray(np.clip(np.rint(ink * (255.0 / max(darkest, 1.0))), 0, 255), np.uint8)
