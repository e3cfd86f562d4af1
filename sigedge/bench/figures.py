"""The figures that a bench is held against: ratios of one run, and a few sizes, each with what it must reach."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sigedge.bench.contestants import FLOOR, PEER, Contestant
from sigedge.bench.rows import TOTAL
from sigedge.bench.singles import OURS
from sigedge.bench.summary import ratio_of_rounds, tail_ratio
from sigedge.bench.team import Member

GOAL, MUST, MISSED, UNKNOWN = "goal", "must", "missed", "not measured"
Interval = tuple[float, float, float]
MIB, MB = 2**20, 1e6


@dataclass(frozen=True)
class Figure:
    """A figure beside its limits.

    Attributes:
        name: what it is.
        value: None where it was not measured.
        low, high: ends of its 95 % interval; None where it has none.
        must: what it must reach.
        goal: what it shall reach.
        reached: `GOAL`, `MUST`, `MISSED` or `UNKNOWN`; a value between limits counts by its estimate.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    must: float
    goal: float
    reached: str


# name, must, goal; where the goal is above what must be reached, more is better
LIMITS = {
    "pipeline": ("SigNet (Hafemann) in PyTorch / sigedge int8: image in memory to verdict, 10 references", 15, 30),
    "overhead": ("a verification / its bare OpenCV and engine calls", 1.10, 1.03),
    "preprocessing": ("preprocessing / a verification", 0.5, 0.3),
    "tail": ("99th percentile / median of a verification", 1.6, 1.25),
    "first": ("the same network in PyTorch / sigedge verify: process start to first verdict", 5, 10),
    "memory": ("peak memory of a verifying process, MB", 150, 90),
    "size": ("bundle with golden vectors, zipped, MB", 3, 1.2),
    "throughput": ("verifications a second on 2 processors, batch path", 1500, 3000),
}


def figures(
    members: Sequence[Member],
    best: Contestant,
    throughput: Mapping[str, Any],
    first_verdicts: Mapping[str, Any],
    zipped: int,
) -> list[dict[str, Any]]:
    """Every figure of `LIMITS`, in order, as plain values.

    Args:
        members: all that took turns.
        best: the flagship among them.
        throughput: of `singles.throughput`.
        first_verdicts: of `singles.first_verdicts`.
        zipped: bytes of the bundle.
    """
    found = dict(_measured(members, best, throughput, first_verdicts, zipped))
    return [asdict(_figure(*limits, found.get(key))) for key, limits in LIMITS.items()]


def _measured(
    members: Sequence[Member],
    best: Contestant,
    throughput: Mapping[str, Any],
    first_verdicts: Mapping[str, Any],
    zipped: int,
) -> Iterator[tuple[str, Interval]]:
    ours = next(member for member in members if member.contestant == best)
    totals = _rounds(ours, TOTAL)
    for member in members:
        if member.contestant.kind == FLOOR:
            yield "overhead", ratio_of_rounds(totals, _rounds(member, TOTAL))
        if member.contestant.kind == PEER and member.contestant.facts.get("yardstick"):
            yield "pipeline", ratio_of_rounds(_rounds(member, TOTAL), totals)
    yield "preprocessing", ratio_of_rounds(_rounds(ours, "preprocess"), totals)
    yield "tail", tail_ratio(totals)
    for name, found in first_verdicts.items():
        if name != OURS and found.get("same_network"):
            yield "first", found["times_ours"]
    yield "memory", _exactly(ours.peak_rss_mb * MIB / MB)
    yield "size", _exactly(zipped / MB)
    rates = sorted(throughput["per_second"])
    yield "throughput", (throughput["median"], rates[0], rates[-1])


def _figure(name: str, must: float, goal: float, found: Interval | None) -> Figure:
    if found is None:
        return Figure(name, None, None, None, must, goal, UNKNOWN)
    value, low, high = (None if math.isnan(part) else part for part in found)
    assert value is not None, "what was measured is a number"
    return Figure(name, value, low, high, must, goal, _reached(value, must, goal))


def _reached(value: float, must: float, goal: float) -> str:
    sign = 1 if goal > must else -1
    if sign * value >= sign * goal:
        return GOAL
    return MUST if sign * value >= sign * must else MISSED


def _exactly(value: float) -> Interval:
    """A figure without an interval."""
    return round(value, 3), math.nan, math.nan


def _rounds(member: Member, stage: str) -> list[list[float]]:
    return [taken[stage] for taken in member.turns.rounds]
