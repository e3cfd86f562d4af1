from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sigedge.arm.pictures import ODD, SYNTHETIC, read_scans, write_pictures
from sigedge_runtime import read_image
from sigedge_runtime.errors import DataError

SEED = 5


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list:
    return write_pictures(tmp_path_factory.mktemp("pictures"), 1, SEED)


def digests(pictures: list) -> list[str]:
    return [hashlib.sha256(Path(picture.path).read_bytes()).hexdigest() for picture in pictures]


def test_every_format_and_every_kind_is_there(drawn: list) -> None:
    assert {Path(picture.path).suffix for picture in drawn} == {".png", ".jpg", ".bmp", ".tif", ".webp"}
    assert [picture.source for picture in drawn] == [SYNTHETIC] * 8 + [ODD] * (len(drawn) - 8)
    assert {picture.signer for picture in drawn[:8]} == {"synthetic-0"} and not any(p.signer for p in drawn[8:])


def test_all_of_them_can_be_read_and_no_two_are_alike(drawn: list) -> None:
    shapes = [read_image(picture.path).shape for picture in drawn]
    assert (3000, 4000, 3) in shapes and (8, 8) in shapes
    assert len(set(digests(drawn))) == len(drawn)


def test_the_seed_decides(drawn: list, tmp_path: Path) -> None:
    assert digests(write_pictures(tmp_path / "again", 1, SEED)) == digests(drawn)
    assert digests(write_pictures(tmp_path / "other", 1, SEED + 1))[:8] != digests(drawn)[:8]


def test_scans_are_named_and_not_copied(drawn: list, tmp_path: Path) -> None:
    rows = [f"{picture.path},ours,{n},genuine,1,10,10" for n, picture in enumerate(drawn[:6])]
    index = tmp_path / "index.csv"
    index.write_text("\n".join(["path,dataset,signer,label,sample,width,height", *rows]))
    scans = read_scans(index, 4, SEED)
    assert scans == read_scans(index, 4, SEED) and len({scan.path for scan in scans}) == 4
    assert all(scan.source == "ours" and scan.signer == "" and Path(scan.path).is_file() for scan in scans)
    assert len(read_scans(index, 100, SEED)) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["index.csv"]


def test_an_index_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read_scans(tmp_path / "index.csv", 3, SEED)
