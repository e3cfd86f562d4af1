"""A network that lost what tells signatures apart is seen by three figures, each of which can be fooled alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_export import ArtifactParity, Interval, PairScores, ParityReport, Tolerances, breaches
from sigedge_export.inputs import GENUINE, RANDOM, SKILLED
from sigedge_export.lab import measure_collapse
from sigedge_export.statistics import share_at_or_above

LOOSE = {"int8": Tolerances(2, 2, 0.02, 1, 0.9, 0.9)}
KINDS = np.array([GENUINE] * 50 + [SKILLED] * 30 + [RANDOM] * 20, np.int8)


def reference() -> NDArray[np.float64]:
    return np.where(KINDS == GENUINE, 0.9, 0.1)


def report(*scores: NDArray[np.float64], variance: float = 1.0, rank: float = 1.0) -> ParityReport:
    row = ArtifactParity(
        artifact="small-int8-onnx",
        format="onnx",
        precision="int8",
        engine="onnxruntime 1",
        delegate="not known",
        max_score_difference=0.0,
        p99_score_difference=0.0,
        flipped=0,
        flipped_decisions=0.0,
        eer=0.1,
        eer_difference=Interval(0, 0, 0),
        variance_ratio=variance,
        effective_rank_ratio=rank,
        accepted=0.5,
    )
    return ParityReport(
        model="small 0.1",
        source="nowhere",
        signers=5,
        canvases=20,
        pairs=len(KINDS),
        operating_point="balanced",
        threshold=0.5,
        reference_eer=0.1,
        reference_accepted=0.5,
        rows=(row,) * len(scores),
        unmeasured=(),
        scores=PairScores(KINDS, reference(), tuple(scores)),
    )


def figures(found: ParityReport) -> list[str]:
    return [breach.figure for breach in breaches(found, LOOSE)]


def test_a_sound_artefact_passes() -> None:
    (collapse,) = measure_collapse(report(reference()))
    assert (collapse.strangers, collapse.strangers_accepted, collapse.reference_strangers_accepted) == (20, 0, 0)
    assert figures(report(reference())) == []


def test_strangers_are_counted_apart_from_all_other_pairs() -> None:
    forgeries = np.where(KINDS == SKILLED, 0.9, reference())
    assert measure_collapse(report(forgeries))[0].rise == 0
    everyone = np.ones(len(KINDS))
    (collapse,) = measure_collapse(report(everyone))
    assert collapse.rise == 1
    (breach,) = breaches(report(everyone), LOOSE)
    assert breach.figure == "strangers_accepted_rise"
    assert str(breach) == "strangers_accepted_rise is 1, allowed is at most 0.07"


def test_one_pair_of_a_small_set_proves_nothing_and_two_do() -> None:
    one, two = (np.where(np.arange(len(KINDS)) >= len(KINDS) - count, 0.9, reference()) for count in (1, 2))
    assert figures(report(one)) == []
    assert figures(report(two)) == ["strangers_accepted_rise"]


def test_rejecting_more_strangers_is_no_collapse() -> None:
    lenient = replace(report(reference()), threshold=0.05)
    harsher = replace(lenient, scores=PairScores(KINDS, reference(), (np.zeros(len(KINDS)),)))
    assert measure_collapse(harsher)[0].rise == -1
    assert figures(harsher) == []


@pytest.mark.parametrize(
    ("variance", "rank", "figure"), [(0.1, 1.0, "variance_ratio"), (1.0, 0.1, "effective_rank_ratio")]
)
def test_each_figure_decides_alone(variance: float, rank: float, figure: str) -> None:
    assert figures(report(reference(), variance=variance, rank=rank)) == [figure]


def test_each_row_has_its_own_strangers() -> None:
    everyone = np.ones(len(KINDS))
    assert [entry.rise for entry in measure_collapse(report(reference(), everyone))] == [0, 1]


def test_a_report_without_the_scores_of_its_pairs_is_gated_by_the_other_figures() -> None:
    bare = replace(report(np.ones(len(KINDS)), variance=0.1), scores=None)
    assert measure_collapse(bare) == ()
    assert figures(bare) == ["variance_ratio"]


@given(st.lists(st.floats(-1, 1), max_size=30), st.floats(-1, 1))
def test_the_share_counts_scores_at_the_threshold(scores: list[float], threshold: float) -> None:
    share = share_at_or_above(np.array(scores), threshold)
    assert share * len(scores) == pytest.approx(sum(score >= threshold for score in scores))
    assert share_at_or_above(np.array([threshold]), threshold) == 1
