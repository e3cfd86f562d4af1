"""Percentiles of a latency sample, with an interval for its median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
TAIL_RESAMPLES = 300


@dataclass(frozen=True)
class Summary:
    """A latency sample in milliseconds; no outlier is removed.

    Attributes:
        n: number of measurements.
        p50, p90, p95, p99: percentiles, linear between neighbours.
        max: the slowest.
        mean: arithmetic mean.
        p50_ci95: 95 % percentile-bootstrap interval of the median (Efron 1979), 2,000 seeded resamples.
    """

    n: int
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    mean: float
    p50_ci95: tuple[float, float]


def summarise(milliseconds: Sequence[float]) -> Summary:
    """Summarise at least one measurement; every figure is rounded to a microsecond.

    Raises:
        ValueError: there is no measurement.
    """
    if not milliseconds:
        raise ValueError("there is no measurement to summarise")
    sample = np.asarray(milliseconds, dtype=np.float64)
    draws = np.random.default_rng(0).choice(sample, size=(RESAMPLES, len(sample)))
    low, high = np.percentile(np.median(draws, axis=1), (2.5, 97.5))
    p50, p90, p95, p99 = (round(float(value), 3) for value in np.percentile(sample, (50, 90, 95, 99)))
    return Summary(
        n=len(sample),
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        max=round(float(sample.max()), 3),
        mean=round(float(sample.mean()), 3),
        p50_ci95=(round(float(low), 3), round(float(high), 3)),
    )


def ratio_of_medians(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, float, float]:
    """Median over median of measurements taken in the same rounds, with its 95 % percentile-bootstrap interval.

    Rounds are drawn, so that both samples see the same draw and what disturbed a whole round cancels.

    Args:
        numerators: at least one measurement a round.
        denominators: as many, above 0.

    Returns:
        Estimate, low and high end.

    Raises:
        ValueError: there is no measurement, or the samples differ in length.
    """
    if not numerators or len(numerators) != len(denominators):
        raise ValueError("both samples need the same rounds, and at least one")
    pair = np.array([numerators, denominators], dtype=np.float64)
    draws = np.random.default_rng(0).integers(0, pair.shape[1], size=(RESAMPLES, pair.shape[1]))
    above, below = np.median(pair[:, draws], axis=2)
    low, high = np.percentile(above / below, (2.5, 97.5))
    estimate = np.median(pair[0]) / np.median(pair[1])
    return round(float(estimate), 3), round(float(low), 3), round(float(high), 3)


def ratio_of_rounds(above: Sequence[Sequence[float]], below: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """`ratio_of_medians` of contestants that took turns: each round counts with its own median.

    Args:
        above: measurements of each round, at least one in each.
        below: of the same rounds.
    """
    return ratio_of_medians(*([float(np.median(taken)) for taken in rounds] for rounds in (above, below)))


def tail_ratio(rounds: Sequence[Sequence[float]], percentile: float = 99) -> tuple[float, float, float]:
    """A percentile over the median of all measurements, with its 95 % interval over drawn rounds.

    Args:
        rounds: measurements of each round, at least one in each.
        percentile: 0 to 100.

    Returns:
        Estimate, low and high end.
    """
    draws = np.random.default_rng(0).integers(0, len(rounds), size=(TAIL_RESAMPLES, len(rounds)))
    found = [_tail([rounds[index] for index in draw], percentile) for draw in draws]
    low, high = np.percentile(found, (2.5, 97.5))
    return round(_tail(rounds, percentile), 3), round(float(low), 3), round(float(high), 3)


def _tail(rounds: Sequence[Sequence[float]], percentile: float) -> float:
    top, middle = np.percentile(np.concatenate([np.asarray(taken) for taken in rounds]), (percentile, 50))
    return float(top / middle)
