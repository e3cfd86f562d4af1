"""Signer-disjoint splits, and the one door through which training gets its records.

A split file maps a data set to its parts in one of two forms::

    {"cedar": {"folds": [[3, 5, ...], [4, 6, ...], ...]},     # test = one fold, training = the others
     "bhsig260-hindi": {"train": [...], "test": [...]},
     "sigcomp2009-nfi": {"test": [...]}}                      # never trained on

A key covers every data set whose name is the key or starts with the key and a hyphen, so that two copies of
a data set (``cedar-half``, ``cedar-full-sample``) can never put one person on both sides. Validation signers
are drawn out of the training part: the 12 % (at least 2) whose SHA-256 of ``key/fold/seed/signer`` is
smallest, which depends neither on the order of the records nor on a library's random generator.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sigedge.data.records import Record, signers_of
from sigedge_runtime.errors import DataError

Part = Literal["train", "validation", "test", "all"]
PARTS: tuple[str, ...] = ("train", "validation", "test", "all")

VALIDATION_PERCENT = 12
MIN_VALIDATION_SIGNERS = 2


@dataclass(frozen=True)
class SplitEntry:
    """How one data set (or family of copies of it) is divided.

    Attributes:
        key: name or name prefix of the data sets it covers.
        train: a tuple of training signers for every fold.
        test: a tuple of test signers for every fold.
    """

    key: str
    train: tuple[tuple[str, ...], ...]
    test: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class SignerParts:
    """Signers of one data set and fold: pairwise disjoint sets."""

    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str]

    def __post_init__(self) -> None:
        overlap = (self.train & self.validation) | (self.train & self.test) | (self.validation & self.test)
        if overlap:
            raise DataError(f"Signers {', '.join(sorted(overlap))} are in two parts of a split; give each one part.")

    def of(self, part: Part) -> frozenset[str]:
        """Signers of a part; ``"all"`` joins the three."""
        if part == "all":
            return self.train | self.validation | self.test
        return {"train": self.train, "validation": self.validation, "test": self.test}[part]


@dataclass(frozen=True)
class TrainingRecords:
    """What a trainer may see: records of training and of validation signers, no test signer."""

    train: tuple[Record, ...]
    validation: tuple[Record, ...]


Splits = Mapping[str, SplitEntry]


def load_splits(path: str | Path) -> Splits:
    """Read a split file.

    Raises:
        DataError: the file is missing, is not JSON, or an entry has neither of the two forms.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a split file ({error}); give a JSON file of splits.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is no split file; it must map data set names to their folds or parts.")
    return {key: _parse_entry(path, key, entry) for key, entry in content.items()}


def split_signers(
    records: Iterable[Record],
    dataset: str,
    splits: Splits,
    *,
    fold: int = 0,
    seed: int = 0,
    make_split: float | None = None,
) -> SignerParts:
    """Divide the signers of one data set into training, validation and test.

    Args:
        records: records, of which those of `dataset` name the signers where no entry does.
        dataset: name of the data set.
        splits: from `load_splits`; may be empty.
        fold: which fold is the test part, where the entry has folds.
        seed: seed of the validation draw (and of the test draw of `make_split`).
        make_split: share of signers, 0 to below 1, to draw as test signers when `splits` has no entry for the
            data set. None makes every signer of such a data set a test signer.

    Raises:
        DataError: the fold does not exist, `make_split` is out of range, or the parts overlap.
    """
    entry = _entry_for(splits, dataset)
    if entry is None:
        entry = _made_entry(signers_of(r for r in records if r.dataset == dataset), dataset, seed, make_split)
        fold = 0
    folds = len(entry.test)
    if not 0 <= fold < folds and folds > 1:
        raise DataError(f"Data set {dataset!r} has no fold {fold}; choose 0 to {folds - 1}.")
    chosen = fold if folds > 1 else 0
    trainable = entry.train[chosen]
    validation = _draw(trainable, f"{entry.key}/{chosen}/{seed}", _validation_count(len(trainable)))
    return SignerParts(frozenset(trainable) - validation, validation, frozenset(entry.test[chosen]))


def split_records(
    records: Sequence[Record],
    dataset: str,
    part: Part,
    splits: Splits,
    *,
    fold: int = 0,
    seed: int = 0,
    make_split: float | None = None,
) -> list[Record]:
    """Records of one data set whose signers are in one part; arguments as in `split_signers`.

    Raises:
        DataError: the part is unknown, has no signers, or no record belongs to it.
    """
    if part not in PARTS:
        raise DataError(f"Unknown part {part!r} of a split; use one of: {', '.join(PARTS)}.")
    parts = split_signers(records, dataset, splits, fold=fold, seed=seed, make_split=make_split)
    return _of_part(records, dataset, part, parts)


def training_records(
    records: Sequence[Record],
    datasets: Sequence[str],
    splits: Splits,
    *,
    fold: int = 0,
    seed: int = 0,
    make_split: float | None = None,
) -> TrainingRecords:
    """Records of the training and validation signers of some data sets; it cannot return a test signer.

    Args:
        records: records of any data sets.
        datasets: names of the data sets to train on; each must have a training part.
        splits, fold, seed, make_split: as in `split_signers`.

    Raises:
        DataError: no data set is named, one has no training part, or none has a validation signer.
    """
    if not datasets:
        raise DataError("No data set to train on is named; name at least one.")
    train: list[Record] = []
    validation: list[Record] = []
    for dataset in datasets:
        parts = split_signers(records, dataset, splits, fold=fold, seed=seed, make_split=make_split)
        train += _of_part(records, dataset, "train", parts)
        # A sample of a data set may happen to hold no validation signer.
        validation += [r for r in records if r.dataset == dataset and r.signer in parts.validation]
    if not validation:
        raise DataError(f"The data sets {', '.join(datasets)} have no validation signer; add one with 3 signers.")
    return TrainingRecords(tuple(train), tuple(validation))


def _of_part(records: Sequence[Record], dataset: str, part: Part, parts: SignerParts) -> list[Record]:
    wanted = parts.of(part)
    if part in ("train", "validation") and not wanted:
        raise DataError(
            f"Data set {dataset!r} has no {part} signers (its {len(parts.test)} test signers are never "
            "trained on); name another data set, enter it in the split file, or ask for a split to be made."
        )
    chosen = [record for record in records if record.dataset == dataset and record.signer in wanted]
    if not chosen:
        raise DataError(f"No record of data set {dataset!r} is in its {part} part; check the name and the split.")
    return chosen


def _parse_entry(path: Path, key: str, entry: Any) -> SplitEntry:
    try:
        if "folds" in entry:
            folds = tuple(_signers(fold) for fold in entry["folds"])
            train = tuple(tuple(s for other in folds if other is not fold for s in other) for fold in folds)
            if not folds or len({s for fold in folds for s in fold}) != sum(map(len, folds)):
                raise ValueError("folds must be there and share no signer")
            return SplitEntry(key, train, folds)
        return SplitEntry(key, (_signers(entry.get("train", [])),), (_signers(entry["test"]),))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise DataError(
            f'{path} has a bad entry {key!r} ({error}); write {{"folds": [...]}} or {{"train": [...], "test": [...]}}.'
        ) from error


def _signers(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, int | str) for value in values):
        raise ValueError("signers must be a list of names or numbers")
    return tuple(str(value) for value in values)


def _entry_for(splits: Splits, dataset: str) -> SplitEntry | None:
    keys = [key for key in splits if dataset == key or dataset.startswith(f"{key}-")]
    return splits[max(keys, key=len)] if keys else None


def _made_entry(signers: list[str], dataset: str, seed: int, share: float | None) -> SplitEntry:
    if share is None:
        return SplitEntry(dataset, ((),), (tuple(signers),))
    if not 0 <= share < 1:
        raise DataError(f"A share of {share} test signers cannot be drawn; give a number from 0 to below 1.")
    test = _draw(signers, f"{dataset}/test/{seed}", math.ceil(share * len(signers)))
    return SplitEntry(dataset, (tuple(s for s in signers if s not in test),), (tuple(sorted(test)),))


def _validation_count(trainable: int) -> int:
    wanted = max(MIN_VALIDATION_SIGNERS, math.ceil(trainable * VALIDATION_PERCENT / 100))
    return max(0, min(wanted, trainable - 1))


def _draw(signers: Iterable[str], salt: str, count: int) -> frozenset[str]:
    return frozenset(sorted(signers, key=lambda s: hashlib.sha256(f"{salt}/{s}".encode()).digest())[:count])
