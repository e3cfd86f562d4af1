"""Real-size input for measurements: signatures on as many pixels as a scan has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.bench.team import Images
from sigedge.synthesis import ScanConditions, Synthesiser
from sigedge_runtime.errors import DataError, ImageError
from sigedge_runtime.images import read_image

Image = NDArray[np.uint8]

# The usual size of a signature of CEDAR, cut from a form scanned at 300 dpi.
WIDTH, HEIGHT = 588, 547
ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


def synthetic_scans(seed: int, count: int) -> list[Image]:
    """Genuine signatures of one synthetic signer, grey uint8 [547, 588], as an office scanner sees them.

    Args:
        seed: of the signer and the scans.
        count: how many.
    """
    signer = Synthesiser(seed).signer(0)
    return [on_page(signer.genuine(index, _conditions(seed, index)).image) for index in range(count)]


def _conditions(seed: int, index: int) -> ScanConditions:
    """An office scan, grey and evenly lit, so that the paper can be made larger without a seam."""
    drawn = ScanConditions.random(np.random.default_rng((seed, index)))
    return replace(drawn, colour=False, gradient=(0.0, 0.0), stain=0.0, jpeg_quality=0)


def real_scans(folder: Path, count: int) -> list[Image]:
    """The images of a folder and those below it that are nearest to 588 x 547, grey uint8 [547, 588].

    A scan of another shape would be laid on much paper, and be no scan of that size.

    Raises:
        DataError: there are fewer, or one cannot be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if len(files) < count:
        raise DataError(f"{folder} holds {len(files)} images, and {count} are needed; name a folder with more.")
    try:
        images = [_grey(read_image(path)) for path in files]
    except ImageError as error:
        raise DataError(str(error)) from error
    images.sort(key=lambda image: abs(image.shape[0] - HEIGHT) + abs(image.shape[1] - WIDTH))
    return [on_page(image) for image in images[:count]]


def on_page(image: Image) -> Image:
    """Scale grey ink to fit 588 x 547 pixels, aspect kept, and make the paper around it larger; uint8 [547, 588]."""
    height, width = image.shape
    scale = min(WIDTH / width, HEIGHT / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    ink = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR_EXACT)
    page = np.full((HEIGHT, WIDTH), round(float(np.median(ink))), np.uint8)
    top, left = (HEIGHT - size[1]) // 2, (WIDTH - size[0]) // 2
    page[top : top + size[1], left : left + size[0]] = ink
    return page


def write_scans(folder: Path, scans: list[Image], references: int) -> Images:
    """Write scans as arrays that a measuring process loads: the references first, then the queries.

    Args:
        folder: existing folder.
        scans: more than `references` of them.
        references: how many are references.
    """
    paths = []
    for index, scan in enumerate(scans):
        np.save(folder / f"scan-{index:02d}.npy", scan)
        paths.append(folder / f"scan-{index:02d}.npy")
    return Images(paths[:references], paths[references:])


def _grey(image: Image) -> Image:
    grey: Image = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    return grey
