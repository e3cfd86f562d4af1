"""Two signatures compared: difference and similarity scores, and rules that call a pair genuine or not.

Embeddings are float [D] or [N, D] of any length but zero; row i of one side is compared with row i of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sigedge.evaluation.metrics import Floats, error_curve
from sigedge_runtime.errors import DataError
from sigedge_runtime.matching import COSINE

Rows = NDArray[np.floating[Any]]
Accepted = NDArray[np.bool_]


class PairRule(Protocol):
    """Decides whether two signatures are by the same hand."""

    def log_odds(self, first: Rows, second: Rows) -> Floats:
        """Natural logarithm of the odds that they are, float64 [N]; 0 is the threshold."""
        ...


def difference(first: Rows, second: Rows) -> Floats:
    """Difference score: the Euclidean distance of two embeddings at unit length, float64 [N], 0 to 2.

    The distance of the contrastive loss (Dey et al., arXiv 1707.02131, eq. 1); its square is 2 - 2 cos.

    Raises:
        EngineError: an embedding is zero or not finite.
        DataError: the two sides have different shapes.
    """
    return np.asarray(np.linalg.norm(pair_features(first, second), axis=-1))


def similarity(first: Rows, second: Rows) -> Floats:
    """Similarity score, above 0 to 1, which it is for equal directions: exp of the negative `difference`, float64 [N].

    Raises:
        EngineError: an embedding is zero or not finite.
        DataError: the two sides have different shapes.
    """
    return np.asarray(np.exp(-difference(first, second)))


def pair_features(first: Rows, second: Rows) -> Floats:
    """What a classifier sees of a pair: how far two unit embeddings are apart along each axis, float64 [N, D].

    Raises:
        EngineError: an embedding is zero or not finite.
        DataError: the two sides have different shapes.
    """
    if first.shape != second.shape:
        raise DataError(f"Embeddings {list(first.shape)} and {list(second.shape)} make no pairs; give as many of each.")
    return np.asarray(np.abs(COSINE.prepare(first).astype(np.float64) - COSINE.prepare(second)))


@dataclass(frozen=True)
class DifferenceRule:
    """Calls a pair genuine whose difference score is at or below a threshold.

    Attributes:
        threshold: 0 to 2.
    """

    threshold: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"threshold": self.threshold}

    def log_odds(self, first: Rows, second: Rows) -> Floats:
        """How far below the threshold, float64 [N]: of the right sign, but no calibrated odds."""
        return np.asarray(self.threshold - difference(first, second))

    @classmethod
    def fit(cls, first: Rows, second: Rows, genuine: Accepted) -> DifferenceRule:
        """The rule that errs as often on genuine pairs as on the others.

        Raises:
            DataError: one sort of pairs is missing, or the shapes differ.
        """
        return cls(-_balanced_threshold(-difference(first, second), genuine))


@dataclass(frozen=True)
class PairClassifier:
    """Logistic regression on `pair_features`.

    Attributes:
        weights: float64 [D].
        intercept: added to the weighted sum of the features.
    """

    weights: Floats
    intercept: float

    def log_odds(self, first: Rows, second: Rows) -> Floats:
        """Natural logarithm of the odds that a pair is genuine, float64 [N]."""
        return np.asarray(pair_features(first, second) @ self.weights + self.intercept)

    def probability(self, first: Rows, second: Rows) -> Floats:
        """Probability that a pair is genuine, float64 [N], 0 to 1."""
        # The same as 1 / (1 + exp(-x)), and no overflow.
        return np.asarray(0.5 * (1 + np.tanh(0.5 * self.log_odds(first, second))))

    @classmethod
    def fit(cls, first: Rows, second: Rows, genuine: Accepted) -> PairClassifier:
        """Fit to pairs, both sorts weighing the same; the features are scaled alike for its penalty.

        Raises:
            DataError: one sort of pairs is missing, or the shapes differ.
        """
        features = pair_features(first, second)
        _check_both(genuine)
        scaler = StandardScaler().fit(features)
        fitted = LogisticRegression(class_weight="balanced", max_iter=1000).fit(scaler.transform(features), genuine)
        weights = fitted.coef_[0] / scaler.scale_
        return cls(weights, float(fitted.intercept_[0] - scaler.mean_ @ weights))

    def balanced_on(self, first: Rows, second: Rows, genuine: Accepted) -> PairClassifier:
        """The classifier whose even odds lie where it errs as often on the one sort of these pairs as on the other.

        A network knows the signers it was trained on too well; the pairs shall be of others.

        Raises:
            DataError: one sort of pairs is missing, or the shapes differ.
        """
        shift = _balanced_threshold(self.log_odds(first, second), genuine)
        return PairClassifier(self.weights, self.intercept - shift)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"weights": self.weights.tolist(), "intercept": self.intercept}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PairClassifier:
        """The classifier that `to_dict` wrote.

        Raises:
            DataError: an entry is missing or no number.
        """
        try:
            return cls(np.asarray(values["weights"], np.float64), float(values["intercept"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"This is no pair classifier ({error!r}); fit it again.") from error


@dataclass(frozen=True)
class PairVerdict:
    """What is said of one pair.

    Attributes:
        genuine: whether both are held to be by the same hand.
        difference: 0 to 2.
        similarity: above 0 to 1.
        log_odds: of the rule; 0 is its threshold.
    """

    genuine: bool
    difference: float
    similarity: float
    log_odds: float


def judge_pair(rule: PairRule, first: Rows, second: Rows) -> PairVerdict:
    """The verdict on two embeddings [D].

    Raises:
        EngineError: an embedding is zero or not finite.
        DataError: they have different lengths.
    """
    pair = first[None], second[None]
    odds = float(rule.log_odds(*pair)[0])
    return PairVerdict(odds >= 0, float(difference(*pair)[0]), float(similarity(*pair)[0]), odds)


def _balanced_threshold(scores: Floats, genuine: Accepted) -> float:
    """The score at which FAR and FRR are closest."""
    _check_both(genuine)
    curve = error_curve(scores[genuine], scores[~genuine])
    return float(curve.thresholds[np.argmin(np.abs(curve.far - curve.frr))])


def _check_both(genuine: Accepted) -> None:
    if genuine.all() or not genuine.any():
        raise DataError("A rule for pairs needs genuine pairs and others; give pairs of both sorts.")
