"""Scanned sheets with labelled boxes: the boxes of a COCO file, and the signatures cut out of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.data.records import LABELS
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import DataError
from sigedge_runtime.images import read_image

Boxes = NDArray[np.float64]
MARGIN = 6  # pixels of paper around a box: labelled boxes end where the ink does


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


def read_labelled_pages(folder: Path) -> list[Page]:
    """Pages of ``folder/data`` with the boxes of ``folder/labels.json``, a COCO file, in its order.

    Raises:
        DataError: the label file is missing, or is none.
    """
    path = folder / "labels.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [_page(folder, image, content["annotations"]) for image in content["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read as COCO labels ({error!r}); unpack the sheets again.") from error


def cut_signatures(sheets: Path, out: Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Cut every labelled signature out of its sheet: ``out/SIGNER/genuine/NN.png`` and ``out/SIGNER/forged/NN.png``.

    The signer stands before the first ``_`` or ``-`` of a sheet's name. Sheets whose signatures are all there are not
    read again, so that a stopped run goes on.

    Args:
        sheets: folder with ``genuine/`` and, where there are any, ``forged/``, each as in `read_labelled_pages`.
        out: where; made when missing.
        progress: called with (sheets done, sheets in all) after each sheet.

    Returns:
        `out`, a data set in the layout of `read_folders`.

    Raises:
        DataError: a label file is none, no sheet is there, a box lies outside its sheet, or a file cannot be written.
        ImageError: a sheet cannot be read.
    """
    kinds = [kind for kind in LABELS if (sheets / kind).is_dir()]
    pages = {kind: read_labelled_pages(sheets / kind) for kind in kinds}
    total, done = sum(map(len, pages.values())), 0
    if total == 0:
        raise DataError(f"{sheets} holds no labelled sheet; name a folder with genuine/labels.json and genuine/data.")
    for kind, found in pages.items():
        for page, paths in _targets(found, out, kind):
            _cut(page, paths)
            done += 1
            if progress is not None:
                progress(done, total)
    return out


def _targets(pages: Sequence[Page], out: Path, kind: str) -> Iterator[tuple[Page, list[Path]]]:
    """Each page with the files of its signatures, which are numbered through all pages of a signer."""
    counts: dict[str, int] = {}
    for page in pages:
        first = counts.get(page.group, 0) + 1
        counts[page.group] = first + len(page.boxes) - 1
        yield page, [out / page.group / kind / f"{first + i:02d}.png" for i in range(len(page.boxes))]


def _cut(page: Page, paths: Sequence[Path]) -> None:
    if all(path.exists() for path in paths):
        return
    image = read_image(page.path)
    height, width = image.shape[:2]
    for box, path in zip(page.boxes, paths, strict=True):
        low = np.maximum(np.floor(box[:2]).astype(int) - MARGIN, 0)
        high = np.minimum(np.ceil(box[2:]).astype(int) + MARGIN, (width, height))
        if np.any(high - low < 2 * MARGIN):
            raise DataError(f"{page.path} has a box outside the image, {box.tolist()}; correct its labels.")
        _, encoded = cv2.imencode(".png", image[low[1] : high[1], low[0] : high[0]])
        try:
            write_atomically(path, bytes(encoded), durable=False)
        except OSError as error:
            raise DataError(
                f"{path} cannot be written ({error.strerror or error}); make room, or name another."
            ) from error


def _page(folder: Path, image: dict[str, Any], annotations: list[dict[str, Any]]) -> Page:
    boxes = [entry["bbox"] for entry in annotations if entry["image_id"] == image["id"]]
    corners = np.array(list(chain(*boxes)), dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    path = folder / "data" / image["file_name"]
    return Page(path, corners, group_of(path))


def group_of(path: Path) -> str:
    """The signer of ``003_G1.jpg`` is 003; the document of ``xlx69d00-page07_1.png`` is xlx69d00."""
    return re.split(r"[-_.]", path.name, maxsplit=1)[0]
