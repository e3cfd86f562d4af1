"""Error rates of scores: a signature is accepted when its score is at or above the threshold.

FMR (false match rate, FAR here) is the share of forgeries accepted, FNMR (FRR here) the share of genuine
signatures rejected, as in ISO/IEC 19795-1. Scores are float arrays [N]; higher means more alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sigedge_runtime.errors import DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ErrorCurve:
    """Error rates at every threshold that changes them.

    Attributes:
        thresholds: float64 [T], every distinct score in rising order, then infinity.
        far: float64 [T], share of forgeries accepted, falling from 1 to 0.
        frr: float64 [T], share of genuine signatures rejected, rising from 0 to 1.
    """

    thresholds: Floats
    far: Floats
    frr: Floats


def error_curve(genuine: ArrayLike, forged: ArrayLike) -> ErrorCurve:
    """Error rates of genuine and forged scores at every threshold.

    Raises:
        DataError: one of the two is empty or holds a value that is not finite.
    """
    return mean_error_curve([(genuine, forged)])


def mean_error_curve(parts: Sequence[tuple[ArrayLike, ArrayLike]]) -> ErrorCurve:
    """Mean error rates of parts, each genuine and forged scores: all count the same, however many scores they have.

    Raises:
        DataError: as `error_curve`, or there is no part.
    """
    if not parts:
        raise DataError("There are no scores to evaluate; the data set needs genuine and forged samples.")
    checked = [(_checked(genuine, "genuine"), _checked(forged, "forged")) for genuine, forged in parts]
    thresholds = np.append(np.unique(np.concatenate([scores for part in checked for scores in part])), np.inf)
    frr = np.mean([np.searchsorted(accepted, thresholds) / accepted.size for accepted, _ in checked], axis=0)
    far = np.mean([1.0 - np.searchsorted(rejected, thresholds) / rejected.size for _, rejected in checked], axis=0)
    return ErrorCurve(thresholds, far, frr)


def equal_error_rate(genuine: ArrayLike, forged: ArrayLike) -> float:
    """Rate, 0 to 1, at which FAR and FRR are equal, by linear interpolation between thresholds.

    It depends on the order of the scores alone, and swapping the two classes and the sign changes nothing.

    Raises:
        DataError: as `error_curve`.
    """
    return equal_rate(error_curve(genuine, forged))


def equal_rate(curve: ErrorCurve) -> float:
    """Rate, 0 to 1, at which FAR and FRR of a curve are equal, by linear interpolation between thresholds."""
    after = int(np.argmax(curve.frr >= curve.far))
    before = after - 1  # the lowest threshold rejects nothing and accepts everything, so it is never `after`
    rates = (curve.far[before], curve.frr[before], curve.far[after], curve.frr[after])
    return float(interpolate_crossing(*(np.asarray(rate) for rate in rates)))


def interpolate_crossing(far0: Floats, frr0: Floats, far1: Floats, frr1: Floats) -> Floats:
    """Where segments (far0, frr0)-(far1, frr1) meet FAR = FRR; needs frr0 < far0 and frr1 >= far1."""
    gap0, gap1 = far0 - frr0, frr1 - far1
    # A sum of terms that are not negative: rounding cannot push a rate below 0.
    return np.asarray((far0 * gap1 + far1 * gap0) / (gap0 + gap1), dtype=np.float64)


def frr_at_far(genuine: ArrayLike, forged: ArrayLike, far: float) -> float:
    """Lowest FRR, 0 to 1, of a threshold whose FAR does not exceed `far`; no interpolation.

    Raises:
        DataError: as `error_curve`.
    """
    curve = error_curve(genuine, forged)
    return float(curve.frr[np.argmax(curve.far <= far)])


def auc(genuine: ArrayLike, forged: ArrayLike) -> float:
    """Probability, 0 to 1, that a genuine score exceeds a forged one; a tie counts half.

    Raises:
        DataError: as `error_curve`.
    """
    accepted, rejected = _checked(genuine, "genuine"), _checked(forged, "forged")
    below = np.searchsorted(rejected, accepted, side="left")
    not_above = np.searchsorted(rejected, accepted, side="right")
    return float((below + not_above).sum() / (2.0 * accepted.size * rejected.size))


def cllr(genuine_llr: ArrayLike, forged_llr: ArrayLike) -> float:
    """Cost of log-likelihood ratios in bits: 0 is perfect, 1 says nothing, more misleads.

    N. Brümmer and J. du Preez, "Application-independent evaluation of speaker detection", 2006.

    Args:
        genuine_llr: natural log-likelihood ratios of genuine signatures, [N].
        forged_llr: those of forgeries, [M].

    Raises:
        DataError: one of the two is empty or holds a NaN.
    """
    accepted = _checked(genuine_llr, "genuine", finite=False)
    rejected = _checked(forged_llr, "forged", finite=False)
    genuine_cost, forged_cost = np.logaddexp(0, -accepted).mean(), np.logaddexp(0, rejected).mean()
    return float((genuine_cost + forged_cost) / (2.0 * np.log(2.0)))


def min_cllr(genuine: ArrayLike, forged: ArrayLike) -> float:
    """Least Cllr, 0 to 1 bit, that any monotone calibration of these scores reaches (isotonic regression).

    Raises:
        DataError: as `error_curve`.
    """
    from sklearn.isotonic import IsotonicRegression

    accepted, rejected = _checked(genuine, "genuine"), _checked(forged, "forged")
    scores = np.concatenate([accepted, rejected])
    labels = np.repeat([1.0, 0.0], [accepted.size, rejected.size])
    # Both classes weigh the same, so that the odds of the posterior are the likelihood ratio.
    weights = np.repeat([0.5 / accepted.size, 0.5 / rejected.size], [accepted.size, rejected.size])
    posterior = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(scores, labels, sample_weight=weights)
    with np.errstate(divide="ignore"):
        ratios = np.log(posterior) - np.log1p(-posterior)
    return cllr(ratios[: accepted.size], ratios[accepted.size :])


def det_points(genuine: ArrayLike, forged: ArrayLike, fars: Sequence[float]) -> list[float]:
    """FRR at each of the given FARs, for a DET curve; each as `frr_at_far`.

    Raises:
        DataError: as `error_curve`.
    """
    curve = error_curve(genuine, forged)
    return [float(curve.frr[np.argmax(curve.far <= far)]) for far in fars]


def _checked(scores: ArrayLike, name: str, *, finite: bool = True) -> Floats:
    """Sorted float64 copy of scores."""
    values = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    if values.size == 0:
        raise DataError(f"There are no {name} scores to evaluate; the data set needs genuine and forged samples.")
    if np.isnan(values).any() or (finite and not np.isfinite(values).all()):
        raise DataError(f"A {name} score is not a finite number; check the model's weights and its input.")
    return values
