"""Leak gates: does a data set, after preprocessing, tell genuine from forged without a reference?

On public data sets genuine samples and forgeries were often scanned on different days. A verifier can then
look perfect and know nothing of handwriting. Two probes see single images, with no reference, and are tested
on signers they were not trained on; what they find is what the scan gives away (levels) or what shape alone
gives away (skeleton and texture; part of it is the unsteady hand of a forger, which no preprocessing should
remove). On a canvas of two levels the first probe has nothing to see by construction; it guards canvases that
keep grey.

A probe is a logistic regression and a gradient boosting; the figure is the larger of the two. Each is the
mean over 5 signer-disjoint folds of the AUC on the fold left out: folds are not pooled, because scores of
different fits are not comparable. It is reported as it is, not folded at 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.data.records import Record
from sigedge.evaluation.image_features import Image, level_features, texture_features
from sigedge.evaluation.metrics import Floats, auc
from sigedge_runtime.errors import DataError

GATE = 0.55
FOLDS = 5


def measure_leaks(
    records: Sequence[Record],
    images: Iterable[Image] | None,
    canvases: Iterable[Image] | None,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Probe raw images, canvases, or both.

    Args:
        records: N records of which the labels and the signers are used.
        images: N raw grey images, uint8 [H, W] of any sizes, taken one at a time; None leaves them out.
        canvases: N preprocessed canvases, uint8 [H, W]; None leaves them out.
        seed: seed of the probes.

    Returns:
        ``signers``, ``genuine``, ``forged``, ``gate``; for each of ``raw`` and ``canvas`` that was given:
        ``background_ink_auc`` and ``skeleton_auc`` (None where labels or signers do not suffice) and
        ``probes`` with the two figures behind each; ``passed``, whether the background and ink probe of the
        canvases stays at or below the gate (None without canvases or figure).

    Raises:
        DataError: there is no record, or the number of images differs.
    """
    if not records:
        raise DataError("There is no record to probe for leaks; check the data set and the part of the split.")
    genuine = np.array([record.genuine for record in records])
    groups = np.array([record.identity for record in records])
    result: dict[str, Any] = {
        "signers": len(set(groups.tolist())),
        "genuine": int(genuine.sum()),
        "forged": int((~genuine).sum()),
        "gate": GATE,
    }
    for name, given in (("raw", images), ("canvas", canvases)):
        if given is not None:
            result[name] = _probe_images(given, genuine, groups, seed)
    canvas_auc = result.get("canvas", {}).get("background_ink_auc")
    result["passed"] = None if canvas_auc is None else bool(canvas_auc <= GATE)
    return result


def probe_auc(
    features: Floats, genuine: NDArray[np.bool_], groups: NDArray[Any], *, seed: int = 0
) -> dict[str, float] | None:
    """Mean out-of-fold AUC, 0 to 1, of both probes.

    Args:
        features: float64 [N, F], one row an image.
        genuine: bool [N].
        groups: signer of each image [N]; no signer is in two folds.
        seed: seed of the gradient boosting.

    Returns:
        The AUC by name of the probe; None with fewer than two signers or only one label.
    """
    from sklearn.model_selection import GroupKFold
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

    signers = len(np.unique(groups))
    if signers < 2 or genuine.all() or not genuine.any():
        return None
    areas: dict[str, list[float]] = {name: [] for name in _probes(seed)}
    for train, test in GroupKFold(min(FOLDS, signers)).split(features, genuine, groups):
        if _one_label(genuine[train]) or _one_label(genuine[test]):
            continue
        for name, probe in _probes(seed).items():
            with threadpool_limits(1):  # threads cost more than they give at this size, and order the sums
                scores = probe.fit(features[train], genuine[train]).predict_proba(features[test])[:, 1]
            areas[name].append(auc(scores[genuine[test]], scores[~genuine[test]]))
    return {name: float(np.mean(values)) for name, values in areas.items() if values} or None


def _probes(seed: int) -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {
        "logistic_regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "gradient_boosting": HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, early_stopping=False, random_state=seed
        ),
    }


def _probe_images(
    images: Iterable[Image], genuine: NDArray[np.bool_], groups: NDArray[Any], seed: int
) -> dict[str, Any]:
    rows = [(level_features(image), texture_features(image)) for image in images]
    if len(rows) != len(genuine):
        raise DataError(f"{len(rows)} images do not fit {len(genuine)} records; read the data set again.")
    result: dict[str, Any] = {"probes": {}}
    for index, name in enumerate(("background_ink_auc", "skeleton_auc")):
        probes = probe_auc(np.stack([row[index] for row in rows]), genuine, groups, seed=seed)
        result[name] = max(probes.values()) if probes else None
        result["probes"][name] = probes
    return result


def _one_label(genuine: NDArray[np.bool_]) -> bool:
    return bool(genuine.all() or not genuine.any())
