"""Finding signatures on a page: strokes, groups, the trees that judge them, and what the shipped scorer finds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sigedge_runtime._strokes import FEATURES, WORKING_SIDE, cut_pieces, find_candidates, pen_strokes
from sigedge_runtime._trees import LEAF, BoostedTrees, Tree
from sigedge_runtime.errors import BundleError, ImageError
from sigedge_runtime.localisation import (
    SHARED,
    Scorer,
    SignatureBox,
    find_signatures,
    read_scorer,
    shipped_scorer,
    without_nested,
)

Image = NDArray[np.uint8]
PAGE = (1600, 1130)
SIGNATURES = ((150, 300), (620, 700), (200, 1200))


def sign(page: Image, left: int, top: int, scale: float = 1.0, ink: int = 50) -> tuple[int, int, int, int]:
    """Write a made-up signature, a wave, a loop and an underline; its box."""
    t = np.linspace(0, 1, 300)
    wave = np.stack([180 * t, 50 + 28 * np.sin(22 * t) * (1 - 0.5 * t)], axis=1)
    loop = np.stack([190 + 25 * np.cos(7 * t), 45 + 40 * np.sin(7 * t)], axis=1)
    line = np.stack([20 + 200 * t, 105 - 9 * t], axis=1)
    for stroke in (wave, loop, line):
        points = np.round(stroke * scale + (left, top)).astype(np.int32)
        cv2.polylines(page, [points[:, None]], False, (float(ink),), max(1, round(2 * scale)), cv2.LINE_AA)
    return left, top, round(221 * scale), round(107 * scale)


def signed_page(*, grid: bool = True, text: bool = True, scale: float = 1.0) -> tuple[Image, list[tuple[int, ...]]]:
    page = np.full((round(PAGE[0] * scale), round(PAGE[1] * scale)), 250, np.uint8)
    boxes = [sign(page, round(x * scale), round(y * scale), scale) for x, y in SIGNATURES]
    if grid:
        for row in range(200, 1600, 400):
            cv2.line(page, (0, round(row * scale)), (page.shape[1], round((row + 6) * scale)), (20,), round(4 * scale))
    if text:
        print_lines(page, scale)
    return page, boxes


def print_lines(page: Image, scale: float = 1.0) -> None:
    for row in range(920, 1120, 24):
        words = "the quick brown fox jumps over it and runs into the dark forest"
        place = (round(120 * scale), round(row * scale))
        cv2.putText(page, words, place, cv2.FONT_HERSHEY_COMPLEX, 0.55 * scale, (20,), max(1, round(scale)))


def iou(box: SignatureBox, other: tuple[int, ...]) -> float:
    left, top, width, height = other
    across = min(box.left + box.width, left + width) - max(box.left, left)
    down = min(box.top + box.height, top + height) - max(box.top, top)
    shared = max(0, across) * max(0, down)
    return shared / (box.width * box.height + width * height - shared)


class TestStrokes:
    def test_ruled_lines_go_and_strokes_stay(self) -> None:
        ruled, _ = signed_page(text=False)
        plain, _ = signed_page(text=False, grid=False)
        strokes = pen_strokes(ruled)
        away = np.ones(PAGE, bool)
        for row in range(200, 1600, 400):
            away[row - 8 : row + 16] = False
        np.testing.assert_array_equal(strokes[away], pen_strokes(plain)[away])
        assert cv2.countNonZero(strokes[390:400, 600:]) == 0

    def test_upright_lines_go_too(self) -> None:
        page = np.full(PAGE, 255, np.uint8)
        cv2.line(page, (500, 100), (504, 1500), (0,), 5)
        assert cv2.countNonZero(pen_strokes(page)) == 0

    def test_counts_of_a_bar(self) -> None:
        mask = np.zeros((20, 30), np.uint8)
        mask[5:8, 10:20] = 255
        mask[15, 3] = 255  # a speck
        pieces = cut_pieces(mask)
        assert pieces.boxes.tolist() == [[10, 5, 20, 8]]
        assert (pieces.area, pieces.outline) == (30, 22)
        assert (pieces.level, pieces.upright, pieces.slanted) == (27, 20, 36)
        assert mask[pieces.row[0], pieces.column[0]] == 255

    def test_ink_at_the_border_has_no_neighbours_on_the_other_side(self) -> None:
        mask = np.zeros((6, 12), np.uint8)
        mask[:, -1] = mask[:, 0] = 255
        assert cut_pieces(np.repeat(mask, 3, axis=0)).level.tolist() == [0, 0]

    @given(arrays(np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 90))))
    def test_any_image_has_boxes_inside_it_and_finite_features(self, image: Image) -> None:
        boxes, features = find_candidates(image)
        assert features.shape == (len(boxes), len(FEATURES)) and np.isfinite(features).all()
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= image.shape[::-1]).all()
        assert (boxes[:, :2] < boxes[:, 2:]).all()

    @pytest.mark.parametrize("level", [0, 128, 255])
    def test_an_even_page_has_no_candidate(self, level: int) -> None:
        assert len(find_candidates(np.full((500, 400), level, np.uint8)).boxes) == 0

    def test_colour_makes_no_difference_to_grey_ink(self) -> None:
        page, _ = signed_page()
        grey, colour = find_candidates(page), find_candidates(cv2.cvtColor(page, cv2.COLOR_GRAY2BGR).astype(np.uint8))
        np.testing.assert_array_equal(grey.boxes, colour.boxes)
        np.testing.assert_array_equal(grey.features, colour.features)

    def test_each_signature_is_whole_in_some_candidate(self) -> None:
        page, boxes = signed_page(text=False)
        found = [SignatureBox(x, y, right - x, bottom - y, 0.0) for x, y, right, bottom in find_candidates(page).boxes]
        assert all(max(iou(box, truth) for box in found) > 0.75 for truth in boxes)

    @pytest.mark.parametrize("image", [np.zeros((9, 9)), np.zeros((9, 9, 2), np.uint8), np.zeros(9, np.uint8)])
    def test_what_is_no_image_is_refused(self, image: Image) -> None:
        with pytest.raises(ImageError):
            find_candidates(image)


def leaf(value: float) -> Tree:
    return Tree((LEAF,), (0.0,), (0,), (0,), (value,))


STUMP = Tree((1, LEAF, LEAF), (0.5, 0.0, 0.0), (1, 0, 0), (2, 0, 0), (0.0, -1.0, 2.0))


class TestTrees:
    def test_a_value_at_the_threshold_goes_left(self) -> None:
        trees = BoostedTrees(("a", "b"), 10.0, (STUMP, leaf(0.25)))
        rows = np.array([[9.0, 0.5], [9.0, 0.50001], [9.0, -3.0]])
        assert trees.evaluate(rows).tolist() == [9.25, 12.25, 9.25]
        assert trees.parameters == 1 + 2 + 2 + 1

    def test_no_rows_have_no_values(self) -> None:
        assert BoostedTrees(("a", "b"), 1.0, (STUMP,)).evaluate(np.empty((0, 2))).shape == (0,)

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("left", (0, 0, 0), "wrong child"),  # round in circles
            ("right", (3, 0, 0), "wrong child"),
            ("value", (1.0,), "differ in length"),
            ("feature", (-2, LEAF, LEAF), "no feature"),
        ],
    )
    def test_a_tree_that_leads_nowhere_is_refused(self, field: str, value: object, words: str) -> None:
        with pytest.raises(BundleError, match=words):
            Tree.from_dict({**STUMP.to_dict(), field: list(value)})  # type: ignore[call-overload]

    def test_a_feature_without_a_name_is_refused(self) -> None:
        with pytest.raises(BundleError, match="no name"):
            BoostedTrees.from_dict({"features": ["a"], "base": 0.0, "trees": [STUMP.to_dict()]})


CORNERS = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 40)] * 2)


class TestNesting:
    @given(st.lists(st.tuples(CORNERS, st.sampled_from([0.1, 0.5, 0.9])), max_size=12))
    def test_kept_boxes_are_apart_and_dropped_ones_lie_in_a_better_one(self, drawn: list) -> None:  # type: ignore[type-arg]
        boxes = np.array([(x, y, x + w, y + h) for (x, y, w, h), _ in drawn], np.int64).reshape(-1, 4)
        scores = np.array([score for _, score in drawn], np.float64)
        kept = without_nested(boxes, scores)
        assert [scores[i] for i in kept] == sorted((scores[i] for i in kept), reverse=True)
        share = np.array([[self.shared(a, b) for b in boxes] for a in boxes]).reshape(len(boxes), len(boxes))
        assert all(share[i, j] < SHARED for i in kept for j in kept if i != j)
        dropped = set(range(len(boxes))) - set(kept)
        assert all(any(share[i, j] >= SHARED and scores[j] >= scores[i] for j in kept) for i in dropped)

    @staticmethod
    def shared(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
        width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
        smaller = min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
        return float(max(0, width) * max(0, height) / smaller)


class TestShippedScorer:
    @pytest.mark.parametrize("scale", [0.75, 1.0, 2.0])
    def test_signatures_among_lines_and_text_are_found_at_any_resolution(self, scale: float) -> None:
        page, boxes = signed_page(scale=scale)
        found = find_signatures(page)
        assert len(found) == len(boxes)
        assert all(max(iou(box, truth) for box in found) > 0.5 for truth in boxes)

    def test_text_and_lines_alone_are_no_signature(self) -> None:
        page = np.full(PAGE, 250, np.uint8)
        print_lines(page)
        cv2.rectangle(page, (100, 100), (1000, 800), (20,), 4)
        assert find_signatures(page) == []

    def test_best_first_and_none_below_the_minimum(self) -> None:
        page, _ = signed_page()
        everything = find_signatures(page, minimum_score=0.0)
        scores = [box.score for box in everything]
        assert scores == sorted(scores, reverse=True) and min(scores) >= 0.0 and max(scores) <= 1.0
        middle = scores[len(scores) // 2]
        assert find_signatures(page, minimum_score=middle) == [box for box in everything if box.score >= middle]
        assert set(everything[0].to_dict()) == {"left", "top", "width", "height", "score"}

    def test_a_page_gives_the_same_boxes_again(self) -> None:
        page, _ = signed_page()
        assert find_signatures(page) == find_signatures(page.copy())

    def test_threads_make_no_difference(self) -> None:
        page, _ = signed_page(scale=2.0)
        threads = cv2.getNumThreads()
        try:
            found = []
            for count in (1, 4):
                cv2.setNumThreads(count)
                found.append(find_candidates(page))
        finally:
            cv2.setNumThreads(threads)
        np.testing.assert_array_equal(found[0].boxes, found[1].boxes)
        np.testing.assert_array_equal(found[0].features, found[1].features)

    def test_it_is_small_and_names_its_features(self) -> None:
        assert shipped_scorer().trees.features == FEATURES
        assert shipped_scorer().trees.parameters < 10_000
        assert 0.0 < shipped_scorer().minimum_score < 1.0

    def test_a_page_larger_than_the_working_side_is_measured_alike(self) -> None:
        small, large = (find_signatures(signed_page(scale=scale)[0]) for scale in (1.0, 2.0))
        assert max(signed_page(scale=2.0)[0].shape) > WORKING_SIDE
        halved = [(box.left // 2, box.top // 2, box.width // 2, box.height // 2) for box in large]
        assert all(max(iou(box, other) for other in halved) > 0.75 for box in small)


class TestReadScorer:
    def scorer(self, **changes: object) -> dict[str, object]:
        trees = BoostedTrees(FEATURES, 0.5, (leaf(0.25),))
        return {**Scorer(trees, 0.4).to_dict(), **changes}

    def test_it_is_read_back(self, tmp_path: Path) -> None:
        path = tmp_path / "scorer.json"
        path.write_text(json.dumps(self.scorer()))
        scorer = read_scorer(path)
        assert scorer.minimum_score == 0.4
        assert {box.score for box in find_signatures(signed_page()[0], scorer=scorer)} == {0.75}
        assert find_signatures(signed_page()[0], scorer=dataclasses.replace(scorer, minimum_score=0.8)) == []

    @pytest.mark.parametrize("changes", [{"minimum_score": 2.0}, {"minimum_score": "high"}, {"extra": 1}])
    def test_a_damaged_file_is_named_with_its_remedy(self, tmp_path: Path, changes: dict[str, object]) -> None:
        path = tmp_path / "scorer.json"
        path.write_text(json.dumps(self.scorer(**changes)))
        with pytest.raises(BundleError, match=r"scorer\.json .*install sigedge again\.$"):
            read_scorer(path)

    def test_a_missing_file_and_one_of_other_features_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match=r"none\.json"):
            read_scorer(tmp_path / "none.json")
        path = tmp_path / "other.json"
        path.write_text(json.dumps(self.scorer(trees=BoostedTrees(("height",), 0.0, (leaf(1.0),)).to_dict())))
        with pytest.raises(BundleError, match="features are not those"):
            read_scorer(path)
