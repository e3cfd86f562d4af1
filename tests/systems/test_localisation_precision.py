"""Average precision: by hand, against a plain definition, and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.systems.localisation import (
    Found,
    average_precision,
    false_alarms,
    figures,
    match,
    overlaps,
    precision_interval,
)
from sigedge_runtime.errors import DataError

SQUARE = [0.0, 0.0, 10.0, 10.0]


def found(scores: list[float], right: list[bool], signatures: int, group: str = "a") -> Found:
    return Found(np.array(scores), np.array(right, bool), signatures, group)


def boxes(*corners: list[float]) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(corners, np.float64).reshape(-1, 4)


class TestMatch:
    def test_overlap_of_squares(self) -> None:
        others = boxes(SQUARE, [5, 0, 15, 10], [10, 0, 20, 10], [0, 0, 10, 5])
        assert overlaps(boxes(SQUARE), others)[0].tolist() == [1.0, pytest.approx(1 / 3), 0.0, 0.5]

    def test_half_an_overlap_is_enough_and_less_is_not(self) -> None:
        page = match(boxes([0, 0, 10, 5], [0, 0, 10, 4.9]), np.array([0.9, 0.8]), boxes(SQUARE), "a")
        assert page.right.tolist() == [True, False]

    def test_a_signature_is_found_once(self) -> None:
        page = match(boxes(SQUARE, SQUARE), np.array([0.9, 0.8]), boxes(SQUARE, [50, 50, 60, 60]), "a")
        assert page.right.tolist() == [True, False] and page.signatures == 2

    def test_on_a_page_without_signatures_everything_is_wrong(self) -> None:
        assert match(boxes(SQUARE), np.array([0.9]), boxes(), "a").right.tolist() == [False]
        assert match(boxes(), np.array([]), boxes(SQUARE), "a").signatures == 1


class TestAveragePrecision:
    @pytest.mark.parametrize(
        ("scores", "right", "signatures", "expected"),
        [
            ([0.9, 0.8], [True, True], 2, 1.0),
            ([0.9, 0.8], [True, True], 4, 0.5),
            ([0.9, 0.8, 0.7], [False, True, True], 2, 2 / 3),  # precision 1/2 is raised to the later 2/3
            ([0.9, 0.8, 0.7], [True, False, True], 2, 0.5 + 0.5 * 2 / 3),
            ([0.9], [False], 1, 0.0),
            ([], [], 3, 0.0),
        ],
    )
    def test_by_hand(self, scores: list[float], right: list[bool], signatures: int, expected: float) -> None:
        assert average_precision([found(scores, right, signatures)]) == pytest.approx(expected)

    @given(
        st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.4, 0.7, 0.9]), st.booleans()), max_size=20), st.integers(1, 9)
    )
    def test_it_is_the_area_of_the_plain_definition(self, drawn: list[tuple[float, bool]], missed: int) -> None:
        signatures = sum(right for _, right in drawn) + missed
        page = found([score for score, _ in drawn], [right for _, right in drawn], signatures)
        points = []
        for threshold in sorted({score for score, _ in drawn}):
            accepted = [right for score, right in drawn if score >= threshold]
            points.append((sum(accepted) / signatures, sum(accepted) / len(accepted)))
        recalls = sorted({recall for recall, _ in points})
        heights = [max(precision for recall, precision in points if recall >= level) for level in recalls]
        area = float(np.sum(np.diff([0.0, *recalls]) * heights))
        assert average_precision([page]) == pytest.approx(area)

    @given(st.permutations(range(6)))
    def test_neither_pages_nor_ties_have_an_order(self, order: list[int]) -> None:
        scores, right = [0.5, 0.5, 0.5, 0.9, 0.9, 0.1], [True, False, True, True, False, True]
        pages = [found([scores[i]], [right[i]], 1) for i in range(6)]
        assert average_precision([pages[i] for i in order]) == pytest.approx(average_precision(pages))

    def test_pages_without_signatures_only_lower_it(self) -> None:
        sheet, blank = found([0.9, 0.5], [True, True], 2), found([0.7], [False], 0, "b")
        assert average_precision([sheet, blank]) == pytest.approx(0.5 + 0.5 * 2 / 3)

    def test_without_any_signature_there_is_none(self) -> None:
        with pytest.raises(DataError, match="No page has a signature"):
            average_precision([found([0.9], [False], 0)])


class TestFigures:
    def pages(self) -> list[Found]:
        rng = np.random.default_rng(0)
        return [
            found(sorted(rng.random(5), reverse=True), list(rng.random(5) < 0.7), 5, f"signer {index // 2}")
            for index in range(20)
        ]

    def test_the_interval_holds_the_figure_and_is_repeatable(self) -> None:
        pages = self.pages()
        low, high = precision_interval(pages) or (1.0, 0.0)
        assert low < average_precision(pages) < high
        assert precision_interval(pages) == (low, high)

    def test_one_group_has_no_interval(self) -> None:
        assert precision_interval([found([0.9], [True], 1)]) is None

    def test_precision_and_recall_at_the_minimum_score(self) -> None:
        result = figures([found([0.9, 0.6, 0.2], [True, False, True], 4), found([0.7], [True], 1, "b")], 0.5)
        assert (result["precision"], result["recall"]) == (pytest.approx(2 / 3), pytest.approx(2 / 5))
        assert (result["pages"], result["groups"], result["signatures"]) == (2, 2, 5)
        assert len(result["average_precision_ci95"]) == len(result["average_precision_ci95_groups"]) == 2

    def test_false_alarms_are_counted_at_the_minimum_score(self) -> None:
        pages = [found([0.9, 0.6], [False] * 2, 0), found([0.4], [False], 0), found([], [], 0, "b")]
        result = false_alarms(pages, 0.5)
        assert result["false_alarms_per_page"] == pytest.approx(2 / 3)
        assert (result["pages_without_alarm"], result["most_on_one_page"], result["groups"]) == (2, 2, 2)
        low, high = result["false_alarms_per_page_ci95_groups"]
        assert low <= 2 / 3 <= high
