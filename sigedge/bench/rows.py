"""From what a contestant measured to its row of the result file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from sigedge.bench.contestants import STAGES
from sigedge.bench.summary import summarise
from sigedge.bench.team import Member

COLD_STARTS = ("import", "load", "first_run", "process")
TOTAL = "total"


def row(member: Member) -> dict[str, Any]:
    """What a result file says of a contestant: facts, cold start, stages, tail, memory and self-test.

    ``percentiles_ms`` holds the 0th to 100th percentile of ``total``, for a plot of the whole distribution. A stage
    that the contestant has not is 0.
    """
    turns = member.turns
    totals = turns.stage(TOTAL)
    measured = {stage: turns.stage(stage) or [0.0] * len(totals) for stage in STAGES}
    return {
        "contestant": member.contestant.name,
        "kind": member.contestant.kind,
        "threads": member.contestant.threads,
        **member.contestant.facts,
        "cold_start_ms": {
            part: asdict(summarise([start[part] for start in member.cold_starts])) for part in COLD_STARTS
        },
        "stages_ms": {stage: asdict(summarise(times)) for stage, times in {**measured, TOTAL: totals}.items()},
        "percentiles_ms": [round(float(value), 4) for value in np.percentile(totals, np.arange(101))],
        "waited": round(float(np.median(turns.waited)), 4),
        "peak_rss_mb": member.peak_rss_mb,
        "selftest": member.selftest,
    }
