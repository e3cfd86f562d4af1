"""Guidance: the reference that stands out is named, the place among signers is right, more are asked for at need."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_runtime.decision import Calibration, Decision, EnrolmentBound, OperatingPoint
from sigedge_runtime.errors import BundleError
from sigedge_runtime.guidance import WORTHWHILE, Guidance, guide

Vectors = NDArray[np.float32]
# FAR and FRR by number of references.
ERRORS = {1: (0.08, 0.12), 2: (0.055, 0.085), 3: (0.05, 0.075), 5: (0.04, 0.065), 10: (0.035, 0.055)}
DECISION = Decision(
    "mean",
    "balanced",
    tuple(OperatingPoint("balanced", count, 0.5, far, frr) for count, (far, frr) in ERRORS.items()),
    tuple(Calibration(count, 10.0, -5.0) for count in ERRORS),
    enrolment_bounds=tuple(
        EnrolmentBound(count, 0.55, tuple(tenth / 10 for tenth in range(1, 10)) if count > 1 else ())
        for count in ERRORS
    ),
)


def alike(count: int, similarity: float) -> Vectors:
    """Unit vectors of which any two have the same cosine."""
    shared = np.full((count, 1), np.sqrt(similarity))
    return np.hstack([shared, np.sqrt(1 - similarity) * np.eye(count)]).astype(np.float32)


def with_stranger(count: int, place: int) -> Vectors:
    """References that are alike, and one at right angles to all."""
    vectors = np.hstack([alike(count, 0.9), np.zeros((count, 1), np.float32)])
    vectors[place] = np.eye(count + 2, dtype=np.float32)[-1]
    return vectors


def told(guidance: Guidance) -> str:
    return " ".join(guidance.sentences)


@given(st.integers(4, 12), st.data())
def test_the_reference_that_stands_out_is_named(count: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, count - 1))
    found = guide(with_stranger(count, place), DECISION, "balanced", [f"{number}.png" for number in range(count)])
    assert found.outliers == (place,)
    assert f"Reference {place + 1} of {count} ({place}.png) resembles" in told(found)


def test_references_that_are_alike_have_no_outlier() -> None:
    found = guide(alike(6, 0.7), DECISION, "balanced")
    assert found.outliers == ()
    assert "resembles" not in told(found)


def test_of_two_nobody_can_say_which_is_unusual() -> None:
    found = guide(alike(2, 0.5), DECISION, "balanced", ["a.png", "b.png"])
    assert found.outliers == (0, 1)
    assert "The two references resemble" in told(found) and "a.png" not in told(found)
    assert guide(alike(2, 0.7), DECISION, "balanced").outliers == ()


def test_the_bound_is_that_of_the_other_references() -> None:
    bounds = tuple(
        replace(bound, outlier_score=0.9 if bound.references == 3 else -1) for bound in DECISION.enrolment_bounds or ()
    )
    strict = replace(DECISION, enrolment_bounds=bounds)
    assert [guide(alike(count, 0.8), strict, "balanced").outliers for count in (3, 4, 5, 6)] == [
        (),
        (0, 1, 2, 3),
        (0, 1, 2, 3, 4),
        (),
    ]


def test_one_reference_says_nothing_of_consistency() -> None:
    found = guide(alike(1, 0.5), DECISION, "balanced")
    assert (found.references, found.consistency, found.consistency_tenth, found.outliers) == (1, None, None, None)
    assert len(found.sentences) == 1


@given(st.floats(0, 0.99))
def test_the_place_among_signers(similarity: float) -> None:
    found = guide(alike(4, similarity), DECISION, "balanced")
    assert found.consistency == pytest.approx(similarity, abs=1e-5)
    assert found.consistency_tenth == 1 + sum(found.consistency >= tenth / 10 for tenth in range(1, 10))
    assert ("vary more than those of nine in ten" in told(found)) == (found.consistency_tenth == 1)
    assert (f"more than those of {10 * (found.consistency_tenth - 1)} %" in told(found)) == (
        found.consistency_tenth > 1
    )


@settings(max_examples=25)
@given(st.integers(1, 12), st.permutations(range(12)))
def test_the_order_of_references_changes_their_numbers_alone(place: int, order: list[int]) -> None:
    vectors = with_stranger(12, place - 1)
    first, second = guide(vectors, DECISION, "balanced"), guide(vectors[order], DECISION, "balanced")
    assert second.outliers == (order.index(place - 1),) and first.outliers == (place - 1,)
    assert second.consistency == pytest.approx(first.consistency, abs=1e-6)


def test_without_bounds_there_is_guidance_without_outliers() -> None:
    found = guide(with_stranger(5, 2), replace(DECISION, enrolment_bounds=None), "balanced")
    assert (found.outliers, found.consistency_tenth) == (None, None)
    assert found.consistency == pytest.approx(0.9 * 6 / 10, abs=1e-5)
    assert "The mean similarity of the references is 0.54" in told(found)
    assert found.advised is None and "more would change little" in told(found)


@pytest.mark.parametrize(
    ("count", "measured", "advised"), [(1, 1, 5), (2, 2, 5), (4, 3, 5), (5, 5, None), (12, 10, None)]
)
def test_more_references_are_asked_for_while_they_help(count: int, measured: int, advised: int | None) -> None:
    found = guide(alike(count, 0.7), DECISION, "balanced")
    assert found.measured == DECISION.operating_point("balanced", measured)
    assert found.advised == (advised and DECISION.operating_point("balanced", advised))
    far, frr = ERRORS[measured]
    assert f"{100 * frr:.1f} % of genuine signatures are rejected and {100 * far:.1f} % of forgeries" in told(found)
    assert (f"with 5 references 6.5 % and 4.0 %; add {5 - count} more." in told(found)) == (advised == 5)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6), st.integers(1, 8))
def test_what_is_advised_is_nearly_as_good_as_the_best(errors: list[tuple[float, float]], count: int) -> None:
    points = tuple(OperatingPoint("balanced", number, 0.5, *rates) for number, rates in enumerate(errors, 1))
    found = guide(alike(count, 0.7), replace(DECISION, operating_points=points), "balanced")
    best = min(far + frr for far, frr in errors)
    good = [number for number, (far, frr) in enumerate(errors, 1) if (1 - WORTHWHILE) * (far + frr) <= best]
    assert (found.advised.references if found.advised else None) == (good[0] if good[0] > count else None)


def test_a_number_that_was_never_measured_so_low_is_asked_up() -> None:
    points = (OperatingPoint("balanced", 4, 0.5, 0.1, 0.1),)
    found = guide(alike(1, 0.5), replace(DECISION, operating_points=points), "balanced")
    assert found.measured == found.advised == points[0]
    assert found.sentences[-1].startswith("With 4 references, 10.0 %") and found.sentences[-1].endswith("add 3 more.")


def test_an_unknown_operating_point_is_refused() -> None:
    with pytest.raises(BundleError, match="no operating point 'lax'"):
        guide(alike(2, 0.5), DECISION, "lax")


def test_guidance_is_plain_json_and_whole_sentences() -> None:
    found = guide(with_stranger(5, 2), DECISION, "balanced")
    data = json.loads(json.dumps(found.to_dict()))
    assert data["outliers"] == [2] and data["measured"]["references"] == 5 and data["advised"] is None
    assert data["sentences"] == list(found.sentences)
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in found.sentences)
