"""What the outputs of classifiers and image networks mean, and how far they lie from the reference's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities float64 [..., D] that sum to 1 over the last axis, of scores [..., D]."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def rejection_measure(logits: NDArray[np.float32], measure: str) -> float:
    """How much scores [D] look like one of the classes: a measure of `manifest.Rejection`, larger for known ones."""
    highest = float(logits.max())
    if measure == "max_logit":
        return highest
    return highest + float(np.log(np.exp(logits.astype(np.float64) - highest).sum()))


def output_differences(task: str, found: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far outputs [N, D] lie from the reference's, float64 [N], in the unit of `Artifact.score_tolerance`.

    Args:
        task: ``classification``: the largest difference of a probability; ``image``: the root mean square difference
            as a share of 255.
        found: of an artefact.
        expected: of the reference model.
    """
    if task == "classification":
        return np.asarray(np.abs(softmax(found) - softmax(expected)).max(axis=1))
    difference = found.astype(np.float64) - expected
    return np.asarray(np.sqrt((difference**2).mean(axis=1)) / 255)
