"""Figures of a classifier: accuracies with intervals, confusion matrices, tables by class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import classification_report, confusion_matrix, roc_auc_score

from sigedge.systems.cgan.classification import Targeted
from sigedge.systems.cgan.drawing import run

Labels = NDArray[np.int64]
KINDS = ("generated", "genuine")


def share(hits: NDArray[np.bool_]) -> dict[str, Any]:
    """A share of N independent images with its 95 % interval (E. B. Wilson, JASA 22, 1927).

    The interval is about further images of the same signers, not about other signers.

    Args:
        hits: bool [N], N at least 1.
    """
    found = binomtest(int(hits.sum()), len(hits)).proportion_ci(0.95, "wilson")
    return {"value": float(hits.mean()), "ci95": [float(found.low), float(found.high)], "images": len(hits)}


def figures_of_classes(labels: Labels, predicted: Labels, names: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy, confusion matrix and the table of precision, recall and F1 by class.

    Args:
        labels: int64 [N], the right classes.
        predicted: int64 [N], the classes found.
        names: of the classes, in their order.

    Returns:
        ``accuracy`` (see `share`), ``confusion`` (rows are the right classes) and ``classes`` by name.
    """
    numbers = list(range(len(names)))
    table = classification_report(
        labels, predicted, labels=numbers, target_names=list(names), output_dict=True, zero_division=0.0
    )
    return {
        "accuracy": share(labels == predicted),
        "confusion": confusion_matrix(labels, predicted, labels=numbers).tolist(),
        "classes": {name: {key: float(value) for key, value in table[name].items()} for name in names},
    }


def figures_of_judge(scores: NDArray[np.float32], samples: Targeted, names: tuple[str, ...]) -> dict[str, Any]:
    """Figures of a judge's two answers: whose signature, by softmax over the signers, and whether a hand wrote it.

    Args:
        scores: float32 [N, 2 D], what `sigedge_models.cgan.classifier.Judge` returns.
        samples: the N images' targets, see `classification.judged`.
        names: of the D signers.

    Returns:
        ``signers`` and ``kinds``, see `figures_of_classes`, and of the latter the ``auc``.
    """
    signers, real = samples.targets[:, :-1].argmax(1), samples.targets[:, -1].astype(np.int64)
    genuine, generated = np.split(scores, 2, axis=1)
    # The two scores of a signer differ by the score of *genuine* alone.
    kind = (genuine - generated).mean(1)
    kinds = figures_of_classes(real, (kind > 0).astype(np.int64), KINDS)
    return {
        "signers": figures_of_classes(signers, (genuine + generated).argmax(1), names),
        "kinds": kinds | {"auc": float(roc_auc_score(real, kind))},
    }


def figures_of_rule(flagged: NDArray[np.bool_], samples: Targeted) -> dict[str, Any]:
    """Accuracy of a rule that calls every flagged image [N] generated."""
    return share(flagged == (samples.targets[:, -1] == 0))


def class_of(network: Any, images: NDArray[np.float32]) -> Labels:
    """The most probable classes int64 [N] of images float32 [N, H, W]."""
    return np.asarray(run(network, images).argmax(1), np.int64)
