"""Labels from folders and from XXXYYZZZ names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.systems.signauth.labels import NOBODY, has_labels, read_labelled
from sigedge.systems.signauth.samples import shares
from sigedge_runtime.errors import DataError


def make(folder: Path, *names: str) -> Path:
    """Only names are looked at."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def labels(folder: Path) -> dict[str, tuple[str, bool]]:
    found = read_labelled(folder, "mine").records
    return {record.path.relative_to(folder).as_posix(): (record.signer, record.genuine) for record in found}


def test_a_name_tells_whose_it_is_and_who_wrote_it(tmp_path: Path) -> None:
    folder = make(tmp_path, "00301003.png", "01202003.png", "NFI-00404004.png")
    assert labels(folder) == {
        "00301003.png": ("003", True),
        "01202003.png": ("003", False),
        "NFI-00404004.png": ("004", True),
    }


def test_a_folder_is_the_label(tmp_path: Path) -> None:
    folder = make(tmp_path, "ada/1.png", "ada/scan.JPG", "bob/genuine/01.png", "bob/forged/01.png", "unknown/x.png")
    assert labels(folder) == {
        "ada/1.png": ("ada", True),
        "ada/scan.JPG": ("ada", True),
        "bob/genuine/01.png": ("bob", True),
        "bob/forged/01.png": ("bob", False),
        "unknown/x.png": (NOBODY, True),
    }


def test_a_forgery_in_the_folder_of_its_victim_is_no_genuine_sample(tmp_path: Path) -> None:
    folder = make(tmp_path, "003/00301003.png", "003/01201003.png", "anna/01201003.png")
    found = labels(folder)
    assert found["003/00301003.png"] == ("003", True)
    assert found["003/01201003.png"] == ("003", False)
    assert found["anna/01201003.png"] == ("anna", True)


def test_an_image_without_a_label_is_named_and_left_out(tmp_path: Path) -> None:
    found = read_labelled(make(tmp_path, "ada/1.png", "holiday.png", "notes.txt", ".hidden.png"), "mine")
    assert [record.path.name for record in found.records] == ["1.png"]
    assert [(file.path.name, "no label" in file.reason) for file in found.skipped] == [("holiday.png", True)]


def test_a_folder_without_a_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image with a label"):
        read_labelled(make(tmp_path, "holiday.png"), "mine")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        read_labelled(tmp_path / "train", "mine")
    assert not has_labels(tmp_path)


@given(st.integers(1, 500), st.booleans())
def test_every_part_has_its_share(count: int, test: bool) -> None:
    train, validation, tested = shares(count, test=test)
    assert min(train, validation, tested) >= 0 and validation >= 1
    assert (tested >= 1) == test
    if count >= 3:
        assert train + validation + tested == count and train >= 1


def test_the_sigcomp_names_of_the_research_data_are_read(research_data: Path) -> None:
    found = read_labelled(research_data / "sigcomp2009-nfi", "nfi").records
    assert len(found) == 292 and sum(record.genuine for record in found) == 146
    assert len({record.signer for record in found}) == 30
