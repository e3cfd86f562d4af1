"""Recording library calls and making them again."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from sigedge.bench.images import synthetic_scans
from sigedge.bench.recorder import Call, record, straight_line
from sigedge_runtime.preprocessing import harmonise


def blurred_ink(image: Any) -> int:
    """A small preprocessing: OpenCV, an operator, indexing, a reduction, an assignment."""
    dark = 255 - cv2.GaussianBlur(image, (3, 3), 0)
    mask = dark > 100
    dark[~mask] = 0
    return int(dark[2:].sum())


def test_calls_are_listed_in_order_with_what_they_got() -> None:
    image = np.full((20, 30), 50, np.uint8)
    calls = record(blurred_ink, image)
    assert [call.name for call in calls] == [
        "cv2.GaussianBlur",
        "numpy.subtract",
        "numpy.greater",
        "numpy.invert",
        "numpy assignment",
        "numpy indexing",
        "numpy.sum",
    ]
    assert np.array_equal(calls[0].arguments[0], image) and calls[0].arguments[1] == (3, 3)


def test_arguments_are_plain_arrays() -> None:
    calls = record(blurred_ink, np.full((20, 30), 50, np.uint8))
    arrays = [one for call in calls for one in call.arguments if isinstance(one, np.ndarray)]
    assert arrays and all(type(one) is np.ndarray for one in arrays)


def test_a_replay_makes_the_same_calls_on_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    image = synthetic_scans(1, 1)[0]
    calls = record(harmonise, image)
    first, last = calls[0], calls[-1]
    again = [call.function(*call.arguments, **call.keywords) for call in (first, last)]
    assert all(type(one) is np.ndarray or isinstance(one, (int, float, tuple, np.generic, type(None))) for one in again)
    run = straight_line(calls, image)
    run()
    run()  # what a call writes in place does not make the next one fail


def test_harmonise_does_not_notice_that_it_is_recorded() -> None:
    image = synthetic_scans(1, 1)[0]
    canvases = []
    calls = record(lambda watched: canvases.append(harmonise(watched)), image)
    expected = harmonise(image)
    assert np.array_equal(np.asarray(canvases[0].canvas), expected.canvas)
    assert canvases[0].quality == expected.quality
    assert sum(call.name.startswith("cv2.") for call in calls) >= 5


def test_a_loop_over_an_array_is_replayed_too() -> None:
    def rows(image: Any) -> list[int]:
        return [int(row.sum()) for row in cv2.flip(image, 0)]

    calls = record(rows, np.ones((3, 4), np.uint8))
    assert [call.name for call in calls].count("numpy indexing") == 3
    straight_line(calls, np.ones((3, 4), np.uint8))()


def test_each_call_works_on_what_earlier_ones_returned() -> None:
    image, seen = np.zeros((4, 4), np.uint8), []
    calls = record(lambda watched: cv2.add(cv2.add(watched, 3), 4), image)
    last = calls[-1]
    calls.append(Call("keep", seen.append, (last.result,), {}, None))
    run = straight_line(calls, image)
    image += 1
    run()
    assert np.all(seen[0] == 8), "3 and 4 more than the image holds by now"


def test_opencv_is_itself_again_afterwards() -> None:
    before = cv2.resize
    with pytest.raises(ValueError, match="on purpose"):
        record(failing, np.zeros((4, 4), np.uint8))
    assert cv2.resize is before
    count = len(calls := record(blurred_ink, np.zeros((8, 8), np.uint8)))
    cv2.resize(np.zeros((4, 4), np.uint8), (2, 2))
    assert len(calls) == count


def failing(image: Any) -> None:
    raise ValueError("on purpose")
