"""Decoding the images of records: unreadable files are named and counted, they stop nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.data.records import Record, SkippedFile
from sigedge_runtime.errors import ImageError
from sigedge_runtime.images import read_image


def read_grey(record: Record) -> NDArray[np.uint8]:
    """Decode a record's image to grey uint8 [H, W].

    Raises:
        ImageError: the file is missing, truncated, of no supported format or outside the size limits.
    """
    return to_grey(read_image(record.path))


def to_grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey uint8 [H, W] of a grey [H, W] or BGR [H, W, 3] uint8 image."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return np.asarray(grey, dtype=np.uint8)


def iter_grey(records: Iterable[Record], skipped: list[SkippedFile]) -> Iterator[tuple[Record, NDArray[np.uint8]]]:
    """Decode record after record; what cannot be read is appended to `skipped` instead of being yielded."""
    for record in records:
        try:
            image = read_grey(record)
        except ImageError as error:
            skipped.append(SkippedFile(record.path, str(error)))
            continue
        yield record, image


def pixel_hash(grey: NDArray[np.uint8]) -> str:
    """SHA-256 (hex) of an image's size and grey values: equal for equal pictures in any file format."""
    height, width = grey.shape
    header = f"{height}x{width}:".encode()
    return hashlib.sha256(header + np.ascontiguousarray(grey).tobytes()).hexdigest()
