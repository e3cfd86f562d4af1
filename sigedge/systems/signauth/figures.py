"""Figures of a classifier on a closed set, and of its rejection of everybody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.evaluation.bootstrap import percentile_interval
from sigedge.evaluation.metrics import auc, det_points
from sigedge.systems.signauth.rejection import NOBODY_KNOWN, threshold_accepting
from sigedge.systems.signauth.samples import KINDS, Kind, Part

RESAMPLES = 500
KNOWN_ACCEPTED = 0.95
"""Share of the known people's signatures that a threshold accepts: of the validation's where it is fixed, of the test's
where a false positive rate is given at it."""

FALSE_POSITIVES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Shares of unknown people taken for known at which the share of known people accepted is stated."""

UNKNOWN: dict[str, tuple[Kind, ...]] = {
    "strangers": ("stranger",),
    "forgeries": ("forged",),
    "both": ("stranger", "forged"),
}

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Scored:
    """What a classifier says of one part.

    Attributes:
        part: the canvases and who they are.
        predicted: int64 [N], number of the most probable class.
        scores: float64 [N] by the name of the rejection score; higher is more known.
    """

    part: Part
    predicted: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.float64]]

    def rows(self, *kinds: Kind) -> Rows:
        """Rows of some kinds, int64."""
        return np.flatnonzero(np.isin(self.part.kinds, kinds))


def closed_figures(test: Scored, classes: int) -> dict[str, Any]:
    """Accuracy, macro precision and recall, 0 to 1, on the known people's own signatures, and the confusion matrix.

    Args:
        test: scored test part.
        classes: number of classes K.

    Returns:
        The figures; rows of ``confusion`` are the true classes, columns the predicted ones, counts [K][K].
    """
    targets, known = test.part.targets, test.rows("known")

    def accuracy(rows: Rows) -> float:
        return float((test.predicted[rows] == targets[rows]).mean())

    def precision(rows: Rows) -> float:
        return macro_rates(targets[rows], test.predicted[rows], classes)[0]

    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (targets[known], test.predicted[known]), 1)
    return {
        "samples": len(known),
        "accuracy": accuracy(known),
        "accuracy_ci95": _interval(accuracy, test, known),
        "macro_precision": precision(known),
        "macro_precision_ci95": _interval(precision, test, known),
        "macro_recall": macro_rates(targets[known], test.predicted[known], classes)[1],
        "confusion": confusion.tolist(),
    }


def open_figures(test: Scored, validation: Scored, classes: int) -> dict[str, Any]:
    """What each rejection score is worth, with its threshold fixed on the validation part.

    Returns:
        By score: for strangers, forgeries and both, the AUROC with its interval and the share taken for known where
        95 % of the known people are (FPR at 95 % TPR, whose threshold is the test's own), and points of the ROC curve,
        false and true positives; and `decided_figures`.
    """
    return {
        name: {
            **{word: _separation(test, name, kinds) for word, kinds in UNKNOWN.items() if len(test.rows(*kinds))},
            "decided": decided_figures(
                test,
                classes,
                name,
                threshold_accepting(validation.scores[name][validation.rows("known")], KNOWN_ACCEPTED),
            ),
        }
        for name in test.scores
    }


def decided_figures(test: Scored, classes: int, score: str | None, threshold: float | None) -> dict[str, Any]:
    """Precision and recall where signatures of everybody arrive, and those below a threshold are rejected.

    A forgery or a stranger's signature that is given a name is a false positive of that name.

    Args:
        test: scored test part, unknown people included.
        classes: number of classes.
        score: name of the rejection score; None rejects nothing.
        threshold: least score that is accepted.
    """
    accepted = np.ones(len(test.part), bool)
    if score is not None and threshold is not None:
        accepted = test.scores[score] >= threshold
    decided = np.where(accepted, test.predicted, NOBODY_KNOWN)

    def precision(rows: Rows) -> float:
        return macro_rates(test.part.targets[rows], decided[rows], classes)[0]

    everything = np.arange(len(test.part))
    shares = {kind: test.rows(kind) for kind in KINDS}
    return {
        "threshold": threshold,
        "macro_precision": precision(everything),
        "macro_precision_ci95": _interval(precision, test, everything),
        "macro_recall": macro_rates(test.part.targets, decided, classes)[1],
        **{f"{kind}_accepted": float(accepted[rows].mean()) for kind, rows in shares.items() if len(rows)},
    }


def macro_rates(targets: Rows, predicted: Rows, classes: int) -> tuple[float, float]:
    """Precision and recall, 0 to 1, as means over the classes that occur among the targets.

    Args:
        targets: int64 [N], number of the class, or of classes for nobody known.
        predicted: int64 [N], number of the class, or `NOBODY_KNOWN`.
        classes: number of classes; a resample need not hold them all. A class that is never named has precision 0.
    """
    there = np.bincount(targets, minlength=classes)[:classes]
    named = np.bincount(predicted[predicted != NOBODY_KNOWN], minlength=classes)
    right = np.bincount(targets[targets == predicted], minlength=classes)
    present = there > 0
    precision, recall = right[present] / np.maximum(named[present], 1), right[present] / there[present]
    return float(precision.mean()), float(recall.mean())


def _separation(test: Scored, name: str, kinds: tuple[Kind, ...]) -> dict[str, Any]:
    scores, rows = test.scores[name], test.rows("known", *kinds)

    def auroc(chosen: Rows) -> float:
        known = test.part.kinds[chosen] == "known"
        return auc(scores[chosen[known]], scores[chosen[~known]])

    known, unknown = scores[test.rows("known")], scores[test.rows(*kinds)]
    threshold = threshold_accepting(known, KNOWN_ACCEPTED)
    return {
        "auroc": auroc(rows),
        "auroc_ci95": _interval(auroc, test, rows),
        "fpr_at_95_tpr": float((unknown >= threshold).mean()),
        "roc": [
            [fpr, 1 - frr]
            for fpr, frr in zip(FALSE_POSITIVES, det_points(known, unknown, FALSE_POSITIVES), strict=True)
        ],
    }


def _interval(metric: Callable[[Rows], float], scored: Scored, rows: Rows) -> tuple[float, float] | None:
    """95 % interval by resampling people: known ones with all that is theirs, and strangers among themselves."""
    people, is_stranger = scored.part.people[rows], scored.part.kinds[rows] == "stranger"
    groups = [np.unique(people[~is_stranger]), np.unique(people[is_stranger])]
    own = {name: rows[people == name] for group in groups for name in group}
    random = np.random.default_rng(0)
    values = []
    for _ in range(RESAMPLES):
        drawn = [name for group in groups if len(group) for name in random.choice(group, len(group))]
        values.append(metric(np.concatenate([own[name] for name in drawn])))
    return percentile_interval(values)
