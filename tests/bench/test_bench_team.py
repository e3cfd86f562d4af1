"""Contestants in processes of their own that take turns."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.bench.contestants import OURS, PEER, Contestant, load_maker, peers_of
from sigedge.bench.entries import combinations, flagship, floor_of, our_contestants
from sigedge.bench.images import write_scans
from sigedge.bench.options import BenchOptions
from sigedge.bench.rows import row
from sigedge.bench.team import Images, Member, MemberError, block, orders, processors
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import DataError

PEER_FILE = Path(__file__).with_name("tiny_peer.py")


@pytest.fixture
def images(tmp_path: Path) -> Images:
    rng = np.random.default_rng(0)
    return write_scans(tmp_path, [rng.integers(0, 255, (12, 16), np.uint8) for _ in range(5)], references=3)


def quarters(parts: int = 2) -> Contestant:
    return Contestant("quarters", PEER, str(PEER_FILE), {"parts": parts}, facts={"engine": "numpy"})


def test_a_member_verifies_when_it_is_told_to(images: Images, tmp_path: Path) -> None:
    with Member(quarters(), images, tmp_path) as member:
        assert member.probe() > 0 and not member.turns.rounds, "a probe is not counted"
        member.turn(4, warm_up=2)
        member.turn(3, warm_up=0)
        member.finish()
    assert [len(taken["total"]) for taken in member.turns.rounds] == [4, 3]
    for taken in member.turns.rounds:
        assert set(taken) == {"preprocess", "infer", "match", "total"}
        parts = np.sum([taken[stage] for stage in ("preprocess", "infer", "match")], axis=0)
        assert np.all(parts <= np.array(taken["total"])) and min(map(min, taken.values())) >= 0
    assert all(0 <= share <= 1 for share in member.turns.waited)
    assert member.peak_rss_mb > 5 and member.selftest is None
    (start,) = member.cold_starts
    assert start["process"] > start["import"] + start["load"] + start["first_run"] > 0


def test_a_row_says_who_and_how_long(images: Images, tmp_path: Path) -> None:
    with Member(quarters(), images, tmp_path) as member:
        member.turn(5, warm_up=0)
        member.finish()
    found = row(member)
    assert found["contestant"] == "quarters" and found["kind"] == PEER and found["engine"] == "numpy"
    assert found["stages_ms"]["total"]["n"] == 5 and found["stages_ms"]["decode"]["max"] == 0
    spread = found["percentiles_ms"]
    assert len(spread) == 101 and all(a <= b for a, b in pairwise(spread))
    assert spread[100] == pytest.approx(found["stages_ms"]["total"]["max"], abs=1e-3)


def test_a_batch_tells_a_rate_and_the_way(images: Images, tmp_path: Path) -> None:
    with Member(quarters(), images, tmp_path) as member:
        answer = member.batch(10, threads=2)
    assert answer["per_second"] > 0 and "2 threads" in answer["way"]


def test_who_does_not_run_says_why(images: Images, tmp_path: Path) -> None:
    with pytest.raises(MemberError, match="parts must be at least 1"):
        Member(quarters(parts=0), images, tmp_path)


def test_who_ends_early_is_noticed(images: Images, tmp_path: Path) -> None:
    with Member(quarters(), images, tmp_path, serve=False) as member:
        member._process.wait()
        with pytest.raises(MemberError, match="without a word"):
            member.turn(1, warm_up=0)


@given(st.integers(1, 6), st.integers(0, 8))
def test_everybody_has_a_turn_each_round(members: int, rounds: int) -> None:
    found = list(orders(members, rounds))
    assert len(found) == rounds and all(sorted(order) == list(range(members)) for order in found)


@given(st.floats(1e-4, 1e4), st.integers(1, 10_000), st.integers(1, 200), st.floats(1, 500))
def test_a_turn_holds_its_share_unless_it_gets_too_long(one: float, repeats: int, rounds: int, longest: float) -> None:
    count = block(one, repeats, rounds, longest)
    assert count >= 1 and count <= -(-repeats // rounds)
    assert count == 1 or count * one <= longest * 1.0001


def test_processors_are_those_that_may_be_used() -> None:
    assert len(processors(1)) <= 1 and len(processors(10_000)) >= len(processors(1))


def test_a_folder_of_peers_is_read(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(PEER_FILE.read_text())
    (tmp_path / "_shared.py").write_text("raise RuntimeError('never imported')")
    assert [peer.name for peer in peers_of(tmp_path)] == ["quarters", "halves, broken"]
    (tmp_path / "two.py").write_text("x = 1\n")
    with pytest.raises(DataError, match="offers no contestants"):
        peers_of(tmp_path)
    with pytest.raises(DataError, match="holds no peer"):
        peers_of(tmp_path / "nothing")


def test_a_maker_is_a_module_or_a_file() -> None:
    assert hasattr(load_maker("sigedge.bench.ours"), "open_runner")
    assert hasattr(load_maker(str(PEER_FILE)), "open_runner")
    with pytest.raises(ImportError):
        load_maker("sigedge.bench.nobody")


def test_the_shipped_bundle_runs_on_every_number_of_threads_once_from_a_file() -> None:
    with Bundle.open() as bundle:
        chosen = list(combinations(bundle.manifest.artifacts, BenchOptions()))
    ours = our_contestants(None, chosen, (1, 2))
    assert len(ours) == 2 * len(chosen) + 1 and len({one.name for one in ours}) == len(ours)
    assert [one.threads for one in ours] == [1] * len(chosen) + [2] * len(chosen) + [1]
    best = flagship(ours)
    assert best.facts["precision"] == "int8" and best.threads == 1 and best.facts["source"] == "memory"
    assert ours[-1].arguments == {**best.arguments, "encoded": True}
    assert all(one.kind == OURS for one in ours)
    floor = floor_of(best)
    assert floor.facts == best.facts and floor.kind != OURS
    assert floor.arguments["artifact"] == best.facts["artifact"] and "encoded" not in floor.arguments
