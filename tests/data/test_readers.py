from __future__ import annotations

from pathlib import Path

import pytest

from sigedge.data import (
    LAYOUTS,
    Record,
    read_any,
    read_bhsig260,
    read_cedar,
    read_folders,
    read_index,
    read_sigcomp,
)
from sigedge_runtime.errors import DataError

HEADER = "path,dataset,signer,label,sample,width,height\n"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def summary(records: list[Record]) -> list[tuple[str, str, str, int]]:
    return [(record.path.name, record.signer, record.label, record.sample) for record in records]


def test_cedar_layout(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "full_org/original_10_2.png",
        "full_org/original_2_10.png",
        "full_org/original_2_9.png",
        "full_forg/forgeries_2_1.png",
        "full_org/Thumbs.db",
        "full_org/original_2.png",
        "Readme.txt",
    )
    assert summary(read_cedar(tmp_path)) == [
        ("original_2_9.png", "2", "genuine", 9),
        ("original_2_10.png", "2", "genuine", 10),
        ("forgeries_2_1.png", "2", "forged", 1),
        ("original_10_2.png", "10", "genuine", 2),
    ]
    assert {record.dataset for record in read_cedar(tmp_path)} == {"cedar"}
    assert {record.dataset for record in read_cedar(tmp_path, "cedar-half")} == {"cedar-half"}


def test_bhsig260_layout_tells_the_scripts_apart(tmp_path: Path) -> None:
    touch(tmp_path, "Hindi/003/H-S-3-G-01.tif", "Hindi/003/H-S-003-F-07.tif", "Bengali/003/B-S-3-G-02.tif")
    records = read_bhsig260(tmp_path)
    assert [(r.dataset, r.signer, r.label, r.sample) for r in records] == [
        ("bhsig260-bengali", "3", "genuine", 2),
        ("bhsig260-hindi", "3", "genuine", 1),
        ("bhsig260-hindi", "3", "forged", 7),
    ]


def test_sigcomp_signer_is_whose_signature_is_claimed(tmp_path: Path) -> None:
    touch(tmp_path, "00105001.png", "NFI-01203001.png", "01201012.png", "0120101.png")
    assert summary(read_sigcomp(tmp_path)) == [
        ("00105001.png", "1", "genuine", 5),
        ("NFI-01203001.png", "1", "forged", 3),
        ("01201012.png", "12", "genuine", 1),
    ]


def test_plain_folders_keep_their_names(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "bank",
        "anna/genuine/01.png",
        "anna/forged/scan_02.JPG",
        "anna/genuine/nameless.png",
        "anna/other/03.png",
        "anna/genuine/.hidden4.png",
    )
    records = read_folders(root)
    assert summary(records) == [("01.png", "anna", "genuine", 1), ("scan_02.JPG", "anna", "forged", 2)]
    assert {record.dataset for record in records} == {"bank"}
    assert records[0].identity == "bank/anna"


def test_index_paths_are_relative_to_the_index(tmp_path: Path) -> None:
    index = tmp_path / "deep" / "index.csv"
    index.parent.mkdir()
    index.write_text("\ufeff" + HEADER + "a/b.png,one,7,genuine,1,10,20\nc.png,two,8,forged,2,10,20\n")
    assert read_index(index) == [
        Record(index.parent / "a/b.png", "one", "7", "genuine", 1),
        Record(index.parent / "c.png", "two", "8", "forged", 2),
    ]
    assert [record.dataset for record in read_index(index, "two")] == ["two"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path,dataset\n", "lacks the columns signer, label, sample"),
        (HEADER, "has no rows"),
        (HEADER + "a.png,one,7,fake,1,1,1\n", "line 2 has the label 'fake'"),
        (HEADER + "a.png,one,7,genuine,x,1,1\n", "line 2 needs"),
        (HEADER + "a.png,one\n", "line 2 needs"),
        (HEADER + ",one,7,genuine,1,1,1\n", "line 2 needs"),
    ],
)
def test_bad_index_is_refused_by_name_and_line(tmp_path: Path, content: str, said: str) -> None:
    index = tmp_path / "index.csv"
    index.write_text(content)
    with pytest.raises(DataError, match=said) as caught:
        read_index(index)
    assert str(index) in str(caught.value)


def test_index_that_is_no_text_or_missing(tmp_path: Path) -> None:
    binary = tmp_path / "index.csv"
    binary.write_bytes(b"path,\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as an index"):
        read_index(binary)
    with pytest.raises(DataError, match="cannot be read as an index"):
        read_index(tmp_path / "none.csv")


def test_unknown_data_set_names_the_known_ones(tmp_path: Path) -> None:
    index = tmp_path / "index.csv"
    index.write_text(HEADER + "a.png,one,7,genuine,1,1,1\n")
    with pytest.raises(DataError, match=r"'three'.*are: one"):
        read_index(index, "three")


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("cedar", ["full_org/original_1_1.png", "full_forg/forgeries_1_1.png"]),
        ("bhsig260", ["001/H-S-1-G-01.tif", "001/H-S-1-F-01.tif"]),
        ("sigcomp", ["00101001.png", "00201001.png"]),
        ("folders", ["1/genuine/1.png", "1/forged/1.png"]),
    ],
)
def test_auto_finds_the_layout(tmp_path: Path, layout: str, names: list[str]) -> None:
    touch(tmp_path, *names, "contact-sheet.png")
    assert read_any(tmp_path, dataset="d") == LAYOUTS[layout](tmp_path, "d")
    assert {record.label for record in read_any(tmp_path)} == {"genuine", "forged"}


def test_auto_prefers_an_index(tmp_path: Path) -> None:
    touch(tmp_path, "full_org/original_1_1.png")
    (tmp_path / "index.csv").write_text(HEADER + "x.png,indexed,7,genuine,1,1,1\n")
    assert [record.dataset for record in read_any(tmp_path)] == ["indexed"]
    assert read_any(tmp_path) == read_any(tmp_path / "index.csv")
    assert [record.dataset for record in read_any(tmp_path, "cedar")] == ["cedar"]


def test_what_cannot_be_read_says_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_any(tmp_path / "gone")
    with pytest.raises(DataError, match="no known layout; arrange them"):
        read_any(touch(tmp_path / "photos", "a.png"))
    with pytest.raises(DataError, match="Unknown layout 'mnist'; use one of: auto, index"):
        read_any(tmp_path, "mnist")
    with pytest.raises(DataError, match="holds no image in the cedar layout"):
        read_cedar(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        read_cedar(tmp_path / "gone")
