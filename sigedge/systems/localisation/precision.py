"""Average precision of boxes at an intersection over union of 0.5, and its interval over groups of pages.

M. Everingham et al., "The PASCAL Visual Object Classes (VOC) challenge", IJCV 2010: detections of all pages are ranked
by score; each claims the signature that it overlaps most, and is right when that overlap reaches 0.5 and no better
detection has claimed it. Average precision is the area below the precision, made monotone, over recall: all points,
not 11 or 101. There is one class, so that mean average precision is the same number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sigedge.data.sheets import Boxes
from sigedge.evaluation.bootstrap import RESAMPLES, Interval, percentile_interval, resample_weights
from sigedge_runtime.errors import DataError

Floats = NDArray[np.float64]

SAME = 0.5


@dataclass(frozen=True)
class Found:
    """What a detector found on one page.

    Attributes:
        scores: float64 [D], best first.
        right: bool [D], whether each detection is a signature that no better one claims.
        signatures: how many the page has.
        group: what is resampled together.
    """

    scores: Floats
    right: NDArray[np.bool_]
    signatures: int
    group: str


def overlaps(first: Boxes, second: Boxes) -> Floats:
    """Intersection over union of every pair: float64 [M, N] for boxes [M, 4] and [N, 4], left, top, right, bottom."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(0.0, high - low), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    return np.asarray(shared / np.maximum(1e-9, areas[0][:, None] + areas[1][None] - shared))


def match(boxes: Boxes, scores: Floats, truth: Boxes, group: str) -> Found:
    """Which detections of a page, boxes [D, 4] best first, are signatures."""
    right = np.zeros(len(boxes), dtype=bool)
    if len(truth) and len(boxes):
        shared = overlaps(boxes, truth)
        nearest = shared.argmax(axis=1)
        claimed: set[int] = set()
        for index, signature in enumerate(nearest.tolist()):
            right[index] = shared[index, signature] >= SAME and signature not in claimed
            if right[index]:
                claimed.add(signature)
    return Found(np.asarray(scores, np.float64), right, len(truth), group)


def average_precision(pages: Sequence[Found]) -> float:
    """Average precision, 0 to 1, over all pages.

    Raises:
        DataError: no page has a signature.
    """
    if not any(page.signatures for page in pages):
        raise DataError("No page has a signature to find; the data set lacks boxes.")
    names = _groups(pages)
    return float(_weighted_precision(pages, names, np.ones((1, len(names))))[0])


def precision_interval(pages: Sequence[Found], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval | None:
    """95 % interval by bootstrap over the groups of the pages; None with fewer than 2 groups."""
    names = _groups(pages)
    if len(names) < 2:
        return None
    return percentile_interval(_weighted_precision(pages, names, resample_weights(len(names), resamples, seed)))


def _groups(pages: Sequence[Found]) -> list[str]:
    return sorted({page.group for page in pages})


def _weighted_precision(pages: Sequence[Found], names: Sequence[str], weights: Floats) -> Floats:
    """Average precision when each group counts as often as its weight says: float64 [B] for weights [B, groups]."""
    owner = np.repeat([names.index(page.group) for page in pages], [page.scores.size for page in pages])
    scores = np.concatenate([page.scores for page in pages])
    right = np.concatenate([page.right for page in pages])
    signatures = np.zeros(len(names))
    for page in pages:
        signatures[names.index(page.group)] += page.signatures
    order = np.argsort(-scores, kind="stable")
    # Detections of equal score are accepted together: a rank among them would be an accident.
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if scores.size else np.empty(0, np.int64)
    return np.array(
        [_area(row[owner[order]], right[order], last, float(row @ signatures)) for row in weights], dtype=np.float64
    )


def _area(weights: Floats, right: NDArray[np.bool_], last: NDArray[np.int64], signatures: float) -> float:
    if signatures == 0:
        return float("nan")
    found, claimed = np.cumsum(weights * right)[last], np.cumsum(weights)[last]
    precision = found / np.maximum(1.0, claimed)
    monotone = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(found, prepend=0.0) * monotone) / signatures)
