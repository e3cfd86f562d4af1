"""Does a calibrated probability mean what it says: of the signatures given 0.8, are four in five genuine?

Genuine trials and skilled forgeries count as equally likely, as they do where the calibration is fitted: each class
weighs the same whatever its number. Trials of a signer hang together, so intervals are over signers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sigedge.evaluation.bootstrap import Interval, percentile_interval, resample_weights
from sigedge.evaluation.metrics import Floats
from sigedge.evaluation.trials import GENUINE, SKILLED, TrialScores
from sigedge_runtime.decision import Calibration

BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """The trials whose probability lies in one tenth.

    Attributes:
        predicted: their mean probability, 0 to 1.
        observed: share of genuine ones among them, 0 to 1.
        interval: 95 % interval of `observed` over signers; None where it was not asked for.
        share: how much of all trials they are, 0 to 1.
    """

    predicted: float
    observed: float
    interval: Interval | None
    share: float


def reliability(
    trials: TrialScores, calibration: Calibration, *, bootstrap: int = 0, seed: int = 0
) -> list[ReliabilityBin]:
    """Probabilities against outcomes, for genuine trials and skilled forgeries.

    Args:
        trials: scored.
        calibration: from scores to probabilities.
        bootstrap: resamples of signers; 0 leaves the intervals out.
        seed: of the bootstrap.

    Returns:
        The bins that hold a trial, from the lowest probability; none when a kind of trial is missing.
    """
    hard = trials.against(SKILLED)
    genuine = hard.kinds == GENUINE
    if genuine.all() or not genuine.any():
        return []
    probabilities = 1 / (1 + np.exp(-np.clip(calibration.slope * hard.scores + calibration.intercept, -500, 500)))
    places = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    weights = np.where(genuine, 0.5 / genuine.sum(), 0.5 / (~genuine).sum())
    signers = len(trials.names)
    drawn = resample_weights(signers, bootstrap, seed) if bootstrap else np.ones((0, signers))
    shares = _shares(_counts(places[genuine], hard.signers[genuine], signers), drawn)
    forged = _shares(_counts(places[~genuine], hard.signers[~genuine], signers), drawn)
    bins = []
    for place in np.unique(places):
        inside = places == place
        weight = weights[inside].sum()
        with np.errstate(invalid="ignore"):
            resampled = shares[:, place] / (shares[:, place] + forged[:, place])
        bins.append(
            ReliabilityBin(
                predicted=float((weights * probabilities)[inside].sum() / weight),
                observed=float(weights[inside & genuine].sum() / weight),
                interval=percentile_interval(resampled),
                share=float(weight),
            )
        )
    return bins


def _counts(places: NDArray[np.int64], owners: NDArray[np.int64], signers: int) -> Floats:
    """How many trials each signer has in each bin: float64 [signers, BINS]."""
    counts = np.zeros((signers, BINS))
    np.add.at(counts, (owners, places), 1.0)
    return counts


def _shares(counts: Floats, drawn: Floats) -> Floats:
    """Share of a class in each bin, for each resample: float64 [B, BINS]; NaN where it drew nobody of the class."""
    inside = drawn @ counts
    with np.errstate(invalid="ignore"):
        return np.asarray(inside / inside.sum(axis=1, keepdims=True), np.float64)
