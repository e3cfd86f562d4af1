"""Streaming histograms, and the ranges that follow from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sigedge_export.calibration import METHODS
from sigedge_export.calibration.histogram import BINS, Histogram
from sigedge_export.calibration.ranges import choose_range, choose_ranges, quantization_error
from sigedge_runtime.errors import ExportError

VALUES = arrays(np.float32, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32))


def histogram(*batches: np.ndarray) -> Histogram:
    made = Histogram()
    for batch in batches:
        made.update(np.asarray(batch, np.float32))
    return made


class TestHistogram:
    @given(VALUES, VALUES)
    def test_the_order_does_not_matter(self, first: np.ndarray, second: np.ndarray) -> None:
        one, other = histogram(first, second), histogram(second, first)
        assert (one.limit, one.low, one.high) == (other.limit, other.low, other.high)
        assert np.array_equal(one.counts, other.counts)

    @given(VALUES)
    def test_keeps_every_value_to_within_a_bin(self, values: np.ndarray) -> None:
        made = histogram(*values[:, None])
        assert made.counts.sum() == len(values)
        assert (made.low, made.high) == (values.min(), values.max())
        kept = np.repeat(made.centres, made.counts)
        assert np.abs(kept - np.sort(values)).max() <= made.limit / BINS + 1e-12

    def test_a_stream_of_zeros_and_then_more(self) -> None:
        made = histogram(np.zeros(5), np.array([3.0]))
        assert made.counts.sum() == 6 and made.limit == 4.0

    @pytest.mark.parametrize("values", [[], [math.nan], [math.inf, 1.0]])
    def test_counts_finite_values_alone(self, values: list[float]) -> None:
        with pytest.raises(ValueError, match="finite"):
            histogram(np.array(values))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("method", METHODS)
@given(values=VALUES)
def test_every_range_lies_in_what_was_seen_and_contains_zero(method: str, symmetric: bool, values: np.ndarray) -> None:
    low, high = choose_range(histogram(values), method, symmetric=symmetric)
    reach = float(np.abs(values).max())
    assert -reach <= low <= 0 <= high <= reach
    assert not symmetric or low == -high
    assert (low, high) == (0, 0) or reach > 0


def test_minmax_covers_everything() -> None:
    made = histogram(np.array([-0.5, 0.0, 3.0]))
    assert choose_range(made, "minmax", symmetric=False) == (-0.5, 3.0)
    assert choose_range(made, "minmax", symmetric=True) == (-3.0, 3.0)
    assert choose_range(histogram(np.array([2.0, 3.0])), "minmax", symmetric=False) == (0.0, 3.0)


def test_a_percentile_leaves_the_tail_out() -> None:
    values = np.random.default_rng(0).normal(size=200_000)
    made = histogram(values, np.array([50.0]))
    low, high = choose_range(made, "percentile-99.9", symmetric=False)
    assert high == pytest.approx(np.percentile(values, 99.9), abs=0.05)
    assert low == pytest.approx(np.percentile(values, 0.1), abs=0.05)
    both = choose_range(made, "percentile-99.9", symmetric=True)[1]
    assert both == pytest.approx(np.percentile(np.abs(values), 99.9), abs=0.05)
    assert high < choose_range(made, "percentile-99.99", symmetric=False)[1] < 50


@pytest.mark.parametrize("symmetric", [True, False])
def test_mse_clips_an_outlier_and_rounds_better_for_it(symmetric: bool) -> None:
    values = np.append(np.random.default_rng(1).normal(size=1_000_000), 60.0)
    made = histogram(values)
    chosen = choose_range(made, "mse", symmetric=symmetric)
    widest = choose_range(made, "minmax", symmetric=symmetric)
    ones = np.ones(len(values), np.int64)
    assert chosen[1] < 45
    assert quantization_error(values, ones, chosen, symmetric) < 0.7 * quantization_error(
        values, ones, widest, symmetric
    )


def test_mse_covers_what_is_all_used() -> None:
    assert choose_range(histogram(np.linspace(0, 1, 5000)), "mse", symmetric=False)[1] > 0.98


@given(st.floats(0.01, 100), st.booleans())
def test_no_value_within_the_range_is_off_by_more_than_half_a_step(reach: float, symmetric: bool) -> None:
    low = -reach if symmetric else 0.0
    values = np.linspace(low, reach, 1000)
    step = 2 * reach / 254 if symmetric else reach / 255
    error = quantization_error(values, np.ones(1000, np.int64), (low, reach), symmetric)
    assert error <= (step / 2) ** 2 * 1.001


def test_tensors_that_must_not_be_clipped_are_not() -> None:
    values = np.append(np.zeros(100_000), [255.0])
    made = {"canvas": histogram(values), "inner": histogram(values)}
    chosen = choose_ranges(made, "percentile-99.9", symmetric=False, exact=("canvas",))
    assert chosen["canvas"] == (0.0, 255.0) and chosen["inner"][1] < 1


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ExportError, match="no range method 'guess'; choose one of minmax"):
        choose_range(histogram(np.ones(2)), "guess", symmetric=True)
    with pytest.raises(ExportError, match="no range method"):
        choose_ranges({}, "guess", symmetric=True)
