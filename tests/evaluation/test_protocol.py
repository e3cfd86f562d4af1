from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.data import Record
from sigedge.evaluation.protocol import Protocol, item_name, make_protocol
from sigedge_runtime.errors import DataError

Known = Callable[..., tuple[list[Record], object]]


def named(protocol: Protocol) -> list[tuple[object, ...]]:
    """Draws by item names, to compare protocols of records in different order."""

    def names(rows: tuple[int, ...]) -> frozenset[str]:
        return frozenset(protocol.items[row] for row in rows)

    return sorted(
        (draw.signer, sorted(names(draw.references)), names(draw.genuine), names(draw.skilled), names(draw.random))
        for draw in protocol.draws
    )


def test_one_reference_tries_every_pair_once(known: Known) -> None:
    records, _ = known(signers=5, genuine=6, forged=4)
    protocol = make_protocol(records, 1)
    genuine = [frozenset((draw.references[0], q)) for draw in protocol.draws for q in draw.genuine]
    expected = {
        frozenset(pair)
        for signer in range(1, 6)
        for pair in combinations([i for i, r in enumerate(records) if r.genuine and r.signer == str(signer)], 2)
    }
    assert len(genuine) == len(set(genuine)) and set(genuine) == expected
    skilled = {(draw.references[0], q) for draw in protocol.draws for q in draw.skilled}
    assert len(skilled) == sum(len(draw.skilled) for draw in protocol.draws) == 5 * 6 * 4


@given(references=st.integers(1, 7), seed=st.integers(0, 20), genuine=st.integers(2, 9), forged=st.integers(0, 4))
def test_what_every_draw_promises(known: Known, references: int, seed: int, genuine: int, forged: int) -> None:
    records, _ = known(signers=4, genuine=genuine, forged=forged)
    protocol = make_protocol(records, references, seed=seed)
    assert bool(protocol.draws) == (genuine > references)
    assert len(protocol.left_out) == (0 if genuine > references else 4)
    for draw in protocol.draws:
        owners = {records[row].identity for row in (*draw.references, *draw.genuine, *draw.skilled)}
        assert owners == {draw.signer}
        assert len(set(draw.references)) == references
        assert all(records[row].genuine for row in (*draw.references, *draw.genuine, *draw.random))
        assert not any(records[row].genuine for row in draw.skilled) and len(draw.skilled) == forged
        assert not set(draw.references) & set(draw.genuine)
        assert sorted(records[row].signer for row in draw.random) == sorted(
            {r.signer for r in records} - {draw.signer.split("/")[1]}
        )
        if references > 1:
            assert len(draw.genuine) == genuine - references


def test_twenty_draws_or_every_choice(known: Known) -> None:
    records, _ = known(signers=3, genuine=8, forged=2)
    assert len(make_protocol(records, 3).draws) == 3 * 20
    assert len(make_protocol(records, 7).draws) == 3 * 8
    few, _ = known(signers=3, genuine=5, forged=2)
    protocol = make_protocol(few, 3)
    assert len(protocol.draws) == len({draw.references for draw in protocol.draws}) == 3 * 10


def test_draws_depend_on_the_seed_and_not_on_the_order(known: Known) -> None:
    records, _ = known(genuine=12)
    first = make_protocol(records, 5, seed=1)
    assert named(first) == named(make_protocol(records[::-1], 5, seed=1))
    assert first == make_protocol(records, 5, seed=1)
    assert named(first) != named(make_protocol(records, 5, seed=2))


def test_a_signer_more_leaves_the_other_references_alone(known: Known) -> None:
    more, _ = known(signers=7, genuine=12)
    fewer = [record for record in more if record.signer != "7"]
    kept = [draw.references for draw in make_protocol(more, 5).draws if draw.signer != "drawn/7"]
    assert kept == [draw.references for draw in make_protocol(fewer, 5).draws]


def test_signers_of_two_data_sets_are_two_people(known: Known) -> None:
    one, _ = known(signers=2, genuine=4, forged=1)
    other = [replace(record, dataset="else") for record in one]
    protocol = make_protocol(one + other, 2)
    assert protocol.signers == ("drawn/1", "drawn/2", "else/1", "else/2")
    assert all(len(draw.random) == 3 for draw in protocol.draws)


def test_few_samples_and_lone_signers(known: Known) -> None:
    records, _ = known(signers=3, genuine=6, forged=2)
    thin = [r for r in records if r.signer != "2" or (r.genuine and r.sample <= 2) or not r.genuine]
    protocol = make_protocol(thin, 3)
    assert protocol.left_out == ("drawn/2",) and protocol.signers == ("drawn/1", "drawn/3")
    assert all(len(draw.random) == 2 for draw in protocol.draws), "a signer left out still gives random forgeries"
    alone = make_protocol([r for r in records if r.signer == "1"], 1)
    assert all(draw.random == () for draw in alone.draws)
    without = make_protocol([r for r in records if r.genuine or r.signer != "3"], 1)
    assert {len(draw.skilled) for draw in without.draws if draw.signer == "drawn/3"} == {0}
    forged_only = make_protocol([r for r in records if not r.genuine or r.signer != "3"], 1)
    assert forged_only.left_out == ("drawn/3",)


def test_storing_and_reading_back(known: Known) -> None:
    records, _ = known(genuine=7)
    protocol = make_protocol(records, 3, seed=5)
    stored = protocol.to_json()
    assert Protocol.from_json(stored) == protocol
    assert json.loads(stored)["items"][0] == item_name(records[0]) == "drawn/1/genuine/01.png"
    protocol.require_items(records)
    with pytest.raises(DataError, match="drawn from other records"):
        protocol.require_items(records[1:])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 2}', '{"format_version": 1, "draws": [{}]}'])
def test_what_is_no_stored_protocol(text: str) -> None:
    with pytest.raises(DataError, match="no stored protocol"):
        Protocol.from_json(text)


def test_nothing_to_draw_from(known: Known) -> None:
    records, _ = known()
    with pytest.raises(DataError, match="no record to evaluate"):
        make_protocol([], 1)
    with pytest.raises(DataError, match="ask for at least 1"):
        make_protocol(records, 0)
    with pytest.raises(DataError, match="ask for at least 1"):
        make_protocol(records, 2, draws=0)
