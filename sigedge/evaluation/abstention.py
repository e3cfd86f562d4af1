"""What sending poor pictures back is worth: errors among those that are answered, against the share sent back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sigedge.evaluation.metrics import Floats, equal_error_rate
from sigedge_runtime.errors import DataError

SHARES = tuple(step / 40 for step in range(21))
"""Shares of the queries sent back: 0 to one half."""
REPEATS = 50


@dataclass(frozen=True)
class AnsweredErrors:
    """Error rates among the trials whose query is answered, 0 to 1; NaN where no trial of a class is left.

    Attributes:
        eer: at a threshold of their own, float64 [..., P].
        far: share of forgeries accepted at the fixed threshold, likewise.
        frr: share of genuine signatures rejected there, likewise.
    """

    eer: Floats
    far: Floats
    frr: Floats

    @property
    def half_total(self) -> Floats:
        """Mean of FAR and FRR at the fixed threshold."""
        return (self.far + self.frr) / 2


@dataclass(frozen=True)
class AbstentionCurve:
    """Errors against the share of queries that are sent back.

    Attributes:
        bounds: quality index below which a query is sent back, float64 [P], rising.
        rejected: share of the queries below each bound, float64 [P], 0 to 1, rising from 0.
        rejected_genuine: the same share among genuine queries alone.
        rejected_forged: and among forged ones. Where the two differ, quality tells the classes apart, as it does in
            data sets whose forgeries were scanned another day, and an error that falls proves little.
        worst_first: errors [P] when the queries of the worst quality are sent back.
        at_random: errors [repeats, P] when as many queries are sent back at random.
    """

    bounds: Floats
    rejected: Floats
    rejected_genuine: Floats
    rejected_forged: Floats
    worst_first: AnsweredErrors
    at_random: AnsweredErrors


def abstention_curve(
    quality: ArrayLike,
    queries: ArrayLike,
    scores: ArrayLike,
    genuine: ArrayLike,
    threshold: float,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> AbstentionCurve:
    """Send back the worst queries first and see what becomes of the errors.

    It is the error versus reject curve of P. Grother and E. Tabassi, "Performance of biometric quality measures", IEEE
    TPAMI 29(4), 2007. Queries of equal quality are sent back together, so a share may be smaller than asked for. At
    random means that the same quality indices are dealt out to the queries anew.

    Args:
        quality: [N], quality index of each image, 0 to 1.
        queries: int [T], row in `quality` of the query of each trial; one image may be the query of many trials.
        scores: [T], of each trial.
        genuine: bool [T], whether the query is genuine; False for a forgery.
        threshold: fixed beforehand; a score at or above it is accepted.
        repeats: random orders, at least 1.
        seed: of the random orders.

    Returns:
        P points, one for each bound that `SHARES` lead to.

    Raises:
        DataError: sizes differ, there are no genuine or no forged trials, or a value is not finite.
    """
    trials = _checked(quality, queries, scores, genuine)
    asked, of_trial = np.unique(trials.queries, return_inverse=True)
    indices = trials.quality[asked]
    ordered = np.sort(indices)
    bounds = np.unique([ordered[int(share * len(ordered))] for share in SHARES])
    rng = np.random.default_rng(seed)
    worst_first = _errors(indices[of_trial], trials, threshold, bounds)
    random = [_errors(rng.permutation(indices)[of_trial], trials, threshold, bounds) for _ in range(repeats)]
    return AbstentionCurve(
        bounds=bounds,
        rejected=_share_below(indices, bounds),
        rejected_genuine=_share_below(indices[np.unique(of_trial[trials.genuine])], bounds),
        rejected_forged=_share_below(indices[np.unique(of_trial[~trials.genuine])], bounds),
        worst_first=worst_first,
        at_random=AnsweredErrors(*(np.stack([getattr(one, name) for one in random]) for name in ("eer", "far", "frr"))),
    )


def choose_abstention_bound(curve: AbstentionCurve, *, most_rejected: float = 0.05) -> float | None:
    """The quality index below which to ask for another picture, or None where that does not pay.

    It is the bound with the lowest half total error at the fixed threshold among those that send back at most
    `most_rejected` of the queries and err less than 97.5 % of the random orders do.

    Args:
        curve: of validation signers.
        most_rejected: share of the queries, 0 to 1.

    Returns:
        A value for `Decision.sign_again_below`.
    """
    errors = curve.worst_first.half_total
    chance = np.quantile(curve.at_random.half_total, 0.025, axis=0)
    # Written so that NaN, which stands where a class has died out, is never chosen.
    worth = (curve.rejected <= most_rejected) & (errors < chance)
    return float(curve.bounds[np.argmin(np.where(worth, errors, np.inf))]) if worth.any() else None


@dataclass(frozen=True)
class _Trials:
    quality: Floats
    queries: NDArray[np.intp]
    scores: Floats
    genuine: NDArray[np.bool_]


def _checked(quality: ArrayLike, queries: ArrayLike, scores: ArrayLike, genuine: ArrayLike) -> _Trials:
    rows, found = np.asarray(queries, np.intp), np.asarray(scores, np.float64)
    trials = _Trials(np.asarray(quality, np.float64), rows, found, np.asarray(genuine, np.bool_))
    shapes = {trials.queries.shape, trials.scores.shape, trials.genuine.shape}
    if trials.quality.ndim != 1 or len(shapes) != 1 or trials.queries.ndim != 1:
        raise DataError("Queries, scores and labels differ in number; give one of each for every trial.")
    if not trials.genuine.any() or trials.genuine.all():
        raise DataError("There are only genuine or only forged trials; errors need both kinds.")
    if trials.queries.min() < 0 or trials.queries.max() >= len(trials.quality):
        raise DataError("A trial's query has no quality index; give one for every image.")
    if not (np.isfinite(trials.quality).all() and np.isfinite(trials.scores).all()):
        raise DataError("A quality index or a score is not a finite number; measure the images again.")
    return trials


def _errors(quality: Floats, trials: _Trials, threshold: float, bounds: Floats) -> AnsweredErrors:
    """Errors [P] among the trials whose query's quality [T] reaches each bound."""
    rates = np.full((3, len(bounds)), np.nan)
    for point, bound in enumerate(bounds):
        answered = quality >= bound
        genuine, forged = trials.scores[answered & trials.genuine], trials.scores[answered & ~trials.genuine]
        if len(genuine) and len(forged):
            far, frr = np.mean(forged >= threshold), np.mean(genuine < threshold)
            rates[:, point] = equal_error_rate(genuine, forged), far, frr
    return AnsweredErrors(*rates)


def _share_below(quality: Floats, bounds: Floats) -> Floats:
    return np.searchsorted(np.sort(quality), bounds, side="left") / max(1, len(quality))
