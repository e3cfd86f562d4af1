"""Readers for the public layouts of signature data sets.

Each reader walks a folder, keeps the image files whose names fit the layout, ignores every other file, and
returns records in natural order. Only names are looked at; no image is opened.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from sigedge.data.records import LABELS, Label, Record, record_order
from sigedge_runtime.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
INDEX_COLUMNS = ("path", "dataset", "signer", "label", "sample")

_CEDAR = re.compile(r"(original|forgeries)_(\d+)_(\d+)")
_BHSIG = re.compile(r"([BH])-S-(\d+)-([GF])-(\d+)")
_SIGCOMP = re.compile(r"(?:NFI-)?(\d{3})(\d{2})(\d{3})")
_BHSIG_SCRIPTS = {"B": "bengali", "H": "hindi"}

FileReader = Callable[[Path, str | None], Record | None]


def read_cedar(root: str | Path, dataset: str | None = None) -> list[Record]:
    """Read CEDAR: ``full_org/original_S_N.png`` and ``full_forg/forgeries_S_N.png``.

    Args:
        root: any folder above the images.
        dataset: name to give the data set; ``"cedar"`` by default.

    Raises:
        DataError: the folder does not exist or holds no such file.
    """
    return _read(Path(root), "cedar", dataset)


def read_bhsig260(root: str | Path, dataset: str | None = None) -> list[Record]:
    """Read BHSig260: ``SSS/H-S-S-G-NN.tif`` (Hindi) and ``SSS/B-S-S-F-NN.tif`` (Bengali).

    Args:
        root: any folder above the images.
        dataset: name to give the data set; ``"bhsig260-hindi"`` and ``"bhsig260-bengali"`` by default.

    Raises:
        DataError: the folder does not exist or holds no such file.
    """
    return _read(Path(root), "bhsig260", dataset)


def read_sigcomp(root: str | Path, dataset: str | None = None) -> list[Record]:
    """Read SigComp2009: ``XXXYYZZZ.png``, writer XXX's sample YY of the signature of ZZZ.

    The signer of a record is ZZZ, whose signature it is or claims to be; it is genuine when XXX equals ZZZ.

    Args:
        root: any folder above the images; a prefix ``NFI-`` is allowed.
        dataset: name to give the data set; ``"sigcomp2009"`` by default.

    Raises:
        DataError: the folder does not exist or holds no such file.
    """
    return _read(Path(root), "sigcomp", dataset)


def read_folders(root: str | Path, dataset: str | None = None) -> list[Record]:
    """Read plain folders: ``signer/genuine/NN.png`` and ``signer/forged/NN.png``.

    Args:
        root: folder of the signers' folders.
        dataset: name to give the data set; the folder's own name by default.

    Raises:
        DataError: the folder does not exist or holds no such file.
    """
    return _read(Path(root), "folders", dataset or Path(root).resolve().name)


def read_index(index: str | Path, dataset: str | None = None) -> list[Record]:
    """Read an index file with the columns path, dataset, signer, label and sample (others are ignored).

    Args:
        index: CSV file; its paths are relative to its own folder.
        dataset: keep only this data set; None keeps all.

    Raises:
        DataError: the file is missing, is no such index, holds a bad row, or has no row of `dataset`.
    """
    index = Path(index)
    records = list(_read_index_rows(index))
    kept = [record for record in records if dataset in (None, record.dataset)]
    if not kept:
        names = ", ".join(sorted({record.dataset for record in records})) or "none"
        wanted = f"rows of data set {dataset!r}" if dataset else "rows"
        raise DataError(f"{index} has no {wanted}; the data sets in it are: {names}.")
    return sorted(kept, key=record_order)


def read_any(path: str | Path, layout: str = "auto", dataset: str | None = None) -> list[Record]:
    """Read a data set in any known layout.

    Args:
        path: an index file, a folder that holds an ``index.csv``, or a data set's folder.
        layout: ``"index"``, ``"cedar"``, ``"bhsig260"``, ``"sigcomp"``, ``"folders"``, or ``"auto"``, which
            takes the index where there is one and else the layout that fits the most files.
        dataset: as in the reader of that layout.

    Raises:
        DataError: the path does not exist, fits no layout, or the layout is unknown.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist; give the folder of a data set or its index.csv.")
    if layout == "auto":
        layout = _detect(path)
    if layout not in LAYOUTS:
        raise DataError(f"Unknown layout {layout!r}; use one of: auto, {', '.join(LAYOUTS)}.")
    return LAYOUTS[layout](path, dataset)


def _read_index_or_folder(path: Path, dataset: str | None) -> list[Record]:
    return read_index(path / "index.csv" if path.is_dir() else path, dataset)


LAYOUTS: dict[str, Callable[[Path, str | None], list[Record]]] = {
    "index": _read_index_or_folder,
    "cedar": read_cedar,
    "bhsig260": read_bhsig260,
    "sigcomp": read_sigcomp,
    "folders": read_folders,
}


def _detect(path: Path) -> str:
    if path.is_file() or (path / "index.csv").is_file():
        return "index"
    images = list(_images(path))
    fits = {name: sum(read(image, None) is not None for image in images) for name, read in _FILE_READERS.items()}
    best = max(fits, key=lambda name: fits[name])
    if fits[best] == 0:
        raise DataError(
            f"{path} holds {len(images)} images in no known layout; "
            "arrange them as signer/genuine/NN.png and signer/forged/NN.png, or write an index.csv."
        )
    return best


def _read(root: Path, layout: str, dataset: str | None) -> list[Record]:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give the folder that holds the {layout} images.")
    parsed = (_FILE_READERS[layout](image, dataset) for image in _images(root))
    records = [record for record in parsed if record is not None]
    if not records:
        raise DataError(f"{root} holds no image in the {layout} layout; check the path or choose another layout.")
    return sorted(records, key=record_order)


def _images(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            yield path


def _cedar_file(path: Path, dataset: str | None) -> Record | None:
    match = _CEDAR.fullmatch(path.stem)
    if match is None:
        return None
    label: Label = "genuine" if match[1] == "original" else "forged"
    return Record(path, dataset or "cedar", str(int(match[2])), label, int(match[3]))


def _bhsig260_file(path: Path, dataset: str | None) -> Record | None:
    match = _BHSIG.fullmatch(path.stem)
    if match is None:
        return None
    label: Label = "genuine" if match[3] == "G" else "forged"
    name = dataset or f"bhsig260-{_BHSIG_SCRIPTS[match[1]]}"
    return Record(path, name, str(int(match[2])), label, int(match[4]))


def _sigcomp_file(path: Path, dataset: str | None) -> Record | None:
    match = _SIGCOMP.fullmatch(path.stem)
    if match is None:
        return None
    label: Label = "genuine" if match[1] == match[3] else "forged"
    return Record(path, dataset or "sigcomp2009", str(int(match[3])), label, int(match[2]))


def _folders_file(path: Path, dataset: str | None) -> Record | None:
    label, signer = path.parent.name, path.parent.parent.name
    number = re.search(r"(\d+)$", path.stem)
    if label not in LABELS or not signer or number is None:
        return None
    return Record(path, dataset or path.parent.parent.parent.name, signer, label, int(number[1]))


_FILE_READERS: dict[str, FileReader] = {
    "cedar": _cedar_file,
    "bhsig260": _bhsig260_file,
    "sigcomp": _sigcomp_file,
    "folders": _folders_file,
}


def _read_index_rows(index: Path) -> Iterator[Record]:
    try:
        with index.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in INDEX_COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{index} lacks the columns {', '.join(missing)}; an index needs them all.")
            for row in reader:
                yield _index_row(index, reader.line_num, row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{index} cannot be read as an index ({error}); give a UTF-8 CSV file.") from error


def _index_row(index: Path, line: int, row: dict[str, str | None]) -> Record:
    label, sample = row["label"], row["sample"] or ""
    if not row["path"] or not row["dataset"] or not row["signer"] or not sample.isdecimal():
        raise DataError(f"{index} line {line} needs a path, a data set, a signer and a sample number.")
    for known in LABELS:
        if label == known:
            return Record(index.parent / row["path"], row["dataset"], row["signer"], known, int(sample))
    raise DataError(f"{index} line {line} has the label {label!r}; write genuine or forged.")
