"""Data sets of signatures: readers, signer-disjoint splits, duplicates and the canvas cache."""

from __future__ import annotations

from sigedge.data.cache import CanvasCache, CanvasSet
from sigedge.data.duplicates import drop_duplicates
from sigedge.data.images import iter_grey, read_grey
from sigedge.data.progress import track
from sigedge.data.readers import (
    LAYOUTS,
    read_any,
    read_bhsig260,
    read_cedar,
    read_folders,
    read_index,
    read_sigcomp,
)
from sigedge.data.records import ReadReport, Record, SkippedFile, signers_of
from sigedge.data.sheets import cut_signatures
from sigedge.data.splits import (
    SignerParts,
    Splits,
    TrainingRecords,
    load_splits,
    split_records,
    split_signers,
    training_records,
)

__all__ = [
    "LAYOUTS",
    "CanvasCache",
    "CanvasSet",
    "ReadReport",
    "Record",
    "SignerParts",
    "SkippedFile",
    "Splits",
    "TrainingRecords",
    "cut_signatures",
    "drop_duplicates",
    "iter_grey",
    "load_splits",
    "read_any",
    "read_bhsig260",
    "read_cedar",
    "read_folders",
    "read_grey",
    "read_index",
    "read_sigcomp",
    "signers_of",
    "split_records",
    "split_signers",
    "track",
    "training_records",
]
