"""Figures against their limits, and the ratios behind them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.bench.contestants import FLOOR, OURS, PEER, Contestant
from sigedge.bench.figures import GOAL, LIMITS, MISSED, MUST, UNKNOWN, figures
from sigedge.bench.summary import ratio_of_rounds, tail_ratio
from sigedge.bench.team import Member, Turns

BEST = Contestant("ours", OURS, "m", facts={"precision": "int8"})
MANY = {"median": 2000.0, "per_second": [1900.0, 2000.0, 2100.0]}


def member(contestant: Contestant, total: float, preprocess: float = 0.1, peak: float = 80.0) -> Member:
    """A member as if it had taken three turns."""
    made = Member.__new__(Member)
    made.contestant, made.peak_rss_mb = contestant, peak
    made.turns = Turns([{"total": [total] * 4, "preprocess": [preprocess] * 4}] * 3, [0.0] * 3)
    return made


def found(members: list[Member], first: dict[str, dict[str, object]] | None = None) -> dict[str, dict[str, object]]:
    rows = figures(members, BEST, MANY, first or {}, zipped=1_100_000)
    return dict(zip(LIMITS, rows, strict=True))


def test_ratios_are_of_the_members_of_the_run() -> None:
    floor = Contestant("floor", FLOOR, "m")
    yardstick = Contestant("peer", PEER, "m", facts={"yardstick": True})
    other = Contestant("other", PEER, "m")
    first = {"sigedge verify": {"times_ours": (1, 1, 1)}, "t": {"times_ours": (6.0, 5.5, 6.5), "same_network": True}}
    rows = found([member(BEST, 1.0, 0.4), member(floor, 0.95), member(yardstick, 20.0), member(other, 99.0)], first)
    values = {key: (row["value"], row["reached"]) for key, row in rows.items()}
    assert values["pipeline"] == (20.0, MUST) and values["overhead"] == (pytest.approx(1.053), MUST)
    assert values["preprocessing"] == (0.4, MUST) and values["tail"] == (1.0, GOAL)
    assert values["first"] == (6.0, MUST) and values["size"] == (1.1, GOAL)
    assert values["memory"] == (pytest.approx(83.886), GOAL)
    assert values["throughput"] == (2000.0, MUST) and rows["throughput"]["high"] == 2100.0
    assert rows["size"]["low"] is None


def test_what_was_not_measured_says_so() -> None:
    rows = found([member(BEST, 1.0)])
    assert {key for key, row in rows.items() if row["reached"] == UNKNOWN} == {"pipeline", "overhead", "first"}
    assert all(row["value"] is None for row in rows.values() if row["reached"] == UNKNOWN)


@pytest.mark.parametrize(("total", "reached"), [(10.0, MISSED), (15.0, MUST), (29.9, MUST), (30.0, GOAL)])
def test_more_is_better_where_the_goal_is_above(total: float, reached: str) -> None:
    yardstick = Contestant("peer", PEER, "m", facts={"yardstick": True})
    assert found([member(BEST, 1.0), member(yardstick, total)])["pipeline"]["reached"] == reached


@pytest.mark.parametrize(("share", "reached"), [(0.51, MISSED), (0.5, MUST), (0.31, MUST), (0.3, GOAL)])
def test_less_is_better_where_the_goal_is_below(share: float, reached: str) -> None:
    assert found([member(BEST, 1.0, share)])["preprocessing"]["reached"] == reached


rounds = st.lists(st.lists(st.floats(0.01, 100), min_size=1, max_size=9), min_size=1, max_size=9)


@given(rounds, st.floats(0.1, 10))
def test_a_ratio_of_rounds_does_not_see_what_slows_a_round(taken: list[list[float]], factor: float) -> None:
    slower = [[factor * value for value in one] for one in taken]
    assert ratio_of_rounds(slower, taken) == pytest.approx((factor,) * 3, abs=2e-3)


@given(rounds)
def test_a_tail_is_no_shorter_than_the_median(taken: list[list[float]]) -> None:
    value, low, high = tail_ratio(taken)
    assert value >= 1 and 1 <= low <= high and not math.isnan(value)
    pooled = np.concatenate(taken)
    assert value == pytest.approx(np.percentile(pooled, 99) / np.median(pooled), abs=1e-3)
