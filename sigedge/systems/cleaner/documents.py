"""Documents that signatures stand on: pieces of real cheques and pages where there are any, drawn ones otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from sigedge.data.images import to_grey
from sigedge.data.records import SkippedFile
from sigedge.systems.cleaner.marks import Shape, ruled_lines, text_lines
from sigedge.systems.cleaner.regions import Image
from sigedge_runtime.errors import ImageError
from sigedge_runtime.images import read_image

Part = Literal["train", "validation", "test"]

CHEQUES = Path("ssbi") / "checks" / "data"
PAGES = Path("tobacco800-pages")
"""Where the scans lie below the data folder: blank cheques of SSBI, pages without signatures of Tobacco-800."""

_CHEQUE_WIDTH, _PAGE_WIDTH = 1000, 850  # pixels of a whole document: about 150 and 100 dots an inch
_PIECE_WIDTHS = (256, 400)  # pixels of such a document that a region shows
_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
_TRIES = 6


@dataclass(frozen=True)
class Documents:
    """Whole documents without signatures; where a kind has none, it is drawn.

    Attributes:
        cheques: grey uint8 scans of cheques, each at least as large as a piece.
        pages: grey uint8 scans of printed pages, likewise.
        skipped: files that could not be read, with the reason.
    """

    cheques: tuple[Image, ...] = ()
    pages: tuple[Image, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()

    @classmethod
    def read(cls, data: Path, part: Part) -> Documents:
        """Scans of one part; the files of each folder are dealt out by their sorted names, 3 : 1 : 1.

        Args:
            data: folder that may hold `CHEQUES` and `PAGES`; what is not there is drawn.
            part: no document is in two parts, so that a cleaner is judged on documents it never saw.
        """
        skipped: list[SkippedFile] = []
        cheques = _read_all(_of_part(data / CHEQUES, part), _CHEQUE_WIDTH, skipped)
        return cls(cheques, _read_all(_of_part(data / PAGES, part), _PAGE_WIDTH, skipped), tuple(skipped))

    def cheque(self, shape: Shape, rng: np.random.Generator) -> Image:
        """A piece of a cheque, uint8 [H, W]."""
        return _piece(self.cheques, shape, rng) if self.cheques else drawn_cheque(shape, rng)

    def page(self, shape: Shape, rng: np.random.Generator) -> Image:
        """A piece of a printed page, uint8 [H, W]."""
        return _piece(self.pages, shape, rng) if self.pages else drawn_page(shape, rng)


def drawn_cheque(shape: Shape, rng: np.random.Generator) -> Image:
    """A piece of a made-up cheque: tinted paper under wavy security lines, a line to sign on, small print."""
    height, width = shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    waves = np.zeros(shape)
    for _ in range(int(rng.integers(1, 4))):
        bend = rng.uniform(2, 14) * np.sin(x / rng.uniform(8, 40) + rng.uniform(0, 6))
        turn = rng.uniform(-0.6, 0.6)
        waves += np.abs(np.sin((y + turn * x + bend) / rng.uniform(1.2, 5))) ** rng.uniform(2, 12)
    paper = rng.uniform(205, 250) - rng.uniform(8, 55) * np.clip(waves, 0, 1)
    small = text_lines(shape, (int(rng.integers(0, width)), int(rng.integers(8, height))), 7, 2, rng)
    printed = np.maximum(small, ruled_lines(shape, rng) if rng.random() < 0.6 else 0)
    return np.asarray(np.clip(paper * (1 - printed / 255 * rng.uniform(0.4, 0.9)), 0, 255), np.uint8)


def drawn_page(shape: Shape, rng: np.random.Generator) -> Image:
    """A piece of a made-up printed page: lines of text from edge to edge or with a margin."""
    height, width = shape
    size = int(rng.integers(6, 12))
    corner = (int(rng.integers(-20, width // 3)), int(rng.integers(0, height // 2)))
    printed = text_lines(shape, corner, size, height // (2 * size), rng)
    return np.asarray(255 - printed, np.uint8)


def _of_part(folder: Path, part: Part) -> list[Path]:
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES)
    of = {3: "validation", 4: "test"}
    return [path for number, path in enumerate(files) if of.get(number % 5, "train") == part]


def _read_all(paths: Sequence[Path], width: int, skipped: list[SkippedFile]) -> tuple[Image, ...]:
    found = []
    for path in paths:
        try:
            grey = to_grey(read_image(path))
        except ImageError as error:
            skipped.append(SkippedFile(path, str(error)))
            continue
        height = max(_PIECE_WIDTHS[1], round(grey.shape[0] * width / grey.shape[1]))
        found.append(np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
    return tuple(found)


def _piece(documents: Sequence[Image], shape: Shape, rng: np.random.Generator) -> Image:
    """A random piece of a random document, drawn again a few times where the paper is empty."""
    whole = documents[int(rng.integers(len(documents)))]
    for _ in range(_TRIES):
        width = int(rng.integers(_PIECE_WIDTHS[0], _PIECE_WIDTHS[1] + 1))
        height = min(whole.shape[0], width * shape[0] // shape[1])
        top, left = (
            int(rng.integers(all_ - part + 1)) for all_, part in zip(whole.shape, (height, width), strict=True)
        )
        piece = whole[top : top + height, left : left + width]
        if piece.std() > 6:
            break
    return np.asarray(cv2.resize(piece, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
