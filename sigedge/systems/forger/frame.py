"""Pairs as files: PNG images and a data frame that names them, which any table reader opens."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import cv2
import numpy as np

from sigedge.data import ReadReport, SkippedFile
from sigedge.systems.forger.pairs import Pairs
from sigedge.systems.forger.preprocessing import SIZE, Image
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import DataError, ImageError
from sigedge_runtime.images import read_image

FRAME = "pairs.csv"
COLUMNS = ("number", "signer", "input", "mask", "target")
_IMAGES = COLUMNS[2:]


def write_pairs(folder: Path, pairs: Pairs) -> Path:
    """Write every image of the pairs, and last of all the frame; a folder with a frame is complete.

    Args:
        folder: made when missing; files of the same names are replaced.
        pairs: N pairs.

    Returns:
        The frame: a CSV file with a row for each pair, its paths relative to the folder.

    Raises:
        DataError: a file cannot be written.
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    try:
        for number, signer in enumerate(pairs.signers):
            images = (pairs.lines[number], pairs.masks[number], pairs.targets[number])
            names = [f"{column}/{number:05d}.png" for column in _IMAGES]
            for name, image in zip(names, images, strict=True):
                write_atomically(folder / name, _png(image), durable=False)
            rows.writerow([number, signer, *names])
        return write_atomically(folder / FRAME, text.getvalue().encode())
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error}); make room or name another folder.") from error


def read_pairs(folder: Path) -> tuple[Pairs, ReadReport]:
    """Read a folder of `write_pairs`, or one made by hand; a pair with a file that cannot be read is left out.

    Raises:
        DataError: the frame is missing or lacks a column, or not one pair could be read.
    """
    skipped: list[SkippedFile] = []
    found: list[tuple[str, list[Image]]] = []
    for row in _rows(folder / FRAME):
        images: list[Image] = []
        for column in _IMAGES:
            path = folder / row[column]
            try:
                images.append(_read(path))
            except ImageError as error:
                skipped.append(SkippedFile(path, str(error)))
                break
        else:
            found.append((row["signer"], images))
    report = ReadReport(len(found), tuple(skipped))
    report.require_any()
    lines, masks, targets = (np.stack([images[place] for _, images in found]) for place in range(3))
    return Pairs(lines, masks, targets, tuple(signer for signer, _ in found)), report


def _rows(frame: Path) -> list[dict[str, str]]:
    try:
        with frame.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{frame} lacks the columns {', '.join(missing)}; a frame of pairs needs them all.")
            return [{name: row[name] or "" for name in COLUMNS} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{frame} cannot be read as a frame of pairs ({error}); write the pairs again.") from error


def _read(path: Path) -> Image:
    image = read_image(path)
    if image.shape != SIZE:
        raise ImageError(f"{path} is no grey image of {SIZE[0]}x{SIZE[1]} pixels; write the pairs again.")
    return image


def _png(image: Image) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])
