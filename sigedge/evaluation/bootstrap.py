"""Confidence intervals by resampling signers, not trials: the trials of one person are not independent.

Scores are sorted once; each signer then contributes counts, and a resample of signers is a vector of weights
on those counts. A pooled rate of all resamples is found by bisection over the sorted thresholds: exact, and a
matter of a second for 2,000 resamples of 100,000 trials. A random-forgery trial belongs to the signer whose
signature is claimed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sigedge.evaluation.metrics import Floats, interpolate_crossing
from sigedge.evaluation.trials import GENUINE, SKILLED, TrialScores
from sigedge_runtime.errors import DataError

RESAMPLES = 2000
Interval = tuple[float, float]


@dataclass(frozen=True)
class PairedDifference:
    """Difference of two systems on the same trials.

    Attributes:
        difference: rate of the first minus rate of the second.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
    """

    difference: float
    low: float
    high: float

    @property
    def includes_zero(self) -> bool:
        """Whether the data cannot tell the two apart."""
        return self.low <= 0.0 <= self.high


def resample_weights(signers: int, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """How often each signer is drawn: float64 [resamples, signers], each row sums to `signers`."""
    if signers < 1:
        raise DataError("There is no signer to resample; the evaluated set is empty.")
    rng = np.random.default_rng(seed)
    return rng.multinomial(signers, np.full(signers, 1.0 / signers), size=resamples).astype(np.float64)


def percentile_interval(values: ArrayLike, level: float = 0.95) -> Interval | None:
    """Central interval of bootstrap values; None when no resample had a value."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


class SignerCurves:
    """Error counts of every signer at every threshold, ready for weighting."""

    def __init__(self, scores: ArrayLike, genuine: ArrayLike, signers: ArrayLike, count: int) -> None:
        """Count once.

        Args:
            scores: float [T], one a trial.
            genuine: bool [T], True for genuine trials.
            signers: int [T] in 0..count-1, whose signature is claimed.
            count: number of signers.

        Raises:
            DataError: there is no genuine or no forged trial.
        """
        values = np.asarray(scores, dtype=np.float64)
        is_genuine, owner = np.asarray(genuine, dtype=bool), np.asarray(signers, dtype=np.int64)
        if is_genuine.all() or not is_genuine.any():
            raise DataError("The trials need genuine and forged ones; the data set lacks one kind.")
        thresholds = np.append(np.unique(values), np.inf)
        self._rejected = _counts_below(values[is_genuine], owner[is_genuine], thresholds, count)
        self._forgeries_below = _counts_below(values[~is_genuine], owner[~is_genuine], thresholds, count)
        self._last = thresholds.size - 1

    def equal_error_rates(self, weights: Floats) -> Floats:
        """Pooled EER of each resample: float64 [B] for weights [B, signers]; NaN where a class is absent."""
        after = self._first(weights, lambda far, frr: frr >= far)
        far0, frr0 = self._rates(weights, after - 1)
        far1, frr1 = self._rates(weights, after)
        return interpolate_crossing(far0, frr0, far1, frr1)

    def frr_at_far(self, weights: Floats, far: float) -> Floats:
        """Pooled FRR of each resample at its lowest threshold with a FAR of at most `far`: float64 [B]."""
        return self._rates(weights, self._first(weights, lambda far_here, _: far_here <= far))[1]

    def _rates(self, weights: Floats, at: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """FAR and FRR of each resample at its own threshold index `at` [B]."""
        with np.errstate(invalid="ignore"):
            frr = _weighted(weights, self._rejected, at) / (weights @ self._rejected[-1])
            far = 1.0 - _weighted(weights, self._forgeries_below, at) / (weights @ self._forgeries_below[-1])
        return far, frr

    def _first(self, weights: Floats, holds: Callable[[Floats, Floats], NDArray[np.bool_]]) -> NDArray[np.int64]:
        """First threshold index, at least 1, at which a condition that never turns false again holds."""
        low = np.ones(len(weights), dtype=np.int64)
        high = np.full(len(weights), self._last, dtype=np.int64)
        while (low < high).any():
            middle = (low + high) // 2
            reached = holds(*self._rates(weights, middle))
            low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
            low = np.minimum(low, high)
        return high


def bootstrap_interval(
    scores: ArrayLike,
    genuine: ArrayLike,
    signers: ArrayLike,
    count: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """95 % interval of the pooled EER; None with fewer than 2 signers. Arguments as in `SignerCurves`."""
    if count < 2:
        return None
    weights = resample_weights(count, resamples, seed)
    return percentile_interval(SignerCurves(scores, genuine, signers, count).equal_error_rates(weights))


def paired_eer_difference(
    first: ArrayLike,
    second: ArrayLike,
    genuine: ArrayLike,
    signers: ArrayLike,
    count: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """EER of `first` minus EER of `second` on the same trials, with both resampled together.

    Args:
        first: float [T], scores of one system (for example int8).
        second: float [T], scores of the other on the same trials (for example float32).
        genuine, signers, count: as in `SignerCurves`.
        resamples: number of resamples.
        seed: seed of the resampling.

    Raises:
        DataError: the two have different lengths, or there is no genuine or no forged trial.
    """
    if np.shape(first) != np.shape(second):
        raise DataError("A paired comparison needs the scores of both systems on the very same trials.")
    curves = [SignerCurves(scores, genuine, signers, count) for scores in (first, second)]
    everyone = np.ones((1, count))
    weights = resample_weights(count, resamples, seed)
    point = curves[0].equal_error_rates(everyone) - curves[1].equal_error_rates(everyone)
    drawn = curves[0].equal_error_rates(weights) - curves[1].equal_error_rates(weights)
    low, high = percentile_interval(drawn) or (float("nan"), float("nan"))
    return PairedDifference(float(point[0]), low, high)


def skilled_change(first: TrialScores, second: TrialScores, *, seed: int = 0) -> dict[str, float] | None:
    """Skilled EER of `first` less that of `second` on the same trials, with its 95 % interval, as results hold it.

    Returns:
        ``estimate``, ``low`` and ``high``, -1 to 1; None when the genuine or the skilled trials are missing.

    Raises:
        DataError: the two have different lengths.
    """
    one, other = first.against(SKILLED), second.against(SKILLED)
    genuine = one.kinds == GENUINE
    if genuine.all() or not genuine.any():
        return None
    change = paired_eer_difference(one.scores, other.scores, genuine, one.signers, len(one.names), seed=seed)
    return {"estimate": change.difference, "low": change.low, "high": change.high}


def _counts_below(scores: Floats, owner: NDArray[np.int64], thresholds: Floats, count: int) -> NDArray[np.int32]:
    """How many scores of each signer lie below each threshold: int32 [T, signers]."""
    counts = np.zeros((thresholds.size, count), dtype=np.int32)
    for signer in range(count):
        counts[:, signer] = np.searchsorted(np.sort(scores[owner == signer]), thresholds, side="left")
    return counts


def _weighted(weights: Floats, counts: NDArray[np.int32], at: NDArray[np.int64]) -> Floats:
    return np.asarray(np.einsum("bs,bs->b", weights, counts[at]), dtype=np.float64)
