"""Storage of the canvas cache: a folder of small compressed files, each written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge_runtime import preprocessing, quality, thinning
from sigedge_runtime.atomic import atomic_path
from sigedge_runtime.errors import DataError
from sigedge_runtime.quality import Measurements, Quality, QualityIssue

Item = TypeVar("Item")
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a half-written or altered shard may raise."""


@dataclass(frozen=True)
class Entry:
    """One cached image.

    Attributes:
        canvas: uint8 [H, W], background 0, ink 255.
        quality: what `harmonise` said of the source image.
        pixels: hash of the decoded source image (`sigedge.data.images.pixel_hash`).
    """

    canvas: NDArray[np.uint8]
    quality: Quality
    pixels: str


def write_shard(folder: Path, entries: dict[str, Entry]) -> Path:
    """Store entries (file SHA-256 to entry) as one file, atomically; the name follows from the keys.

    Raises:
        DataError: the folder cannot be written.
    """
    keys = sorted(entries)
    return write_arrays(
        folder,
        keys,
        canvases=np.stack([entries[key].canvas for key in keys]),
        qualities=np.array([json.dumps(entries[key].quality.to_dict()) for key in keys]),
        pixels=np.array([entries[key].pixels for key in keys]),
    )


def write_arrays(folder: Path, keys: list[str], **columns: NDArray[Any]) -> Path:
    """Store columns, row i of each for key i, as one compressed file, atomically; the name follows from the keys.

    Raises:
        DataError: the folder cannot be written.
    """
    path = folder / f"{hashlib.sha256(''.join(keys).encode()).hexdigest()[:16]}.npz"
    try:
        with atomic_path(path, durable=False) as partial, partial.open("wb") as file:
            np.savez_compressed(file, keys=np.array(keys), **columns)
    except OSError as error:
        raise DataError(f"The cache {folder} cannot be written ({error}); choose another folder.") from error
    return path


def in_chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`, the last one shorter: what an interruption may lose is one of them."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def code_digest(*beside: ModuleType) -> str:
    """Digest of the code that makes canvases, of modules beside it and of OpenCV: a cache must not outlive them."""
    digest = hashlib.sha256(cv2.__version__.encode())
    for module in (preprocessing, quality, thinning, *beside):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def read_entries(folder: Path, wanted: Set[str]) -> dict[str, Entry]:
    """Load the wanted entries of a folder; damaged files are passed over, so that they are written anew."""
    entries: dict[str, Entry] = {}
    for path in sorted(folder.glob("*.npz")):
        with contextlib.suppress(*DAMAGED):
            entries.update(_read_shard(path, wanted))
    return entries


def _read_shard(path: Path, wanted: Set[str]) -> dict[str, Entry]:
    with np.load(path) as shard:
        rows = {key: row for row, key in enumerate(shard["keys"].tolist()) if key in wanted}
        if not rows:
            return {}
        canvases, qualities, pixels = shard["canvases"], shard["qualities"].tolist(), shard["pixels"].tolist()
    return {key: Entry(canvases[row], _quality(json.loads(qualities[row])), pixels[row]) for key, row in rows.items()}


def _quality(fields: dict[str, Any]) -> Quality:
    issues = tuple(QualityIssue(**issue) for issue in fields["issues"])
    return Quality(issues, Measurements(**fields["measurements"]))
