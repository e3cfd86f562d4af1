"""Pages with known signatures: the sheets of SSBI, pages without any, and their fixed split."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sigedge.data import SkippedFile
from sigedge_runtime.errors import DataError, ImageError
from sigedge_runtime.images import read_image

Part = Literal["train", "validation", "test"]
Boxes = NDArray[np.float64]

SHEETS = Path("ssbi") / "signatures"
BLANK_PAGES = Path("tobacco800-pages")
SPLIT_SEED = 0
TRAIN_SHARE, VALIDATION_SHARE = 0.4, 0.2


@dataclass(frozen=True)
class Page:
    """A page on disk.

    Attributes:
        path: its image.
        boxes: float64 [N, 4], left, top, right, bottom of every signature, pixels; [0, 4] for a page without.
        group: the signer whose signatures it shows, or the document it belongs to: never in two parts.
    """

    path: Path
    boxes: Boxes
    group: str


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
    return [page for kind in ("genuine", "forged") for page in _read_coco(data / SHEETS / kind)]


def read_blank_pages(data: Path) -> list[Page]:
    """Pages of Tobacco-800 that show no signature, in the order of their names.

    Raises:
        DataError: the folder holds no PNG image.
    """
    paths = sorted((data / BLANK_PAGES).glob("*.png"))
    if not paths:
        raise DataError(f"{data / BLANK_PAGES} holds no PNG image; name the folder of the data sets.")
    return [Page(path, np.empty((0, 4)), _group(path)) for path in paths]


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


def _read_coco(folder: Path) -> list[Page]:
    path = folder / "labels.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [_page(folder, image, content["annotations"]) for image in content["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read as COCO labels ({error!r}); unpack SSBI again.") from error


def _page(folder: Path, image: dict[str, Any], annotations: list[dict[str, Any]]) -> Page:
    boxes = [entry["bbox"] for entry in annotations if entry["image_id"] == image["id"]]
    corners = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    path = folder / "data" / image["file_name"]
    return Page(path, corners, _group(path))


def _group(path: Path) -> str:
    """The signer of ``003_G1.jpg`` is 003; the document of ``xlx69d00-page07_1.png`` is xlx69d00."""
    return re.split(r"[-_.]", path.name, maxsplit=1)[0]
