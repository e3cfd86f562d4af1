"""Trials whose queries are distorted pictures, with the quality of each: what an abstention bound is chosen on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.data import CanvasSet, track
from sigedge.evaluation.abstention import AbstentionCurve
from sigedge.evaluation.distortions import DISTORTIONS, Distortion
from sigedge.evaluation.metrics import Floats
from sigedge.evaluation.robustness import (
    REFERENCES,
    Subject,
    choose_signers,
    distorted_entries,
    draw_queries,
    score_acquired,
)
from sigedge.evaluation.trials import GENUINE, queries_of
from sigedge_runtime.abstention import quality_index


@dataclass(frozen=True)
class PoorPictures:
    """One trial for each query and step of each distortion.

    Attributes:
        quality: float64 [T], quality index of each distorted picture, 0 to 1.
        scores: float64 [T].
        genuine: bool [T].
        signers: number of enrolled signers.
    """

    quality: Floats
    scores: Floats
    genuine: NDArray[np.bool_]
    signers: int


def score_poor_pictures(
    subject: Subject,
    canvases: CanvasSet,
    cache: Path,
    *,
    references: int = REFERENCES,
    signers: int = 1000,
    seed: int = 0,
    ladders: Sequence[Distortion] = DISTORTIONS,
    progress: bool = True,
) -> PoorPictures:
    """Score every step of every distortion, as `robustness.measure_robustness` does.

    Pictures in which no usable signature is found are left out: they are refused in any case.

    Args:
        subject, canvases, cache, references, signers, seed, ladders, progress: as in `measure_robustness`.

    Raises:
        DataError, ImageError, EngineError: as `measure_robustness`.
    """
    chosen = choose_signers(canvases, references, signers)
    protocol = draw_queries(chosen.records, references, seed)
    embeddings = subject.embed(chosen.canvases)
    rows = sorted(row for draw in protocol.draws for row in (*draw.genuine, *draw.skilled))
    parts: list[tuple[list[float], Floats, NDArray[np.bool_]]] = []
    steps = [(ladder, label) for ladder in ladders for label in ladder.ladder if ladder.ladder[label] is not None]
    for ladder, label in track(steps, "Distorting", enabled=progress):
        entries = dict(
            zip(rows, distorted_entries(chosen, rows, ladder, label, subject.spec, cache, seed), strict=True)
        )
        usable = {row: entry for row, entry in entries.items() if entry.quality.usable}
        kept, trials = score_acquired(protocol, embeddings, usable, subject)
        order = [row for draw in kept.draws for row in queries_of(draw)[0]]
        index = [quality_index(usable[row].quality.measurements) for row in order]
        parts.append((index, trials.scores, trials.kinds == GENUINE))
    qualities, scores, genuine = zip(*parts, strict=True)
    return PoorPictures(np.concatenate(qualities), np.concatenate(scores), np.concatenate(genuine), len(protocol.draws))


def curve_to_dict(curve: AbstentionCurve) -> dict[str, Any]:
    """A curve as plain values: errors with the worst sent back first, and the median of random orders beside them."""
    random = {name: np.median(getattr(curve.at_random, name), axis=0).tolist() for name in ("eer", "far", "frr")}
    worst = {name: getattr(curve.worst_first, name).tolist() for name in ("eer", "far", "frr")}
    shares = {name: getattr(curve, name).tolist() for name in ("rejected", "rejected_genuine", "rejected_forged")}
    return {"bounds": curve.bounds.tolist(), **shares, "worst_first": worst, "at_random": random}
