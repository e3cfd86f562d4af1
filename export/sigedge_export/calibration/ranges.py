"""From the values of an activation to the range that eight bits shall cover."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from sigedge_export.calibration.histogram import Histogram
from sigedge_runtime.errors import ExportError

Range = tuple[float, float]
METHODS = ("minmax", "percentile-99.9", "percentile-99.99", "mse")
DEFAULT_METHOD = "minmax"

CANDIDATES = 100
"""Ends of a range that the search of "mse" tries: the extreme times 1/100, 2/100 ... 1."""

LEVELS_SYMMETRIC = 127
LEVELS = 255


def choose_ranges(
    histograms: Mapping[str, Histogram], method: str, *, symmetric: bool, exact: tuple[str, ...] = ()
) -> dict[str, Range]:
    """The range of each tensor, by name.

    Args:
        histograms: values of the tensors over the calibration canvases.
        method: one of `METHODS`.
        symmetric: whether the format's ranges lie symmetrically about 0.
        exact: tensors that are never clipped, such as the network's input, whose range is known.

    Raises:
        ExportError: an unknown method.
    """
    check_method(method)
    return {
        name: choose_range(histogram, "minmax" if name in exact else method, symmetric=symmetric)
        for name, histogram in histograms.items()
    }


def choose_range(histogram: Histogram, method: str, *, symmetric: bool) -> Range:
    """The range of one tensor; it always contains 0, which convolutions pad with and ReLU returns.

    ``minmax`` covers every value seen. ``percentile-P`` leaves out the share of the values above P % (and, where the
    range is not symmetric, as many below). ``mse`` searches the range whose mean squared quantization error is least
    (Nagel et al., arXiv 2106.08295, section 3.1), one end after the other over `CANDIDATES` shares of its extreme.

    Args:
        histogram: at least one value.
        method: one of `METHODS`.
        symmetric: give -x to x, for 2 x 127 + 1 levels; else any range about 0, for 256 levels.

    Raises:
        ExportError: an unknown method.
    """
    check_method(method)
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    if high == low or method == "minmax":
        return low, high
    clip = _least_error if method == "mse" else _percentile(float(method.partition("-")[2]))
    return clip(histogram, (low, high), symmetric)


def check_method(method: str) -> None:
    """Refuse a method that does not exist.

    Raises:
        ExportError: it does not.
    """
    if method not in METHODS:
        raise ExportError(f"There is no range method {method!r}; choose one of {', '.join(METHODS)}.")


def _percentile(percent: float) -> Callable[[Histogram, Range, bool], Range]:
    def clip(histogram: Histogram, widest: Range, symmetric: bool) -> Range:
        share = percent / 100
        if symmetric:
            reach = min(_quantile(np.abs(histogram.centres), histogram.counts, share, histogram), widest[1])
            return -reach, reach
        low = _quantile(histogram.centres, histogram.counts, 1 - share, histogram)
        high = _quantile(histogram.centres, histogram.counts, share, histogram)
        return max(min(low, 0.0), widest[0]), min(max(high, 0.0), widest[1])

    return clip


def _quantile(values: NDArray[np.float64], counts: NDArray[np.int64], share: float, histogram: Histogram) -> float:
    """The outer edge of the bin that the quantile falls into."""
    order = np.argsort(values, kind="stable")
    place = int(np.searchsorted(np.cumsum(counts[order]), share * counts.sum()))
    centre = float(values[order][min(place, len(order) - 1)])
    half_a_bin = histogram.limit / len(counts)
    return centre + half_a_bin if centre > 0 else centre - half_a_bin


def _least_error(histogram: Histogram, widest: Range, symmetric: bool) -> Range:
    counted = histogram.counts > 0
    values, counts = histogram.centres[counted], histogram.counts[counted]

    def best(candidates: Iterable[Range]) -> Range:
        return min(candidates, key=lambda covered: quantization_error(values, counts, covered, symmetric))

    shares = np.arange(CANDIDATES, 0, -1) / CANDIDATES
    if symmetric:
        return best((-share * widest[1], share * widest[1]) for share in shares)
    low, high = widest
    for _ in range(2):
        low, high = best((low, share * widest[1]) for share in (shares if widest[1] else [1.0]))
        low, high = best((share * widest[0], high) for share in (shares if widest[0] else [1.0]))
    return float(low), float(high)


def quantization_error(
    values: NDArray[np.float64], counts: NDArray[np.int64], covered: Range, symmetric: bool
) -> float:
    """Mean squared error of rounding values to 8 bits over a range, and of clipping those beyond it.

    Args:
        values: [B].
        counts: [B], how often each occurs.
        covered: the range.
        symmetric: as in `choose_range`.
    """
    low, high = covered
    scale = (high - low) / (2 * LEVELS_SYMMETRIC if symmetric else LEVELS)
    zero = round(-low / scale)
    top = 2 * LEVELS_SYMMETRIC if symmetric else LEVELS
    restored = (np.clip(np.round(values / scale) + zero, 0, top) - zero) * scale
    return float(np.average((restored - values) ** 2, weights=counts))
