"""Counts and known defects of the research data sets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sigedge.data import (
    Record,
    drop_duplicates,
    load_splits,
    read_any,
    read_bhsig260,
    read_cedar,
    read_index,
    read_sigcomp,
    split_records,
    split_signers,
    training_records,
)

pytestmark = pytest.mark.research_data

# Repetitions of an earlier image, by signer.
HINDI_REPETITIONS = Counter(
    {"107": 6, "122": 6}
    | dict.fromkeys(("11", "51", "84", "109", "115"), 2)
    | dict.fromkeys(("15", "37", "52", "57", "66", "70", "81", "85", "100", "137", "156", "159"), 1)
)


def per_signer(records: list[Record]) -> set[tuple[int, int]]:
    """Distinct pairs of genuine and forged counts."""
    signers = {record.signer for record in records}
    counts = Counter((record.signer, record.label) for record in records)
    return {(counts[signer, "genuine"], counts[signer, "forged"]) for signer in signers}


def test_cedar_has_55_signers_of_48(research_data: Path) -> None:
    records = read_cedar(research_data / "cedar-half", "cedar-half")
    assert len(records) == 2640 and len({r.signer for r in records}) == 55
    assert per_signer(records) == {(24, 24)}
    assert records == read_index(research_data / "index.csv", "cedar-half")


def test_hindi_has_160_signers_of_54(research_data: Path) -> None:
    records = read_bhsig260(research_data / "bhsig260-hindi")
    assert len(records) == 8640 and len({r.signer for r in records}) == 160
    assert per_signer(records) == {(24, 30)}
    assert records == read_index(research_data / "index.csv", "bhsig260-hindi")


def test_nfi_has_292_images_of_30_owners(research_data: Path) -> None:
    records = read_sigcomp(research_data / "sigcomp2009-nfi", "sigcomp2009-nfi")
    assert len(records) == 292 and len({r.signer for r in records}) == 30
    assert records == read_index(research_data / "index.csv", "sigcomp2009-nfi")


@pytest.mark.parametrize("name", ["cedar-half", "cedar-full-sample", "bhsig260-hindi", "sigcomp2009-nfi"])
def test_auto_agrees_with_the_index(research_data: Path, name: str) -> None:
    assert read_any(research_data / name, dataset=name) == read_index(research_data / "index.csv", name)


def test_every_signer_has_one_part(research_data: Path) -> None:
    records = read_any(research_data)
    splits = load_splits(research_data / "splits.json")
    for name in {record.dataset for record in records}:
        parts = split_signers(records, name, splits)
        assert {r.signer for r in records if r.dataset == name} <= parts.of("all")
    cedar, hindi = (split_signers(records, name, splits) for name in ("cedar-half", "bhsig260-hindi"))
    assert (len(cedar.train), len(cedar.validation), len(cedar.test)) == (38, 6, 11)
    assert cedar.validation == {"14", "26", "34", "41", "48", "51"}, "published thresholds rest on this draw"
    assert (len(hindi.train), len(hindi.validation), len(hindi.test)) == (88, 12, 60)


def test_training_records_hold_no_test_signer(research_data: Path) -> None:
    records = read_any(research_data)
    splits = load_splits(research_data / "splits.json")
    names = ["cedar-half", "cedar-full-sample", "bhsig260-hindi"]
    given = training_records(records, names, splits)
    seen = {record.path for record in (*given.train, *given.validation)}
    tested = [r for name in names[::2] for r in split_records(records, name, "test", splits)]
    assert len(seen) > 7000 and not seen & {record.path for record in tested}


def test_hindi_has_31_groups_of_duplicates(research_data: Path) -> None:
    """All of them are among 19 signers; the other 141 are left out to stay quick."""
    records = read_index(research_data / "index.csv", "bhsig260-hindi")
    kept, dropped = drop_duplicates([record for record in records if record.signer in HINDI_REPETITIONS])
    assert Counter(record.signer for record in dropped) == HINDI_REPETITIONS
    assert len(kept) == 19 * 54 - 34
    groups = Counter(record.signer for record in dropped) - Counter({"107": 3})  # three groups there are triples
    assert groups.total() == 31
