"""A histogram of a stream of values whose extremes nobody knows beforehand."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

BINS = 8192


class Histogram:
    """Counts of values in `BINS` equal bins over -limit to limit; the limit is a power of two and grows as needed.

    Bins of a grown histogram are whole pairs of the old ones, so that the result depends on the values alone and not on
    their order. Extremes are kept exactly.

    Attributes:
        counts: int64 [BINS].
        limit: half the width covered; 0 as long as every value was 0.
        low: smallest value seen; infinite before the first.
        high: largest value seen; likewise.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.limit = 0.0
        self.low, self.high = math.inf, -math.inf

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middle of each bin, float64 [BINS]."""
        return self.limit * ((2 * np.arange(BINS) + 1) / BINS - 1)

    def update(self, values: NDArray[np.float32]) -> None:
        """Count finite values of any shape.

        Raises:
            ValueError: there are none, or one is not finite.
        """
        flat = values.astype(np.float64).ravel()
        if not flat.size or not np.isfinite(flat).all():
            raise ValueError("a histogram counts finite values, at least one at a time")
        self.low, self.high = min(self.low, float(flat.min())), max(self.high, float(flat.max()))
        self._grow(max(-self.low, self.high))
        # Exact, as the bins are a power of two wide: a value never lands beside its bin by rounding.
        places = np.floor(flat * (BINS / 2 / self.limit) if self.limit else flat).astype(np.int64) + BINS // 2
        self.counts += np.bincount(places, minlength=BINS)

    def _grow(self, reach: float) -> None:
        # The next power of two above, so that no value lies on the outermost edge, which belongs to no bin.
        wanted = math.ldexp(1.0, math.frexp(reach)[1]) if reach else 0.0
        if wanted <= self.limit:
            return
        while 0 < self.limit < wanted:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.pad(pairs, BINS // 4)
            self.limit *= 2
        self.limit = wanted
