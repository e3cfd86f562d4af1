from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from sigedge.synthesis.flourish import decorated, monogram, scribble
from sigedge.synthesis.lettering import Letterer, arranged
from sigedge.synthesis.plan import Component, Plan, bounds, rotated
from sigedge.synthesis.signer import master_plan
from sigedge.synthesis.style import FAMILIES, Family, SignerStyle

SEEDS = range(25)


def style(**changes: object) -> SignerStyle:
    """A legible hand without any deformation, so that each habit can be switched on alone."""
    plain = dataclasses.replace(
        SignerStyle.from_seed(1),
        family="name",
        print_letters=False,
        connectedness=1.0,
        x_height=1.0,
        ascender=1.0,
        descender=1.0,
        capital=1.0,
        lead=1.0,
        width=1.0,
        spacing=0.0,
        word_gap=8.0,
        decay=0.0,
        letter_noise=0.0,
        stacked=False,
        slant=0.0,
        slope=0.0,
        bow=0.0,
        taper=0.0,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def write(words: list[str], seed: int = 0, **changes: object) -> Plan:
    return Letterer(style(**changes), np.random.default_rng(seed)).words(words)


def bodies(plan: Plan) -> list[Component]:
    return [run for run in plan if run.kind == "body"]


def test_a_joined_word_is_one_run_and_a_printed_one_is_many() -> None:
    assert len(bodies(write(["nun"]))) == 1
    assert len(bodies(write(["nun"], connectedness=0.0))) == 3


def test_words_follow_each_other_with_a_gap() -> None:
    first, second = write(["nun", "nun"], word_gap=30.0)
    assert second.points[:, 0].min() - first.points[:, 0].max() > 20.0


def test_a_stacked_word_goes_below() -> None:
    first, second = write(["nun", "nun"], stacked=True)
    assert second.points[:, 1].max() < first.points[:, 1].max() - 5.0
    assert second.points[:, 0].min() < first.points[:, 0].max()


def test_a_signer_writes_a_letter_the_same_way_each_time() -> None:
    first, second = write(["n", "n"], letter_noise=1.0)
    assert np.allclose(np.diff(first.points, axis=0), np.diff(second.points, axis=0))


def test_two_signers_write_a_letter_in_two_ways() -> None:
    shapes = {write(["nan"], seed=seed, letter_noise=1.0)[0].points.tobytes() for seed in range(20)}
    assert len(shapes) == 20


def test_marks_are_written_after_the_word() -> None:
    kinds = [run.kind for run in write(["init"])]
    assert kinds == sorted(kinds), "bodies first, then dots and bars"
    assert kinds.count("mark") >= 3
    assert len(write(["ii"], dots=False)) == len(bodies(write(["ii"])))


@pytest.mark.parametrize(("habit", "word"), [("x_height", "nun"), ("ascender", "ll"), ("capital", "NN"), ("lead", "N")])
def test_height_habits(habit: str, word: str) -> None:
    small, large = (bounds(write([word], **{habit: value}))[3] for value in (1.0, 1.6))
    assert large > small * 1.15


def test_descender_habit() -> None:
    assert bounds(write(["yy"], descender=2.0))[1] < bounds(write(["yy"], descender=1.0))[1] - 4.0


def test_decay_flattens_the_end_of_a_word() -> None:
    word = ["N" + "un" * 6]
    clear, worn = write(word), write(word, decay=0.9, legible=1)
    assert bounds(worn)[2] < bounds(clear)[2]
    tail = [run.points[run.points[:, 0] > 0.5 * bounds(plan)[2]] for plan in (clear, worn) for run in plan[:1]]
    assert np.ptp(tail[1][:, 1]) < 0.8 * np.ptp(tail[0][:, 1])
    assert sum(len(run.points) for run in worn) < sum(len(run.points) for run in clear)


def test_arranging_slants_and_slopes() -> None:
    stem = (Component(np.array([[0.0, 0.0], [0.0, 20.0]])), Component(np.array([[0.0, 0.0], [100.0, 0.0]])))
    leaning = arranged(stem, style(slant=0.3))[0].points
    assert leaning[1, 0] == pytest.approx(20.0 * np.tan(0.3))
    climbing = arranged(stem, style(slope=0.2))[1].points
    assert np.arctan2(*(climbing[1] - climbing[0])[::-1]) == pytest.approx(0.2)
    assert np.allclose(arranged(stem, style())[0].points, stem[0].points)


def test_headline_words_hang_from_bars() -> None:
    barred = 0
    for seed in SEEDS:
        plan = Letterer(style(family="headline"), np.random.default_rng(seed)).headline_words()
        assert len(plan) >= 3
        flat = [run for run in plan if np.ptp(run.points[:, 0]) > 5 and np.ptp(run.points[:, 1]) < 4]
        barred += any(abs(run.points[:, 1].mean() - 10.0) < 1.5 for run in flat)
    assert barred > 0.7 * len(SEEDS)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_plans_something_writable(family: Family) -> None:
    for seed in SEEDS:
        drawn = dataclasses.replace(SignerStyle.from_seed(seed), family=family)
        plan = master_plan(drawn, np.random.default_rng(seed))
        left, bottom, right, top = bounds(plan)
        assert 2.0 < right - left < 900.0 and 2.0 < top - bottom < 250.0
        for run in plan:
            assert run.points.shape[0] >= 2 and run.points.shape[1] == 2
            assert np.isfinite(run.points).all()


def test_decorations_come_only_to_those_given_to_them() -> None:
    word = write(["Nun"])
    never = style(underline=0.0, tail=0.0, entry=0.0, enclosure=0.0)
    always = style(underline=1.0, tail=0.0, entry=0.0, enclosure=1.0)
    for seed in SEEDS:
        assert decorated(word, never, np.random.default_rng(seed)) == word
        added = [run for run in decorated(word, always, np.random.default_rng(seed)) if run.kind == "flourish"]
        assert len(added) >= 2


def test_tails_and_entries_lengthen_the_letters_themselves() -> None:
    word = write(["Nun"])
    long = style(underline=0.0, tail=1.0, entry=1.0, enclosure=0.0)
    for seed in SEEDS:
        plan = decorated(word, long, np.random.default_rng(seed))
        assert len(plan) == len(word)
        assert sum(len(run.points) for run in plan) >= sum(len(run.points) for run in word) + 5


def test_scribbles_and_monograms_are_compact() -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        assert 1 <= len(scribble(rng)) <= 2
        plain = write(["NN"], seed=seed)
        assert len(monogram(plain, rng)) - len(plain) in (0, 1)


def test_rotation_keeps_distances() -> None:
    points = np.random.default_rng(0).normal(size=(9, 2))
    turned = rotated(points, 0.7, (3.0, -2.0))
    steps = [np.hypot(*(b - a)) for a, b in pairwise(points)]
    assert np.allclose(steps, [np.hypot(*(b - a)) for a, b in pairwise(turned)])
    assert np.allclose(rotated(turned, -0.7, (3.0, -2.0)), points)
