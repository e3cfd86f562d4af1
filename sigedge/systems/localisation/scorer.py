"""Learning how well a group of strokes frames a signature, and the score below which it is none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sigedge.systems.localisation.pages import Example
from sigedge.systems.localisation.precision import Floats, Found, match, overlaps
from sigedge_runtime._strokes import FEATURES, find_candidates
from sigedge_runtime._trees import LEAF, BoostedTrees, Tree
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import DataError
from sigedge_runtime.localisation import Scorer, find_signatures

# Chosen on the validation pages: more or deeper trees were not better there.
TREES, DEPTH, LEAST_CANDIDATES, SHARE_OF_CANDIDATES = 60, 4, 20, 0.7
DIGITS = 9


def fit_trees(examples: Iterable[Example], seed: int) -> BoostedTrees:
    """Trees that tell a candidate's overlap (intersection over union) with the nearest signature from its features.

    Stochastic gradient boosting with squared loss (J. H. Friedman, 2002), by scikit-learn.

    Raises:
        DataError: the examples hold no candidate, or no signature.
    """
    from sklearn.ensemble import GradientBoostingRegressor

    features, targets = _training_set(examples)
    if not targets.any():
        raise DataError("The training pages show no signature that can be found; check their images and boxes.")
    model = GradientBoostingRegressor(
        n_estimators=TREES,
        max_depth=DEPTH,
        min_samples_leaf=LEAST_CANDIDATES,
        subsample=SHARE_OF_CANDIDATES,
        random_state=seed,
    ).fit(features, targets)
    trees = tuple(_tree(stage[0].tree_, model.learning_rate) for stage in model.estimators_)
    return BoostedTrees(FEATURES, _rounded(targets.mean()), trees)


def detect(examples: Iterable[Example], scorer: Scorer) -> list[Found]:
    """What the runtime finds on pages, down to a score of 0."""
    return [_detect(example, scorer) for example in examples]


def choose_minimum_score(found: Sequence[Found]) -> float:
    """The score at which the harmonic mean of precision and recall is highest; the middle of its gap below.

    Raises:
        DataError: nothing right was found.
    """
    scores = np.concatenate([page.scores for page in found])
    right = np.concatenate([page.right for page in found])
    if not right.any():
        raise DataError("No signature of the validation pages was found; check their images and boxes.")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    signatures = sum(page.signatures for page in found)
    harmonic = 2.0 * np.cumsum(right[order]) / (np.arange(1, ranked.size + 1) + signatures)
    best = int(harmonic.argmax())
    below = ranked[best + 1] if best + 1 < ranked.size else 0.0
    return round(float(ranked[best] + below) / 2, 3)


def write_scorer(path: Path, scorer: Scorer) -> None:
    """Write a scorer as compact JSON, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    text = json.dumps(scorer.to_dict(), separators=(",", ":"), sort_keys=True, allow_nan=False) + "\n"
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error}); choose another file.") from error


def _training_set(examples: Iterable[Example]) -> tuple[Floats, Floats]:
    """Features float64 [M, F] of all candidates, and the overlap of each with its nearest signature [M]."""
    features, targets = [np.empty((0, len(FEATURES)))], [np.empty(0)]
    for example in examples:
        candidates = find_candidates(example.image)
        shared = overlaps(candidates.boxes.astype(np.float64), example.boxes)
        features.append(candidates.features)
        targets.append(shared.max(axis=1, initial=0.0))
    return np.concatenate(features), np.concatenate(targets)


def _detect(example: Example, scorer: Scorer) -> Found:
    found = find_signatures(example.image, minimum_score=0.0, scorer=scorer)
    corners = [(box.left, box.top, box.left + box.width, box.top + box.height) for box in found]
    boxes = np.array(corners, dtype=np.float64).reshape(-1, 4)
    return match(boxes, np.array([box.score for box in found]), example.boxes, example.group)


def _tree(nodes: Any, learning_rate: float) -> Tree:
    """A tree of scikit-learn as plain numbers, its leaves scaled by the learning rate."""
    inside = nodes.children_left >= 0
    return Tree(
        feature=tuple(np.where(inside, nodes.feature, LEAF).tolist()),
        threshold=tuple(_rounded(value) for value in np.where(inside, nodes.threshold, 0.0)),
        left=tuple(np.where(inside, nodes.children_left, 0).tolist()),
        right=tuple(np.where(inside, nodes.children_right, 0).tolist()),
        value=tuple(_rounded(value) for value in np.where(inside, 0.0, learning_rate * nodes.value[:, 0, 0])),
    )


def _rounded(value: float) -> float:
    """As many digits as float32 holds: the file stays small and is what runs."""
    return float(f"{value:.{DIGITS}g}")
