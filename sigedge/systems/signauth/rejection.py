"""Open-set recognition: is a signature anybody's of those the classifier knows?

All functions take logits float [N, K] of the K classes and return float64 [N], higher for known people.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NOBODY_KNOWN = -1


def max_softmax(logits: NDArray[Any]) -> Floats:
    """Largest probability among the classes, 1/K to 1 (D. Hendrycks and K. Gimpel, ICLR 2017): the usual baseline."""
    return np.asarray(probabilities(logits, rejects=False).max(axis=1))


def max_logit(logits: NDArray[Any]) -> Floats:
    """Largest logit (D. Hendrycks et al., "Scaling out-of-distribution detection", ICML 2022)."""
    return np.asarray(np.asarray(logits, np.float64).max(axis=1))


def energy(logits: NDArray[Any]) -> Floats:
    """Logarithm of the sum of the exponentials (W. Liu et al., "Energy-based out-of-distribution detection", 2020).

    Beside a logit of nobody fixed at 0 these are the log-odds of anybody known against nobody.
    """
    return np.asarray(np.logaddexp.reduce(np.asarray(logits, np.float64), axis=1))


SCORES: dict[str, Callable[[NDArray[Any]], Floats]] = {
    "max softmax": max_softmax,
    "max logit": max_logit,
    "energy": energy,
}


def class_distance(features: NDArray[Any], means: NDArray[Any], spread: NDArray[Any]) -> Floats:
    """Minus the distance to the nearest class mean, each feature in units of its spread within classes.

    A diagonal Mahalanobis distance on the penultimate features (K. Lee et al., NeurIPS 2018, section 2.1).

    Args:
        features: float [N, F].
        means: float [K, F].
        spread: float [F]; features that never vary within a class are left out.
    """
    varying = np.asarray(spread) > 0
    scaled = (features[:, None, varying] - means[None, :, varying]) / spread[varying]
    return np.asarray(-np.sqrt((np.asarray(scaled, np.float64) ** 2).mean(axis=2)).min(axis=1))


def threshold_accepting(scores: NDArray[Any], share: float) -> float:
    """Highest threshold that accepts at least `share`, 0 to 1, of the scores of known people; accepted is >= it."""
    return float(np.quantile(np.asarray(scores, np.float64), 1 - share, method="lower"))


def decide(logits: NDArray[Any], threshold: float | None) -> NDArray[np.int64]:
    """Number of the class of each signature, `NOBODY_KNOWN` where its energy is below the threshold; int64 [N].

    Without a threshold everybody is somebody known.
    """
    classes = np.asarray(logits).argmax(axis=1).astype(np.int64)
    return classes if threshold is None else np.where(energy(logits) >= threshold, classes, NOBODY_KNOWN)


def probabilities(logits: NDArray[Any], *, rejects: bool) -> Floats:
    """Probabilities of the classes, float64 [N, K]; with `rejects` nobody known has the share that is left of 1."""
    values = np.asarray(logits, np.float64)
    total = energy(values)
    if rejects:
        total = np.logaddexp(total, 0.0)
    return np.asarray(np.exp(values - total[:, None]))
