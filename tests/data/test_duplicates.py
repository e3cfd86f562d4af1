from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import Record, drop_duplicates
from sigedge.data.images import pixel_hash, to_grey

Scan = Callable[[int], NDArray[np.uint8]]


def save(folder: Path, name: str, image: NDArray[np.uint8], *where: str) -> Record:
    path = folder / name
    assert cv2.imwrite(str(path), image)
    dataset, signer, label = where or ("d", "1", "genuine")
    return Record(path, dataset, signer, label, 1)  # type: ignore[arg-type]


def test_same_pixels_in_another_format_are_a_duplicate(tmp_path: Path, scan: Scan) -> None:
    first, other = scan(1), scan(2)
    records = [
        save(tmp_path, "a.png", first),
        save(tmp_path, "b.bmp", first),
        save(tmp_path, "c.png", cv2.cvtColor(first, cv2.COLOR_GRAY2BGR)),
        save(tmp_path, "d.png", other),
    ]
    kept, dropped = drop_duplicates(records)
    assert [record.path.name for record in kept] == ["a.png", "d.png"]
    assert [record.path.name for record in dropped] == ["b.bmp", "c.png"]


def test_data_sets_may_share_pictures(tmp_path: Path, scan: Scan) -> None:
    records = [save(tmp_path, f"{name}.png", scan(1), name, "1", "genuine") for name in ("one", "two")]
    assert drop_duplicates(records) == (records, [])


@pytest.mark.parametrize("other", [("d", "2", "genuine"), ("d", "1", "forged")])
def test_a_picture_with_two_labels_or_owners_goes(tmp_path: Path, scan: Scan, other: tuple[str, str, str]) -> None:
    records = [save(tmp_path, "a.png", scan(1)), save(tmp_path, "b.png", scan(1), *other)]
    assert drop_duplicates(records) == ([], records)


def test_unreadable_files_are_left_to_the_next_reader(tmp_path: Path) -> None:
    records = []
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"not an image")
        records.append(Record(tmp_path / name, "d", "1", "genuine", 1))
    assert drop_duplicates(records) == (records, [])


def test_pixel_hash_sees_size_and_values(scan: Scan) -> None:
    page = scan(1)
    assert pixel_hash(page) == pixel_hash(page.copy())
    assert pixel_hash(page) == pixel_hash(np.asfortranarray(page))
    assert pixel_hash(page) != pixel_hash(page.T)
    assert pixel_hash(np.zeros((8, 16), np.uint8)) != pixel_hash(np.zeros((16, 8), np.uint8))
    changed = page.copy()
    changed[5, 5] ^= 1
    assert pixel_hash(page) != pixel_hash(changed)


def test_to_grey_passes_grey_through(scan: Scan) -> None:
    page = scan(3)
    assert to_grey(page) is page
    assert np.array_equal(to_grey(cv2.cvtColor(page, cv2.COLOR_GRAY2BGR)), page)
