"""Images of any size made square and 256 pixels wide, in the folders data/{train,test,predict}, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.data import SkippedFile
from sigedge.data.images import to_grey
from sigedge.data.readers import IMAGE_SUFFIXES
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import DataError, ImageError
from sigedge_runtime.images import read_image
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise

SPEC = PreprocessSpec(canvas_height=256, canvas_width=256)
"""How every image becomes the canvas that the classifier reads, prepared or not."""

SIDE = SPEC.canvas_width
FOLDERS = ("train", "test", "predict")
PREPARED, BACKUP = "prepared", "backup"

Grey = NDArray[np.uint8]


@dataclass
class Preparation:
    """What became of the images.

    Attributes:
        prepared: images written.
        already: images left alone because they are as they should be.
        kept: images whose prepared picture was there and was not replaced.
        backed_up: originals copied before they were replaced.
        skipped: images that could not be prepared, with the reason.
    """

    prepared: int = 0
    already: int = 0
    kept: int = 0
    backed_up: int = 0
    skipped: list[SkippedFile] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        skipped = [{"path": str(file.path), "reason": file.reason} for file in self.skipped]
        counts = {name: getattr(self, name) for name in ("prepared", "already", "kept", "backed_up")}
        return {**counts, "skipped": skipped}


def prepare(
    data: Path,
    folders: Sequence[str] | None = None,
    *,
    scan: bool = False,
    backup: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Preparation:
    """Prepare the images below ``data/train``, ``data/test`` and ``data/predict``; folders in them are kept.

    Without `overwrite` the pictures go to ``data/prepared/`` and nothing that exists is replaced. With it each takes
    the place of its image, as a PNG file; with `backup` the image is first copied to ``data/backup/``. Files appear
    whole or not at all, so that a run that was stopped is resumed by the same call.

    Args:
        data: folder of the three.
        folders: which of them; None takes those that are there.
        scan: draw the ink alone, black on white, as `harmonise` finds it.
        backup: keep the originals of what is replaced.
        overwrite: replace.
        progress: told after each image how many are done, of how many.

    Raises:
        DataError: a folder is unknown or not there, or holds no image.
        OSError: a file cannot be written.
    """
    images = _images(data, folders)
    report, written = Preparation(), set[Path]()
    for done, path in enumerate(images, start=1):
        below = path.relative_to(data).with_suffix(".png")
        target = data / below if overwrite else data / PREPARED / below
        if target in written or (overwrite and target != path and target.exists()):
            report.skipped.append(
                SkippedFile(path, f"{path} would become {target.name}, as another image does; rename it.")
            )
        elif target.exists() and not overwrite:
            report.kept += 1
        else:
            _prepare_one(path, target, data / BACKUP if backup and overwrite else None, scan, report)
        written.add(target)
        progress(done, len(images))
    return report


def squared(grey: Grey) -> Grey:
    """The image in the middle of a square of its paper's grey, scaled to 256x256; uint8 [H, W] to uint8 [256, 256]."""
    height, width = grey.shape
    side = max(height, width)
    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    square = np.full((side, side), int(np.median(rim)), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = grey
    interpolation = cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR_EXACT
    return np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=interpolation), np.uint8)


def scanned(grey: Grey, name: str = "The image") -> Grey:
    """The ink of an image alone, black on white, 256x256; `name` is how an error calls it.

    Raises:
        ImageError: there is no usable signature in it.
    """
    canvas, quality = harmonise(grey, SPEC)
    if not quality.usable:
        raise ImageError(f"{name} shows no usable signature: {quality.reasons}")
    return np.asarray(255 - canvas, np.uint8)


def _images(data: Path, folders: Sequence[str] | None) -> list[Path]:
    wanted = [name for name in FOLDERS if (data / name).is_dir()] if folders is None else list(folders)
    if unknown := [name for name in wanted if name not in FOLDERS]:
        raise DataError(f"There is nothing to prepare called {', '.join(unknown)}; choose from {', '.join(FOLDERS)}.")
    if missing := [name for name in wanted if not (data / name).is_dir()]:
        raise DataError(f"{data} holds no folder {' and no '.join(missing)}; make it, or leave it out of --process.")
    images = [path for name in wanted for path in _below(data / name)]
    if not images:
        raise DataError(f"{data} holds no image in {', '.join(wanted or FOLDERS)}; put some into {data}/train/LABEL/.")
    return images


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            yield path


def _prepare_one(path: Path, target: Path, backup: Path | None, scan: bool, report: Preparation) -> None:
    try:
        image = read_image(path)
        if path == target and _is_prepared(image, scan):
            report.already += 1
            return
        picture = scanned(to_grey(image), str(path)) if scan else squared(to_grey(image))
    except ImageError as error:
        report.skipped.append(SkippedFile(path, str(error)))
        return
    if backup is not None:
        # data/train/ada/1.png goes to data/backup/train/ada/1.png.
        report.backed_up += _back_up(path, backup / path.relative_to(backup.parent))
    write_atomically(target, cv2.imencode(".png", picture)[1].tobytes(), durable=False)
    if path != target and target.parent == path.parent:
        path.unlink()
    report.prepared += 1


def _is_prepared(image: NDArray[np.uint8], scan: bool) -> bool:
    return image.shape == (SIDE, SIDE) and (not scan or bool(np.isin(image, (0, 255)).all()))


def _back_up(path: Path, copy: Path) -> bool:
    """Copy an original, never onto another one; False where the very same is there already."""
    content, first, number = path.read_bytes(), copy, 1
    while copy.exists():
        if copy.read_bytes() == content:
            return False
        number += 1
        copy = first.with_stem(f"{first.stem}-{number}")
    write_atomically(copy, content)
    return True
