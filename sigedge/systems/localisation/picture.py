"""A made-up letter signed by synthetic signers, with the boxes that the runtime finds: the picture of the docs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.data.images import to_grey
from sigedge.synthesis import ScanConditions, Synthesiser
from sigedge.systems.localisation.composing import crop_to_ink
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import DataError
from sigedge_runtime.localisation import SignatureBox, find_signatures

Image = NDArray[np.uint8]

HEIGHT, WIDTH, MARGIN = 1600, 1130, 110
LARGEST_SIGNATURE = (260, 150)
PLACES = ((MARGIN, 1180), (640, 1180), (MARGIN, 1390))
WORDS = (
    "The parties agree that the goods described below are delivered",
    "on the first day of each month, and paid for within thirty days",
    "of delivery. Either party may end this agreement by a letter that",
    "reaches the other three months before the end of a year.",
)
FOUND = (40, 130, 20)


def draw_letter(seed: int) -> Image:
    """A page of print with a table and three signatures on ruled lines: uint8 [1600, 1130]."""
    page = np.full((HEIGHT, WIDTH), 252, np.uint8)
    cv2.putText(page, "Agreement", (MARGIN, 170), cv2.FONT_HERSHEY_TRIPLEX, 1.6, (30.0,), 2, cv2.LINE_AA)
    for line in range(16):
        place = (MARGIN, 260 + 34 * line)
        cv2.putText(page, WORDS[line % 4], place, cv2.FONT_HERSHEY_COMPLEX, 0.75, (30.0,), 1, cv2.LINE_AA)
    for row in range(850, 1101, 50):
        cv2.line(page, (MARGIN, row), (WIDTH - MARGIN, row), (30.0,), 2)
    for column in np.linspace(MARGIN, WIDTH - MARGIN, 4).astype(int).tolist():
        cv2.line(page, (column, 850), (column, 1100), (30.0,), 2)
    for signer, place in enumerate(PLACES):
        _sign(page, Synthesiser(seed).signer(signer).genuine(0, ScanConditions.clean()).image, place)
    return page


def draw_found(page: Image, boxes: list[SignatureBox]) -> Image:
    """The page in colour with a frame and the score at each box: uint8 [H, W, 3]."""
    picture = np.asarray(cv2.cvtColor(page, cv2.COLOR_GRAY2BGR), np.uint8)
    for box in boxes:
        corner = (box.left + box.width, box.top + box.height)
        cv2.rectangle(picture, (box.left, box.top), corner, FOUND, 3)
        label = (box.left, box.top - 8)
        cv2.putText(picture, f"{box.score:.2f}", label, cv2.FONT_HERSHEY_SIMPLEX, 0.9, FOUND, 2, cv2.LINE_AA)
    return picture


def write_picture(path: Path, seed: int) -> list[SignatureBox]:
    """Write the letter with what was found on it as PNG, at half the size.

    Raises:
        DataError: the file cannot be written.
    """
    page = draw_letter(seed)
    boxes = find_signatures(page)
    small = cv2.resize(draw_found(page, boxes), (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".png", small, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    try:
        write_atomically(path, data.tobytes())
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error}); choose another file.") from error
    return boxes


def _sign(page: Image, image: Image, place: tuple[int, int]) -> None:
    """Lay a signature on a ruled line, which its lower part crosses."""
    ink = crop_to_ink(to_grey(image))
    left, top = place
    scale = min(LARGEST_SIGNATURE[0] / ink.shape[1], LARGEST_SIGNATURE[1] / ink.shape[0])
    size = (round(scale * ink.shape[1]), round(scale * ink.shape[0]))
    ink = np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA), np.uint8)
    window = page[top : top + size[1], left : left + size[0]]
    np.minimum(window, ink, out=window)
    line = top + round(0.8 * size[1])
    cv2.line(page, (left - 10, line), (left + 340, line), (30.0,), 2)
