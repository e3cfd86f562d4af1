"""Triplets and pairs: they are what they say, balanced, repeatable, and honest about whom they leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.data import CanvasCache, Record, load_splits, read_any, read_index, split_records
from sigedge.data.pairs import Duplet, Prepared, Triplet, make_duplets, make_triplets, random_images
from sigedge_runtime.errors import DataError


def hands(**sizes: tuple[int, int]) -> list[Record]:
    """Records of signers by name, with so many genuine samples and forgeries."""
    return [
        Record(Path(f"{signer}/{label}/{sample}.png"), "drawn", signer, label, sample)  # type: ignore[arg-type]
        for signer, counts in sizes.items()
        for label, count in zip(("genuine", "forged"), counts, strict=True)
        for sample in range(count)
    ]


def check_triplets(prepared: Prepared[Triplet]) -> None:
    for triplet in prepared.items:
        assert triplet.anchor.genuine and triplet.positive.genuine
        assert triplet.anchor.identity == triplet.positive.identity
        assert triplet.anchor != triplet.positive
        assert not Duplet(triplet.anchor, triplet.negative).genuine


class TestRandomImages:
    def test_every_signer_comes_before_any_comes_again(self) -> None:
        drawn = random_images(hands(a=(9, 0), b=(2, 0), c=(1, 1)), 7)
        assert {record.signer for record in drawn[:3]} == {"a", "b", "c"}
        assert Counter(record.signer for record in drawn) == {"a": 3, "b": 2, "c": 2}

    def test_are_a_function_of_the_seed_and_not_of_the_order(self) -> None:
        records = hands(a=(9, 3), b=(9, 3))
        assert random_images(records, 5) == random_images(records[::-1], 5)
        assert random_images(records, 5) != random_images(records, 5, seed=1)

    def test_no_image_comes_twice(self) -> None:
        records = hands(a=(3, 2), b=(1, 1))
        assert sorted(map(str, random_images(records, 99))) == sorted(map(str, records))

    @pytest.mark.parametrize(("records", "count"), [([], 3), (hands(a=(2, 0)), 0)])
    def test_nothing_to_draw_is_an_error(self, records: list[Record], count: int) -> None:
        with pytest.raises(DataError, match="cannot be drawn"):
            random_images(records, count)


class TestTriplets:
    @given(st.integers(0, 2**32 - 1), st.sampled_from(["skilled", "random", "both"]))
    def test_are_of_one_signer_but_for_the_negative(self, seed: int, negatives: str) -> None:
        made = make_triplets(hands(a=(5, 3), b=(4, 2), c=(2, 6)), per_signer=8, negatives=negatives, seed=seed)  # type: ignore[arg-type]
        check_triplets(made)
        assert Counter(triplet.anchor.signer for triplet in made.items) == {"a": 8, "b": 6, "c": 1}
        assert not made.left_out

    def test_negatives_are_of_the_kind_asked_for(self) -> None:
        records = hands(a=(6, 3), b=(6, 3))
        skilled, random, both = (
            [
                triplet.negative.genuine
                for triplet in make_triplets(records, per_signer=10, negatives=kind).items  # type: ignore[arg-type]
            ]
            for kind in ("skilled", "random", "both")
        )
        assert not any(skilled) and all(random)
        assert sum(both) == len(both) / 2

    def test_all_forgeries_are_used_before_any_is_used_again(self) -> None:
        made = make_triplets(hands(a=(8, 7)), per_signer=14, negatives="skilled")
        assert set(Counter(triplet.negative for triplet in made.items).values()) == {2}

    def test_are_a_function_of_the_seed_and_not_of_the_order(self) -> None:
        records = hands(a=(6, 4), b=(6, 4))
        assert make_triplets(records).items == make_triplets(records[::-1]).items
        assert make_triplets(records).items != make_triplets(records, seed=1).items

    def test_another_signer_does_not_change_whose_forgeries_are_drawn(self) -> None:
        alone = make_triplets(hands(a=(6, 4)), negatives="skilled").items
        assert make_triplets(hands(a=(6, 4), b=(3, 3)), negatives="skilled").items[: len(alone)] == alone

    def test_one_image_is_too_few_and_is_reported(self) -> None:
        made = make_triplets(hands(a=(5, 3), b=(1, 3), c=(0, 4)))
        assert made.left_out == dict.fromkeys(["drawn/b", "drawn/c"], "fewer than 2 genuine samples")
        assert made.summary() == (
            "10 drawn, left out 2: drawn/b has fewer than 2 genuine samples; drawn/c has fewer than 2 genuine samples"
        )

    def test_signers_without_forgeries_are_reported_or_get_random_ones(self) -> None:
        records = hands(a=(5, 0), b=(5, 2))
        assert make_triplets(records, negatives="skilled").left_out == {"drawn/a": "no forgery"}
        both = make_triplets(records, negatives="both")
        assert not both.left_out and make_triplets(records).summary() == "20 drawn"
        assert all(t.negative.signer == "b" and t.negative.genuine for t in both.items if t.anchor.signer == "a")

    @pytest.mark.parametrize(
        ("records", "negatives", "message"),
        [
            (hands(a=(5, 0), b=(5, 0)), "skilled", r"drawn/a has no forgery.*all 2 signers.*forged/NN\.png"),
            (hands(a=(1, 3), b=(1, 3)), "both", "drawn/a has fewer than 2 genuine samples"),
            (hands(a=(4, 0)), "both", "drawn/a has no signature by anybody else"),
            ([], "both", "nobody to draw of"),
            (hands(a=(4, 4)), "nosuch", "Unknown negatives 'nosuch'; use one of: skilled, random, both"),
        ],
    )
    def test_nobody_left_is_an_error_that_says_what_is_missing(
        self, records: list[Record], negatives: str, message: str
    ) -> None:
        with pytest.raises(DataError, match=message):
            make_triplets(records, negatives=negatives)  # type: ignore[arg-type]


class TestDuplets:
    def test_half_are_genuine(self) -> None:
        made = make_duplets(hands(a=(6, 3), b=(3, 3)), per_signer=10)
        assert Counter((d.reference.signer, d.genuine) for d in made.items) == {
            ("a", True): 10,
            ("a", False): 10,
            ("b", True): 3,
            ("b", False): 3,
        }

    @given(st.integers(0, 2**32 - 1))
    def test_the_reference_is_always_genuine_and_never_itself(self, seed: int) -> None:
        for duplet in make_duplets(hands(a=(4, 2), b=(3, 1)), seed=seed).items:
            assert duplet.reference.genuine
            assert duplet.reference != duplet.questioned

    def test_same_number_in_two_data_sets_is_not_the_same_hand(self) -> None:
        first, second = (Record(Path(f"{name}.png"), name, "1", "genuine", 1) for name in ("cedar", "hindi"))
        assert not Duplet(first, second).genuine

    def test_a_folder_becomes_pairs(self, folder_set: Path) -> None:
        made = make_duplets(read_any(folder_set), negatives="skilled")
        assert len(made.items) == 3 * 2 * 6
        assert {Path(d.questioned.path).parent.name for d in made.items if not d.genuine} == {"forged"}

    def test_an_unreadable_file_is_named_and_left_out_of_the_pairs(self, folder_set: Path, tmp_path: Path) -> None:
        broken = folder_set / "person1" / "genuine" / "02.png"
        broken.write_bytes(b"no image")
        found = CanvasCache(tmp_path / "cache").canvases(read_any(folder_set))
        assert [file.path for file in found.report.skipped] == [broken]
        used = {record.path for d in make_duplets(found.records).items for record in (d.reference, d.questioned)}
        assert broken not in used and used <= {record.path for record in found.records}

    def test_without_forgeries_says_what_to_add(self, folder_set: Path) -> None:
        for forged in folder_set.glob("*/forged/*.png"):
            forged.unlink()
        with pytest.raises(DataError, match=r"no forgery.*ask for negatives \"both\""):
            make_duplets(read_any(folder_set), negatives="skilled")


@pytest.mark.research_data
def test_real_signers_of_training_make_triplets_and_pairs(
    research_data: Path, records_of: Callable[..., list[Record]]
) -> None:
    records = read_index(research_data / "index.csv", "bhsig260-hindi")
    training = split_records(records, "bhsig260-hindi", "train", load_splits(research_data / "splits.json"))
    triplets = make_triplets(training, per_signer=20)
    check_triplets(triplets)
    assert not triplets.left_out
    assert len(triplets.items) == 20 * len({record.signer for record in training})
    pairs = make_duplets(training, per_signer=20, negatives="skilled").items
    assert sum(pair.genuine for pair in pairs) == len(pairs) / 2
