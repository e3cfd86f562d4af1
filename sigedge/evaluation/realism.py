"""Can a small classifier tell synthetic signatures from real ones? The harder that is, the more they can teach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigedge.evaluation.image_features import Image, texture_features
from sigedge.evaluation.leaks import probe_auc
from sigedge_runtime.errors import DataError


def measure_realism(
    real: Sequence[Image], real_signers: Sequence[str], synthetic: Sequence[Image], synthetic_signers: Sequence[str]
) -> dict[str, Any]:
    """Probe the shape of the ink of single images, on signers that the probe was not trained on.

    The probes are those of the leak gates (`sigedge.evaluation.leaks`): logistic regression and gradient boosting on
    skeleton and local binary patterns, the mean AUC of 5 signer-disjoint folds, the larger of the two.

    Args:
        real: canvases uint8 [H, W] of genuine signatures.
        real_signers: who wrote each.
        synthetic: canvases of the synthesiser's genuine signatures.
        synthetic_signers: who wrote each.

    Returns:
        ``auc``, 0.5 (not to be told apart) to 1, the ``probes`` behind it, and the numbers of ``real`` and
        ``synthetic`` images and signers.

    Raises:
        DataError: a side has fewer than two signers.
    """
    sides = [(list(real), list(real_signers)), (list(synthetic), list(synthetic_signers))]
    for name, (_, signers) in zip(("real", "synthetic"), sides, strict=True):
        if len(set(signers)) < 2:
            raise DataError(f"There are fewer than two {name} signers; give more of them.")
    features = np.stack([texture_features(image) for images, _ in sides for image in images])
    is_real = np.repeat([True, False], [len(images) for images, _ in sides])
    # A real signer and a synthetic one may bear the same name.
    groups = np.array([f"{side}/{name}" for side, (_, names) in enumerate(sides) for name in names])
    probes = probe_auc(features, is_real, groups)
    counts = {
        name: {"images": len(images), "signers": len(set(signers))}
        for name, (images, signers) in zip(("real", "synthetic"), sides, strict=True)
    }
    return {"auc": max(probes.values()) if probes else None, "probes": probes, **counts}
