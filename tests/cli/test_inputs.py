"""What the user typed, understood or refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.cli.inputs import default_data, expand_images, parse_counts, read_part, read_splits
from sigedge.synthesis import write_dataset
from sigedge_runtime.errors import DataError


@given(st.lists(st.integers(1, 99), min_size=1))
def test_counts_keep_their_order_and_come_once(counts: list[int]) -> None:
    text = ", ".join(map(str, counts))
    assert parse_counts(text, "--refs") == tuple(dict.fromkeys(counts))


@pytest.mark.parametrize("text", ["", "0", "1,", "1,-2", "1;2", "one", "1.5", "²"])
def test_other_lists_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(DataError, match="--refs 1,5,10"):
        parse_counts(text, "--refs")


def test_a_folder_stands_for_its_images_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    single = tmp_path / "absent.png"
    assert expand_images([single, tmp_path]) == [single, tmp_path / "a.jpg", tmp_path / "b.PNG"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without a PNG"):
        expand_images([tmp_path])


def test_research_data_is_found_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGEDGE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"--data or SIGEDGE_DATA"):
        default_data()
    (tmp_path / "index.csv").touch()
    assert default_data() == tmp_path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("synth") / "s", signers=3, genuine=2, forged=1, seed=5)


def test_without_a_split_everybody_is_a_test_signer(dataset: Path) -> None:
    assert read_splits(dataset, None) == {}
    assert len(read_part(dataset, [], "test")) == 9
    with pytest.raises(DataError, match="has a validation part"):
        read_part(dataset, [], "validation")


def test_a_split_file_divides_the_signers(dataset: Path, tmp_path: Path) -> None:
    splits = tmp_path / "splits.json"
    splits.write_text('{"s": {"train": ["signer_0001", "signer_0002"], "test": ["signer_0003"]}}')
    test = read_part(dataset, ["s"], "test", splits=splits)
    assert {record.signer for record in test} == {"signer_0003"}
    validation = read_part(dataset, [], "validation", splits=splits)
    assert len({record.signer for record in validation}) == 1
