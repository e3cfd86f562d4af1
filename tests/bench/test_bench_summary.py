"""Percentiles and intervals of a bench."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.bench.summary import ratio_of_medians, summarise

times = st.lists(st.floats(0.001, 1e4), min_size=1, max_size=200)


@given(times)
def test_percentiles_are_ordered_and_within_the_sample(sample: list[float]) -> None:
    found = summarise(sample)
    ordered = [min(sample), found.p50, found.p90, found.p95, found.p99, found.max]
    assert all(a <= b + 1e-3 for a, b in pairwise(ordered))
    assert found.n == len(sample) and found.max == pytest.approx(max(sample), abs=1e-3)


@given(times)
def test_the_interval_holds_the_median(sample: list[float]) -> None:
    found = summarise(sample)
    low, high = found.p50_ci95
    assert min(sample) - 1e-3 <= low <= high <= max(sample) + 1e-3
    if len(sample) >= 5:
        assert low - 1e-3 <= found.p50 <= high + 1e-3


def test_the_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    hits = sum(
        low <= np.log(2) <= high
        for low, high in (summarise(rng.exponential(size=80).tolist()).p50_ci95 for _ in range(150))
    )
    assert 132 <= hits <= 150


def test_outliers_are_kept() -> None:
    assert summarise([1.0] * 99 + [500.0]).max == 500.0


def test_the_same_sample_gives_the_same_interval() -> None:
    sample = list(np.random.default_rng(0).normal(10, 1, 50))
    assert summarise(sample) == summarise(sample)


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="no measurement"):
        summarise([])


@given(times, st.floats(0.1, 10))
def test_a_ratio_of_proportional_samples_is_certain(sample: list[float], factor: float) -> None:
    found = ratio_of_medians([factor * value for value in sample], sample)
    assert found == pytest.approx((factor,) * 3, abs=1e-3)


def test_what_disturbs_a_whole_round_cancels() -> None:
    rng = np.random.default_rng(4)
    disturbance = rng.choice([1.0, 3.0], size=60)
    slow, fast = 2 * disturbance, disturbance * rng.uniform(0.98, 1.02, size=60)
    estimate, low, high = ratio_of_medians(slow.tolist(), fast.tolist())
    assert estimate == pytest.approx(2, rel=0.03)
    assert 1.9 < low <= high < 2.1, "though the medians themselves lie anywhere between 1 and 3"


@pytest.mark.parametrize(("one", "other"), [([], []), ([1.0], [1.0, 2.0])])
def test_a_ratio_needs_the_same_rounds(one: list[float], other: list[float]) -> None:
    with pytest.raises(ValueError, match="same rounds"):
        ratio_of_medians(one, other)
