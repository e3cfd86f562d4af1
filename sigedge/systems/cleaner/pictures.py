"""The picture of the docs: synthetic signatures on drawn documents, dirty, cleaned and as they are.

python -m sigedge.systems.cleaner.pictures CHECKPOINT PICTURE
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import nn

from sigedge.systems.cleaner.drawing import drawn_documents
from sigedge.systems.cleaner.regions import Image
from sigedge.systems.cleaner.use import clean_regions
from sigedge_models import load_checkpoint
from sigedge_runtime.atomic import write_atomically

SEED = 900_042
COLUMNS = 4
_GAP = 3  # pixels around an image


def before_and_after(cleaner: nn.Module, count: int = COLUMNS, seed: int = SEED) -> Image:
    """A column for each of `count` documents, uint8 [H, W]: dirty, cleaned, and the truth."""
    documents = drawn_documents(count, seed)
    dirty = [document.dirty for document in documents]
    rows = [dirty, list(clean_regions(cleaner, dirty)), [document.clean for document in documents]]
    return np.vstack([np.hstack([_framed(image) for image in row]) for row in rows])


def main(arguments: Sequence[str]) -> int:
    """Write the picture of a checkpoint as PNG."""
    cleaner, _ = load_checkpoint(Path(arguments[0]))
    _, encoded = cv2.imencode(".png", before_and_after(cleaner), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f"written: {write_atomically(Path(arguments[1]), bytes(encoded))}")
    return 0


def _framed(image: Image) -> Image:
    lined = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(200.0,))
    return np.asarray(cv2.copyMakeBorder(lined, _GAP, _GAP, _GAP, _GAP, cv2.BORDER_CONSTANT, value=(255.0,)), np.uint8)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
