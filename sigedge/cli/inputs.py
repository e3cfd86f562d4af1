"""Reading what the user typed: image arguments, lists of numbers, data sets, and what parity is measured on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigedge.data import Record, Splits
    from sigedge.data.splits import Part
    from sigedge_export import ParitySet
    from sigedge_runtime.bundle import Bundle
    from sigedge_runtime.preprocessing import PreprocessSpec

WEIGHTS = Path("models") / "weights"
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


def expand_images(paths: Iterable[Path]) -> list[Path]:
    """The images that `paths` name: files as they are, folders as their images in name order.

    Raises:
        DataError: a folder holds no image.
    """
    from sigedge_runtime.errors import DataError

    images: list[Path] = []
    for path in paths:
        if not path.is_dir():
            images.append(path)
            continue
        found = sorted(child for child in path.iterdir() if child.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise DataError(f"{path} is a folder without a PNG, JPEG, BMP, TIFF or WebP image; name one that has some.")
        images += found
    return images


def require_store(path: Path) -> None:
    """Refuse to look a user up in a store that is not there; opening it would make an empty one.

    Raises:
        StoreError: there is no such file.
    """
    from sigedge_runtime.errors import StoreError

    if not path.is_file():
        raise StoreError(f"{path} is no template store; check the path, or make one with `sigedge enroll`.")


def parse_counts(text: str, option: str) -> tuple[int, ...]:
    """Positive integers from a comma-separated list, in order, each once.

    Raises:
        DataError: something else stands in the list.
    """
    from sigedge_runtime.errors import DataError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise DataError(f"{option} {text!r} is no list of positive numbers; write for example {option} 1,5,10.")
    return tuple(dict.fromkeys(int(part) for part in parts))


def default_data() -> Path:
    """Folder of the research data sets: the variable SIGEDGE_DATA, else ../shared/data.

    Raises:
        DataError: there is no index.csv in it.
    """
    from sigedge_runtime.errors import DataError

    folder = Path(os.environ.get("SIGEDGE_DATA") or Path("..") / "shared" / "data")
    if not (folder / "index.csv").is_file():
        raise DataError(f"{folder} holds no index.csv; name the folder of the data sets with --data or SIGEDGE_DATA.")
    return folder


def read_part(
    index: Path, datasets: Sequence[str], part: Part, *, splits: Path | None = None, fold: int = 0
) -> list[Record]:
    """Records of one part of the split, of some data sets.

    Args:
        index: index file, or folder of a data set in a known layout.
        datasets: names; none takes every data set that has the part.
        part: "train", "validation", "test" or "all".
        splits: split file; None takes splits.json beside the index, or none where there is none.
        fold: which fold is the test part.

    Raises:
        DataError: the index or split cannot be used, or a named data set has no such part.
    """
    from sigedge.data import read_any, split_records, split_signers
    from sigedge.data.splits import PARTS
    from sigedge_runtime.errors import DataError

    if part not in PARTS:
        raise DataError(f"There is no part {part!r} of a split; choose one of {', '.join(PARTS)}.")
    records = read_any(index)
    known = read_splits(index, splits)
    names = datasets or [
        name
        for name in sorted({record.dataset for record in records})
        if split_signers(records, name, known, fold=fold).of(part)
    ]
    if not names:
        raise DataError(f"No data set of {index} has a {part} part; name another index or another part.")
    return [record for name in names for record in split_records(records, name, part, known, fold=fold)]


def read_splits(index: Path, splits: Path | None) -> Splits:
    """The split file `splits`; without one, splits.json beside the index; without that, no split.

    Raises:
        DataError: the file cannot be read or is no split file.
    """
    from sigedge.data import load_splits

    beside = (index if index.is_dir() else index.parent) / "splits.json"
    if splits is None and not beside.is_file():
        return {}
    return load_splits(splits or beside)


def parity_part(split: str, index: Path | None) -> Part:
    """The part of the split that was asked for.

    Raises:
        DataError: it is neither validation nor test, or synthetic signers are asked for a test part.
    """
    from sigedge_runtime.errors import DataError

    if split == "validation":
        return "validation"
    if split != "test":
        raise DataError(f"Parity is measured on the split validation or test, not {split!r}; choose one of them.")
    if index is None:
        raise DataError("Synthetic signers have no test part; name real ones with --index, or leave --split out.")
    return "test"


def parity_set(
    index: Path | None,
    datasets: list[str],
    spec: PreprocessSpec,
    *,
    splits: Path | None,
    fold: int,
    part: Part = "validation",
) -> ParitySet:
    """Signers of one part of real data sets, or synthetic signers when no index is given.

    Raises:
        DataError: the index has no such data set or part, or no usable image.
    """
    from sigedge.export_inputs import parity_set_from_records, synthetic_parity_set

    if index is None:
        return synthetic_parity_set(spec=spec)
    records = read_part(index, datasets, part, splits=splits, fold=fold)
    names = ", ".join(sorted({record.dataset for record in records}))
    return parity_set_from_records(records, f"{part} signers of {names}", spec)


def parity_meta(bundle: Bundle) -> dict[str, Any]:
    """Date, machine, versions, seed and what was compared."""
    from sigedge.evaluation.results import provenance
    from sigedge.export_inputs import PARITY_SEED

    model = bundle.manifest.model
    described = {"name": model.name, "version": model.version, "checkpoint_sha256": model.checkpoint_sha256}
    hashes = {artifact.name: artifact.sha256 for artifact in bundle.manifest.artifacts}
    return provenance(model=described, artifacts=hashes, seed=PARITY_SEED)


def find_checkpoint(bundle: Bundle, checkpoint: Path | None) -> Path:
    """The checkpoint a bundle was made from.

    Raises:
        CheckpointError: it is not there, or is another one.
    """
    from sigedge_runtime.bundle import hash_file
    from sigedge_runtime.errors import CheckpointError

    model = bundle.manifest.model
    path = checkpoint or WEIGHTS / f"{model.name}.safetensors"
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}; name the one of {model.name} with --checkpoint.")
    if hash_file(path) != model.checkpoint_sha256:
        raise CheckpointError(
            f"{path} is not the checkpoint that the bundle {model.name} {model.version} was exported from; "
            "name that one with --checkpoint, or export the bundle again."
        )
    return path
