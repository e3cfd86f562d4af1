"""Exact duplicates: the same picture twice would make a verifier look better than it is."""

from __future__ import annotations

from collections.abc import Sequence

from sigedge.data.images import iter_grey, pixel_hash
from sigedge.data.progress import track
from sigedge.data.records import Record, SkippedFile


def drop_duplicates(records: Sequence[Record], *, progress: bool = True) -> tuple[list[Record], list[Record]]:
    """Split records into the first of each picture and its exact repetitions, by decoded pixels.

    A picture that one data set files under two signers or two labels is dropped altogether, because nobody
    can tell which is right. Unreadable files are kept: whoever reads them next names and counts them.

    Args:
        records: records of any data sets; a picture may occur once in each data set.
        progress: show a bar when standard error is a terminal.

    Returns:
        The kept and the dropped records, each in the order given.
    """
    unreadable: list[SkippedFile] = []
    hashes = {
        record.path: pixel_hash(image)
        for record, image in iter_grey(track(records, "Looking for duplicates", enabled=progress), unreadable)
    }
    keep = first_of_each(records, [hashes.get(record.path, str(record.path)) for record in records])
    kept = [record for record, wanted in zip(records, keep, strict=True) if wanted]
    dropped = [record for record, wanted in zip(records, keep, strict=True) if not wanted]
    return kept, dropped


def first_of_each(records: Sequence[Record], hashes: Sequence[str]) -> list[bool]:
    """Which records to keep, given a hash of each one's pixels; rules as in `drop_duplicates`."""
    owners: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for record, digest in zip(records, hashes, strict=True):
        owners.setdefault((record.dataset, digest), set()).add((record.signer, record.label))
    seen: set[tuple[str, str]] = set()
    keep = []
    for record, digest in zip(records, hashes, strict=True):
        picture = (record.dataset, digest)
        keep.append(picture not in seen and len(owners[picture]) == 1)
        seen.add(picture)
    return keep
