"""What sigedge knows of one image of a signature data set, and of the files it could not read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sigedge_runtime.errors import DataError

Label = Literal["genuine", "forged"]
LABELS: tuple[Label, ...] = get_args(Label)

_SHOWN_FILES = 5


@dataclass(frozen=True)
class Record:
    """One image of a data set.

    Attributes:
        path: the image file.
        dataset: name of the data set, e.g. ``"cedar-half"``.
        signer: whose signature the image shows or claims to show; a forgery belongs to its victim.
        label: ``"genuine"`` or ``"forged"`` (a skilled forgery).
        sample: number of the sample; unique only together with the path (two forgers may use one number).
    """

    path: Path
    dataset: str
    signer: str
    label: Label
    sample: int

    @property
    def genuine(self) -> bool:
        """True for a genuine signature."""
        return self.label == "genuine"

    @property
    def identity(self) -> str:
        """``dataset/signer``: two data sets may both have a signer 1, who are different people."""
        return f"{self.dataset}/{self.signer}"


def record_order(record: Record) -> tuple[str, list[tuple[int, str]], str, int, str]:
    """Sort key that puts signer 2 before signer 10 and genuine samples before forged ones."""
    label = "0" if record.genuine else "1"
    return record.dataset, natural_order(record.signer), label, record.sample, str(record.path)


def natural_order(text: str) -> list[tuple[int, str]]:
    """Sort key that compares runs of digits as numbers."""
    return [(int(run), "") if run.isdecimal() else (-1, run) for run in re.findall(r"\d+|\D+", text)]


@dataclass(frozen=True)
class SkippedFile:
    """A file that was left out, with the reason as a sentence."""

    path: Path
    reason: str


@dataclass(frozen=True)
class ReadReport:
    """How reading many images went.

    Attributes:
        read: number of images read.
        skipped: the files left out, in the order they were met.
    """

    read: int
    skipped: tuple[SkippedFile, ...] = ()

    def summary(self) -> str:
        """One line for a person: how many were read, and the first skipped files by name."""
        line = f"read {self.read} of {self.read + len(self.skipped)} images"
        if not self.skipped:
            return line
        named = "; ".join(f"{file.path}: {file.reason}" for file in self.skipped[:_SHOWN_FILES])
        more = len(self.skipped) - _SHOWN_FILES
        return f"{line}, skipped {len(self.skipped)}: {named}" + (f"; and {more} more" if more > 0 else "")

    def require_any(self) -> None:
        """Raise `DataError` when not one image could be read."""
        if self.read == 0:
            raise DataError(f"No image could be read ({self.summary()}); replace or remove the unreadable files.")


def signers_of(records: Iterable[Record]) -> list[str]:
    """The distinct signers of some records, in natural order."""
    return sorted({record.signer for record in records}, key=natural_order)
