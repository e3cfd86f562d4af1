"""Preprocessed canvases on disk, so that every image is harmonised once.

Entries are keyed by the SHA-256 of the image file, in a folder named by everything else a canvas depends on:
the spec, the preprocessing code and the OpenCV version. A renamed file is found again; an edited one is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge.data.duplicates import first_of_each
from sigedge.data.images import pixel_hash, to_grey
from sigedge.data.progress import track
from sigedge.data.records import ReadReport, Record, SkippedFile
from sigedge.data.shards import Entry, code_digest, in_chunks, read_entries, write_shard
from sigedge_runtime.errors import ImageError
from sigedge_runtime.images import read_image
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise
from sigedge_runtime.quality import Quality

CHUNK = 256
DEFAULT_FOLDER = Path(".cache") / "canvases"


@dataclass(frozen=True)
class CanvasSet:
    """Canvases of the records that could be read; row i of everything belongs to ``records[i]``.

    Attributes:
        records: N records, in the order asked for, without the skipped ones.
        canvases: uint8 [N, H, W], background 0, ink 255.
        qualities: N results of the quality checks.
        pixels: N hashes of the decoded source images.
        report: how many files were read and which were skipped.
    """

    records: tuple[Record, ...]
    canvases: NDArray[np.uint8]
    qualities: tuple[Quality, ...]
    pixels: tuple[str, ...]
    report: ReadReport

    def __len__(self) -> int:
        return len(self.records)

    def select(self, keep: Sequence[bool]) -> CanvasSet:
        """The rows for which `keep` is true."""
        return CanvasSet(
            tuple(compress(self.records, keep)),
            self.canvases[np.asarray(keep, dtype=bool)],
            tuple(compress(self.qualities, keep)),
            tuple(compress(self.pixels, keep)),
            self.report,
        )

    def usable(self) -> CanvasSet:
        """Without the images that no verifier would accept (a failure to acquire)."""
        return self.select([quality.usable for quality in self.qualities])

    def unique(self) -> CanvasSet:
        """Without exact duplicates, by the rules of `sigedge.data.drop_duplicates`."""
        return self.select(first_of_each(self.records, self.pixels))


class CanvasCache:
    """A folder of preprocessed canvases."""

    def __init__(
        self, folder: str | Path = DEFAULT_FOLDER, spec: PreprocessSpec | None = None, *, chunk: int = CHUNK
    ) -> None:
        """Use `folder` (made when missing) for canvases by `spec`; store every `chunk` images."""
        self.spec = spec or PreprocessSpec()
        self.folder = Path(folder) / f"{self.spec.digest()[:16]}-{_code_digest()[:12]}"
        self._chunk = chunk

    def canvases(self, records: Sequence[Record], *, progress: bool = True) -> CanvasSet:
        """Canvases of the records: from the cache, and else harmonised and stored.

        An interruption loses at most one chunk of work; the next call resumes. Files that cannot be read are
        left out and named in the report.

        Args:
            records: records to preprocess.
            progress: show a bar when standard error is a terminal.

        Raises:
            DataError: not one file could be read, or the folder cannot be written.
        """
        keys, unreadable = _file_hashes(records)
        entries = read_entries(self.folder, set(keys.values()))
        missing = {key: record for record, key in keys.items() if key not in entries}
        reasons: dict[str, str] = {}
        for chunk in in_chunks(track(list(missing.items()), "Preprocessing", enabled=progress), self._chunk):
            fresh = self._prepare(chunk, reasons)
            if fresh:
                write_shard(self.folder, fresh)
                entries.update(fresh)
        skipped = [SkippedFile(r.path, reasons[keys[r]]) for r in records if keys.get(r) in reasons]
        return _assemble([r for r in records if keys.get(r) in entries], keys, entries, unreadable + skipped)

    def _prepare(self, chunk: Iterable[tuple[str, Record]], reasons: dict[str, str]) -> dict[str, Entry]:
        entries = {}
        for key, record in chunk:
            try:
                image = read_image(record.path)
            except ImageError as error:
                reasons[key] = str(error)
                continue
            result = harmonise(image, self.spec)
            entries[key] = Entry(result.canvas, result.quality, pixel_hash(to_grey(image)))
        return entries


def _assemble(
    found: list[Record], keys: dict[Record, str], entries: dict[str, Entry], skipped: list[SkippedFile]
) -> CanvasSet:
    report = ReadReport(len(found), tuple(skipped))
    report.require_any()
    rows = [entries[keys[record]] for record in found]
    canvases = np.stack([row.canvas for row in rows])
    qualities, pixels = tuple(row.quality for row in rows), tuple(row.pixels for row in rows)
    return CanvasSet(tuple(found), canvases, qualities, pixels, report)


def _file_hashes(records: Sequence[Record]) -> tuple[dict[Record, str], list[SkippedFile]]:
    keys, unreadable = {}, []
    for record in records:
        try:
            keys[record] = hashlib.sha256(record.path.read_bytes()).hexdigest()
        except OSError as error:
            unreadable.append(SkippedFile(record.path, error.strerror or str(error)))
    return keys, unreadable


@cache
def _code_digest() -> str:
    return code_digest()
