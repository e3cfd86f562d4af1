"""The rule behind "is it worth it?": every outcome, and that no figure is lost on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge_export.report.verdict import ALIKE, MATERIAL_LOSS, NO, SIZE_ONLY, UNDECIDED, YES, Evidence, judge
from sigedge_export.statistics import Interval

SOUND = Evidence(
    eer_difference=Interval(0.001, -0.002, 0.004),
    tolerance=0.005,
    speedup=Interval(2.9, 2.7, 3.1),
    shrinkage=3.6,
)
RISE = Interval(0.012, 0.007, 0.019)
SMALL_RISE = Interval(0.002, 0.001, 0.003)
WIDE = Interval(0.002, -0.01, 0.02)
NOT_A_NUMBER = Interval(float("nan"), float("nan"), float("nan"))
SLOWER = Interval(0.55, 0.5, 0.6)
AS_FAST = Interval(1.0, 0.97, 1.03)


@pytest.mark.parametrize(
    ("change", "answer", "reason"),
    [
        ({}, YES, ""),
        ({"eer_difference": SMALL_RISE}, YES, ""),
        ({"eer_difference": Interval(-0.01, -0.02, -0.001)}, YES, ""),
        ({"speedup": Interval(1.06, 1.01, 1.12)}, YES, ""),
        ({"eer_difference": RISE}, NO, "EER rises"),
        ({"eer_difference": RISE, "speedup": None}, NO, "EER rises"),
        ({"faults": ("flipped decisions is 0.3, allowed is at most 0.02",)}, NO, "beyond tolerance"),
        ({"speedup": SLOWER}, NO, "slower"),
        ({"speedup": SLOWER, "eer_difference": WIDE}, NO, "slower"),
        ({"speedup": AS_FAST, "shrinkage": 1.0}, NO, "neither faster nor smaller"),
        ({"speedup": AS_FAST}, SIZE_ONLY, ""),
        ({"speedup": None}, UNDECIDED, "speed not measured"),
        ({"eer_difference": WIDE}, UNDECIDED, "EER interval too wide"),
        ({"eer_difference": NOT_A_NUMBER}, UNDECIDED, "EER interval too wide"),
        ({"speedup": Interval(1.1, 0.8, 1.4)}, UNDECIDED, "speed interval too wide"),
    ],
)
def test_every_outcome(change: dict[str, object], answer: str, reason: str) -> None:
    verdict = judge(replace(SOUND, **change))
    assert (verdict.answer, verdict.reason) == (answer, reason)
    assert verdict.short == (f"{answer}: {reason}" if reason else answer)


def test_the_sentence_of_a_yes_has_all_figures() -> None:
    assert judge(SOUND).sentence == (
        "Yes: 2.90x faster [2.70, 3.10], 3.6x smaller, EER +0.10 points [-0.20, +0.40], interval includes 0."
    )


def test_the_sentence_of_a_no_says_why_first() -> None:
    slower = judge(replace(SOUND, speedup=SLOWER)).sentence
    assert slower.startswith("No, slower: 1.82x slower [1.67, 2.00], 3.6x smaller, EER +0.10 points")
    beyond = judge(replace(SOUND, faults=("flipped decisions is 0.3", "p99 is 0.2"))).sentence
    assert beyond.startswith("No, beyond tolerance: flipped decisions is 0.3; p99 is 0.2; 2.90x faster")
    assert "a proven rise" in judge(replace(SOUND, eer_difference=RISE)).sentence
    larger = judge(replace(SOUND, shrinkage=0.5, speedup=None)).sentence
    assert larger == (
        "Undecided, speed not measured: 2.0x larger, EER +0.10 points [-0.20, +0.40], interval includes 0."
    )


intervals = st.tuples(*[st.floats(-0.2, 0.2)] * 3).map(sorted).map(lambda ends: Interval(ends[1], ends[0], ends[2]))
speeds = st.tuples(*[st.floats(0.05, 20)] * 3).map(sorted).map(lambda ends: Interval(ends[1], ends[0], ends[2]))


@given(intervals, speeds, st.floats(0.5, 8))
def test_a_yes_is_never_slower_nor_hides_a_material_loss(change: Interval, speed: Interval, shrinkage: float) -> None:
    verdict = judge(Evidence(change, 0.005, speed, shrinkage))
    if verdict.answer in (YES, SIZE_ONLY):
        assert change.high <= MATERIAL_LOSS
        assert speed.low > 1 - ALIKE
    if speed.high < 1 - ALIKE:
        assert verdict.answer == NO
    if verdict.answer == SIZE_ONLY:
        assert shrinkage > 1 and speed.high <= 1 + ALIKE


@given(intervals, speeds)
def test_more_speed_never_turns_a_yes_into_anything_else(change: Interval, speed: Interval) -> None:
    evidence = Evidence(change, 0.005, speed, 4.0)
    faster = replace(evidence, speedup=Interval(*(2 * end for end in (speed.estimate, speed.low, speed.high))))
    if judge(evidence).answer == YES:
        assert judge(faster).answer == YES
