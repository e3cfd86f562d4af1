"""Pages with known signatures: the sheets of SSBI, pages without any, and their fixed split."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sigedge.data import SkippedFile
from sigedge.data.sheets import Boxes, Page, group_of, read_labelled_pages
from sigedge_runtime.errors import DataError, ImageError
from sigedge_runtime.images import read_image

Part = Literal["train", "validation", "test"]

SHEETS = Path("ssbi") / "signatures"
BLANK_PAGES = Path("tobacco800-pages")
SPLIT_SEED = 0
TRAIN_SHARE, VALIDATION_SHARE = 0.4, 0.2


class Example(NamedTuple):
    """A page in memory: image uint8 [H, W] or [H, W, 3], `boxes` and `group` as in `Page`."""

    image: NDArray[np.uint8]
    boxes: Boxes
    group: str


def read_sheets(data: Path) -> list[Page]:
    """Genuine and forged sheets of SSBI with the boxes of their COCO files, in the order of their names.

    Args:
        data: folder of the research data sets.

    Raises:
        DataError: a label file is missing, or is none.
    """
    return [page for kind in ("genuine", "forged") for page in read_labelled_pages(data / SHEETS / kind)]


def read_blank_pages(data: Path) -> list[Page]:
    """Pages of Tobacco-800 that show no signature, in the order of their names.

    Raises:
        DataError: the folder holds no PNG image.
    """
    paths = sorted((data / BLANK_PAGES).glob("*.png"))
    if not paths:
        raise DataError(f"{data / BLANK_PAGES} holds no PNG image; name the folder of the data sets.")
    return [Page(path, np.empty((0, 4)), group_of(path)) for path in paths]


def split_pages(pages: Sequence[Page], seed: int = SPLIT_SEED) -> dict[Part, list[Page]]:
    """Pages by part, 40 % of the groups for training and 20 % for validation; a group stays whole.

    All sheets of a signer, forged ones with the genuine, lie in one part, which is stricter than a split by sheet.
    """
    groups = sorted({page.group for page in pages})
    random.Random(seed).shuffle(groups)
    train, validation = (round(share * len(groups)) for share in (TRAIN_SHARE, VALIDATION_SHARE))
    parts: dict[Part, set[str]] = {
        "train": set(groups[:train]),
        "validation": set(groups[train : train + validation]),
        "test": set(groups[train + validation :]),
    }
    return {part: [page for page in pages if page.group in members] for part, members in parts.items()}


def load(pages: Iterable[Page], skipped: list[SkippedFile]) -> Iterator[Example]:
    """Decode page after page; what cannot be read is appended to `skipped` instead of being yielded."""
    for page in pages:
        try:
            yield Example(read_image(page.path), page.boxes, page.group)
        except ImageError as error:
            skipped.append(SkippedFile(page.path, str(error)))
