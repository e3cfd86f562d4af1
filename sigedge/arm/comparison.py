"""What two processes computed of one job, held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.arm.job import Picture
from sigedge.arm.probe import PICTURE_FACTS, Observation

Figures = dict[str, Any]

FLOAT_TOLERANCE = 1e-4
"""Largest difference of float32 outputs, as a share of the largest output, and of the scores they give."""
ROUNDING = 1e-6
"""Largest difference of two scores of equal outputs: cosines are float32 sums in another order, cells are exact."""
MUST_BE_IDENTICAL = ("pixels", "canvases", "issues", "measurements")
"""Of a picture."""


def compare(pictures: Sequence[Picture], here: Observation, there: Observation) -> Figures:
    """Count what is identical and measure what is not.

    Args:
        pictures: of the job, in its order.
        here: what this machine computed.
        there: what the emulated core computed.

    Returns:
        ``pictures`` by source, with counts of identical `PICTURE_FACTS`, and ``artifacts``, a
        list with the differences of each artefact's outputs and scores.
    """
    return {
        "pictures": _compare_pictures(pictures, here.facts["pictures"], there.facts["pictures"]),
        "artifacts": [_compare_artifact(key, here, there) for key in here.facts["artifacts"]],
    }


def failures(figures: Mapping[str, Any]) -> list[str]:
    """A sentence for everything in a comparison that must not differ and does."""
    found = []
    for source, counts in figures["pictures"].items():
        for fact in MUST_BE_IDENTICAL:
            different = counts["pictures"] - counts[f"identical_{fact}"]
            if different:
                found.append(f"{different} of {counts['pictures']} {source} pictures differ in their {fact}.")
    for row in figures["artifacts"]:
        found += [f"{row['artifact']}: {problem}" for problem in _problems(row)]
    return found


def _problems(row: Figures) -> list[str]:
    """Integer TFLite files must give equal bits; other files may differ by their tolerance."""
    exact = (row["format"], row["precision"]) == ("tflite", "int8")
    floating = row["precision"] == "float32"
    score_limit = ROUNDING if exact else FLOAT_TOLERANCE if floating else row["tolerance"]
    rules = {
        "its self-test fails.": row["selftest"]["passed"],
        "outputs differ that must be identical.": not exact or row["identical_outputs"] == row["outputs"],
        # Written so that NaN fails.
        "outputs differ beyond the tolerance.": not floating or row["max_output_difference"] <= FLOAT_TOLERANCE,
        "scores differ beyond the tolerance.": row["max_score_difference"] <= score_limit,
        "decisions differ.": not exact or row["flipped"] == 0,
    }
    return [problem for problem, holds in rules.items() if not holds]


def _compare_pictures(pictures: Sequence[Picture], here: list[Figures], there: list[Figures]) -> dict[str, Figures]:
    counts: dict[str, Figures] = {}
    for picture, own, other in zip(pictures, here, there, strict=True):
        found = counts.setdefault(picture.source, {"pictures": 0, **{f"identical_{fact}": 0 for fact in PICTURE_FACTS}})
        found["pictures"] += 1
        for fact in PICTURE_FACTS:
            found[f"identical_{fact}"] += int(own[fact] == other[fact])
    return counts


def _compare_artifact(key: str, here: Observation, there: Observation) -> Figures:
    bundle, _, artifact = key.partition("/")
    own, other = (seen.arrays[f"outputs {key}"] for seen in (here, there))
    scores, others = (seen.arrays[f"scores {key}"] for seen in (here, there))
    accepted, also = (seen.arrays[f"accepted {key}"] for seen in (here, there))
    facts = there.facts["artifacts"][key]
    return {
        "bundle": bundle,
        "artifact": artifact,
        **{name: facts[name] for name in ("format", "precision", "engine", "sha256", "tolerance", "selftest")},
        "outputs": len(own),
        "identical_outputs": int(np.sum(np.all(own == other, axis=1))),
        "max_output_difference": _largest(own, other) / max(float(np.abs(own).max(initial=0)), 1e-30),
        "scores": len(scores),
        "identical_scores": int(np.sum(scores == others)),
        "max_score_difference": _largest(scores, others),
        "flipped": int(np.sum(accepted != also)),
    }


def _largest(own: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.abs(own.astype(np.float64) - other).max(initial=0))
