"""The signatures that documents are made of: ink by signer, real and synthetic, test signers never in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigedge.data import (
    ReadReport,
    Record,
    SkippedFile,
    load_splits,
    read_folders,
    read_grey,
    read_index,
    signers_of,
    track,
    training_records,
)
from sigedge.synthesis import cached_dataset
from sigedge.systems.cleaner.documents import Documents
from sigedge.systems.cleaner.recipe import DataRecipe
from sigedge.systems.cleaner.regions import Image, ink_of
from sigedge.training.recipe import SyntheticSigners
from sigedge_runtime.errors import DataError, ImageError

_HELD_OUT = 8  # every eighth synthetic signer is for validation


@dataclass(frozen=True)
class Inks:
    """Signatures as ink; row i of both belongs together.

    Attributes:
        records: where each comes from.
        inks: uint8 [h, w] each, from `ink_of`.
        report: how many files were read and which were skipped.
    """

    records: tuple[Record, ...]
    inks: tuple[Image, ...]
    report: ReadReport

    def __len__(self) -> int:
        return len(self.records)

    def of(self, wanted: Callable[[Record], bool]) -> Inks:
        """The signatures for whose record `wanted` is true."""
        rows = [row for row, record in enumerate(self.records) if wanted(record)]
        return Inks(tuple(self.records[row] for row in rows), tuple(self.inks[row] for row in rows), self.report)


@dataclass(frozen=True)
class TrainingInks:
    """What a training run reads.

    Attributes:
        dirty: signatures that documents are made of.
        clean: signatures shown clean, of other signers.
        validation: signatures of signers of neither.
        documents: what training documents are made of.
        validation_documents: others.
        summary: counts and signers, for the checkpoint's header and the card.
    """

    dirty: Inks
    clean: Inks
    validation: Inks
    documents: Documents
    validation_documents: Documents
    summary: dict[str, Any]


def read_inks(records: Sequence[Record]) -> Inks:
    """Ink of each record; what cannot be read or shows none is left out and named in the report.

    Raises:
        DataError: not one could be read.
    """
    found: list[tuple[Record, Image]] = []
    skipped: list[SkippedFile] = []
    for record in track(records, "Reading signatures"):
        try:
            found.append((record, ink_of(read_grey(record))))
        except ImageError as error:
            skipped.append(SkippedFile(record.path, str(error)))
    report = ReadReport(len(found), tuple(skipped))
    report.require_any()
    return Inks(tuple(record for record, _ in found), tuple(ink for _, ink in found), report)


def synthetic_records(wanted: SyntheticSigners, cache: Path) -> list[Record]:
    """Records of synthetic signers, drawn into the cache folder once."""
    folder = cached_dataset(
        cache, signers=wanted.signers, genuine=wanted.genuine, forged=wanted.forged, seed=wanted.seed
    )
    return read_folders(folder)


def load_training_inks(recipe: DataRecipe, data: Path, cache: Path, *, fold: int = 0) -> TrainingInks:
    """Signatures and documents for training and validation.

    Args:
        recipe: which data sets, and how many synthetic signers.
        data: folder with index.csv and splits.json, not looked at when the recipe names no data set; documents lie in
            it where there are any.
        cache: folder for synthetic signers.
        fold: test fold of data sets that are split by folds.

    Raises:
        DataError: a data set is not there or has no training part, or there are fewer than two training signers.
    """
    made = synthetic_records(recipe.synthetic, cache)
    held_out = set(signers_of(made)[_HELD_OUT - 1 :: _HELD_OUT])
    train = [record for record in made if record.signer not in held_out]
    validation = [record for record in made if record.signer in held_out]
    if recipe.datasets:
        index, splits = read_index(data / "index.csv"), load_splits(data / "splits.json")
        parts = training_records(index, recipe.datasets, splits, fold=fold)
        train, validation = [*parts.train, *train], [*parts.validation, *validation]
    every_other = set(sorted({record.identity for record in train})[::2])
    if not validation or len({record.identity for record in train}) < 2:
        raise DataError("Cleaning is learned from at least two signers and judged on another; name more signers.")
    inks = read_inks([*train, *validation])
    judged = {record.identity for record in validation}
    documents = {part: Documents.read(data, part) for part in ("train", "validation")}
    taught = inks.of(lambda record: record.identity not in judged)
    return TrainingInks(
        dirty=taught.of(lambda record: record.identity in every_other),
        clean=taught.of(lambda record: record.identity not in every_other),
        validation=inks.of(lambda record: record.identity in judged),
        documents=documents["train"],
        validation_documents=documents["validation"],
        summary=_summary(recipe, train, validation, inks, documents["train"]) | {"test_fold": fold},
    )


def _summary(
    recipe: DataRecipe, train: Sequence[Record], validation: Sequence[Record], inks: Inks, documents: Documents
) -> dict[str, Any]:
    skipped = [*inks.report.skipped, *documents.skipped]
    return {
        "synthetic": recipe.synthetic.model_dump(),
        **{
            name: {
                "training_signers": signers_of(r for r in train if r.dataset == name),
                "validation_signers": signers_of(r for r in validation if r.dataset == name),
            }
            for name in recipe.datasets
        },
        "documents": {"cheques": len(documents.cheques), "pages": len(documents.pages)},
        "images": inks.report.read,
        "skipped": [f"{file.path.name}: {file.reason}" for file in skipped],
    }
