"""Whose signature a file shows: from the folder it lies in, or from its XXXYYZZZ name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sigedge.data import Record, SkippedFile, read_sigcomp
from sigedge.data.readers import IMAGE_SUFFIXES
from sigedge.data.records import Label, record_order
from sigedge_runtime.errors import DataError

NOBODY = "unknown"
"""Folder of signatures of other people: they belong to no class."""

TRAIN, TEST, PREDICT = "train", "test", "predict"


@dataclass(frozen=True)
class LabelledImages:
    """Images with a label, and those without one.

    Attributes:
        records: `signer` is the label, `NOBODY` for strangers; a forgery belongs to nobody's class, whatever its
            signer.
        skipped: images without a label.
    """

    records: tuple[Record, ...]
    skipped: tuple[SkippedFile, ...]


def has_labels(data: Path) -> bool:
    """Whether a data folder holds images by label, in ``train/``."""
    return (data / TRAIN).is_dir()


def read_labelled(folder: Path, dataset: str) -> LabelledImages:
    """Read images by label.

    An image in ``LABEL/`` has that label. One that lies in the folder itself has the label ZZZ of its name XXXYYZZZ:
    writer XXX's sample YY of the signature of ZZZ. It is forged where its name says so (XXX is not ZZZ, and the label
    is ZZZ) or where it lies in ``LABEL/forged/``.

    Args:
        folder: e.g. ``data/train``.
        dataset: name to give the data set.

    Raises:
        DataError: the folder does not exist, or not one image in it has a label.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; put the images of each person into {folder}/LABEL/.")
    named = _named(folder, dataset)
    records, skipped = [], []
    for number, path in enumerate(_images(folder), start=1):
        record = _labelled(path, folder, named.get(path), dataset, number)
        if record is None:
            skipped.append(SkippedFile(path, f"{path} has no label; put it into a folder named after the person."))
        else:
            records.append(record)
    if not records:
        raise DataError(
            f"{folder} holds no image with a label; put the images of each person into {folder}/LABEL/, or name them "
            "XXXYYZZZ, writer, number and whose signature it is."
        )
    return LabelledImages(tuple(sorted(records, key=record_order)), tuple(skipped))


def _images(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            yield path


def _named(folder: Path, dataset: str) -> dict[Path, Record]:
    """What the names of the images say, where they have the form XXXYYZZZ."""
    try:
        return {record.path: record for record in read_sigcomp(folder, dataset)}
    except DataError:  # none has
        return {}


def _labelled(path: Path, folder: Path, named: Record | None, dataset: str, number: int) -> Record | None:
    parts = path.relative_to(folder).parts
    person = None if named is None else f"{int(named.signer):03d}"
    if len(parts) == 1:
        return None if named is None or person is None else replace(named, signer=person)
    label = parts[0]
    claimed = named is not None and person == label and not named.genuine
    kind: Label = "forged" if claimed or "forged" in parts[1:-1] else "genuine"
    return Record(path, dataset, label, kind, number)
