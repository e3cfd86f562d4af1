from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.data import Record, Splits, load_splits, split_records, split_signers, training_records
from sigedge.data.splits import PARTS, SignerParts
from sigedge_runtime.errors import DataError

Maker = Callable[..., list[Record]]


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    path = tmp_path / "splits.json"
    content = {
        "cedar": {"folds": [list(range(start, 56, 5)) for start in range(1, 6)], "note": "five folds"},
        "bhsig260-hindi": {"train": list(range(1, 101)), "test": list(range(101, 161))},
        "sigcomp2009-nfi": {"test": list(range(1, 31))},
    }
    path.write_text(json.dumps(content))
    return load_splits(path)


@pytest.mark.parametrize(
    ("dataset", "signers", "sizes"),
    [
        ("cedar-half", 55, (38, 6, 11)),
        ("cedar-full-sample", 55, (38, 6, 11)),
        ("cedar", 55, (38, 6, 11)),
        ("bhsig260-hindi", 160, (88, 12, 60)),
        ("sigcomp2009-nfi", 30, (0, 0, 30)),
    ],
)
def test_sizes_of_the_parts(
    splits: Splits, records_of: Maker, dataset: str, signers: int, sizes: tuple[int, int, int]
) -> None:
    parts = split_signers(records_of(dataset, signers), dataset, splits)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == sizes


def test_every_fold_tests_other_signers_and_together_all(splits: Splits) -> None:
    tests = [split_signers([], "cedar-half", splits, fold=fold).test for fold in range(5)]
    assert sum(map(len, tests)) == 55
    assert frozenset().union(*tests) == {str(signer) for signer in range(1, 56)}


def test_copies_of_a_data_set_are_split_alike(splits: Splits) -> None:
    assert split_signers([], "cedar-half", splits) == split_signers([], "cedar-full-sample", splits)


def test_a_prefix_needs_its_hyphen(splits: Splits, records_of: Maker) -> None:
    parts = split_signers(records_of("cedarville", 3), "cedarville", splits)
    assert parts == SignerParts(frozenset(), frozenset(), frozenset({"1", "2", "3"}))


def test_validation_draw_depends_on_the_seed_and_fold_alone(splits: Splits, records_of: Maker) -> None:
    records = records_of("cedar-half", 55)
    first = split_signers(records, "cedar-half", splits)
    assert first == split_signers(records[::-1], "cedar-half", splits)
    assert first == split_signers([], "cedar-half", splits)
    assert first.validation != split_signers(records, "cedar-half", splits, seed=1).validation
    assert first.validation != split_signers(records, "cedar-half", splits, fold=1).validation


def test_split_records_takes_one_data_set_and_part(splits: Splits, records_of: Maker) -> None:
    records = records_of("cedar-half", 55) + records_of("bhsig260-hindi", 160)
    by_part = {part: split_records(records, "cedar-half", part, splits) for part in PARTS}
    assert {record.dataset for chosen in by_part.values() for record in chosen} == {"cedar-half"}
    assert sum(len(by_part[part]) for part in ("train", "validation", "test")) == len(by_part["all"]) == 275


@given(
    signers=st.integers(2, 40),
    share=st.floats(0, 0.99),
    seed=st.integers(0, 5),
)
def test_made_splits_are_disjoint_and_complete(records_of: Maker, signers: int, share: float, seed: int) -> None:
    records = records_of("new", signers)
    parts = split_signers(records, "new", {}, seed=seed, make_split=share)
    assert not parts.train & parts.validation
    assert not parts.test & (parts.train | parts.validation)
    assert parts.of("all") == {record.signer for record in records}
    assert len(parts.test) >= share * signers
    if share == 0:
        assert not parts.test and parts.train and parts.validation


def test_training_never_sees_a_test_signer(splits: Splits, records_of: Maker) -> None:
    names = ["cedar-half", "cedar-full-sample", "bhsig260-hindi"]
    records = [record for name in names for record in records_of(name, 160 if "hindi" in name else 55)]
    for fold in range(5):
        given_out = training_records(records, names, splits, fold=fold)
        tested = {
            (name.split("-")[0], signer)
            for name in names
            for signer in split_signers(records, name, splits, fold=fold).test
        }
        seen = {(r.dataset.split("-")[0], r.signer) for r in (*given_out.train, *given_out.validation)}
        assert seen and not seen & tested
        assert not {r.identity for r in given_out.train} & {r.identity for r in given_out.validation}


@pytest.mark.parametrize("name", ["sigcomp2009-nfi", "unheard-of"])
def test_training_on_test_data_is_refused_with_the_remedy(splits: Splits, records_of: Maker, name: str) -> None:
    records = records_of(name, 30)
    with pytest.raises(DataError, match=r"has no train signers .* name another data set"):
        training_records(records, [name], splits)
    assert len(split_records(records, name, "test", splits)) == len(records)
    assert split_records(records, name, "all", splits) == records


def test_a_split_is_made_on_request_but_not_against_an_entry(splits: Splits, records_of: Maker) -> None:
    made = training_records(records_of("synthetic", 50), ["synthetic"], splits, make_split=0.0)
    assert len({r.signer for r in made.train}) == 44 and len({r.signer for r in made.validation}) == 6
    with pytest.raises(DataError, match="has no train signers"):
        training_records(records_of("sigcomp2009-nfi", 30), ["sigcomp2009-nfi"], splits, make_split=0.2)


def test_a_sample_of_a_data_set_needs_no_validation_signer(splits: Splits, records_of: Maker) -> None:
    sample = [r for r in records_of("cedar-full-sample", 55) if r.signer in ("2", "7")]
    whole = records_of("cedar-half", 55)
    assert not split_signers([], "cedar", splits).validation & {"2", "7"}
    given_out = training_records([*sample, *whole], ["cedar-full-sample", "cedar-half"], splits)
    assert set(sample) <= set(given_out.train)
    with pytest.raises(DataError, match="have no validation signer"):
        training_records(sample, ["cedar-full-sample"], splits)


def test_bad_requests(splits: Splits, records_of: Maker) -> None:
    records = records_of("cedar-half", 55)
    with pytest.raises(DataError, match="no fold 5; choose 0 to 4"):
        split_records(records, "cedar-half", "test", splits, fold=5)
    with pytest.raises(DataError, match="no fold -1"):
        split_records(records, "cedar-half", "test", splits, fold=-1)
    with pytest.raises(DataError, match="Unknown part 'dev'"):
        split_records(records, "cedar-half", "dev", splits)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="No record of data set"):
        split_records([], "cedar-half", "train", splits)
    with pytest.raises(DataError, match="from 0 to below 1"):
        split_signers(records_of("new", 3), "new", {}, make_split=1.0)
    with pytest.raises(DataError, match="name at least one"):
        training_records(records, [], splits)


def test_a_fold_is_ignored_where_there_are_none(splits: Splits) -> None:
    assert split_signers([], "bhsig260-hindi", splits, fold=3) == split_signers([], "bhsig260-hindi", splits)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"a": {}}',
        '{"a": []}',
        '{"a": {"folds": []}}',
        '{"a": {"folds": [[1, 2], [2, 3]]}}',
        '{"a": {"test": "1,2"}}',
        '{"a": {"test": [1.5]}}',
    ],
)
def test_bad_split_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "splits.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"write|give|must") as caught:
        load_splits(path)
    assert str(path) in str(caught.value)


def test_overlapping_parts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    path.write_text('{"a": {"train": [1, 2, 3], "test": [3]}}')
    with pytest.raises(DataError, match="Signers 3 are in two parts"):
        split_signers([], "a", load_splits(path))


def test_missing_split_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json cannot be read"):
        load_splits(tmp_path / "none.json")
