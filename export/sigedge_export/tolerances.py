"""How far an artefact may stray from its reference model; the numbers live beside the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields

from sigedge_export.reference import model_folder
from sigedge_runtime.errors import ExportError


@dataclass(frozen=True)
class Tolerances:
    """Limits for the artefacts of one precision.

    Attributes:
        max_score_difference: largest score difference of any pair.
        p99_score_difference: 99th percentile of the score differences.
        flipped_decisions: share of pairs decided otherwise at the shipped threshold, 0 to 1.
        eer_difference: how much higher the equal error rate may be, 0 to 1.
        min_effective_rank_ratio: least effective rank of the embeddings, as a share of the reference's.
        min_variance_ratio: least variance of the embeddings, as a share of the reference's.
    """

    max_score_difference: float
    p99_score_difference: float
    flipped_decisions: float
    eer_difference: float
    min_effective_rank_ratio: float
    min_variance_ratio: float


def load_tolerances(architecture: str) -> dict[str, Tolerances]:
    """Read ``parity.json`` of an architecture, by precision.

    Raises:
        CheckpointError: there is no such architecture.
        ExportError: the architecture has no such file, or the file lacks a number.
    """
    path = model_folder(architecture) / "parity.json"
    try:
        return parse_tolerances(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        names = ", ".join(field.name for field in fields(Tolerances))
        raise ExportError(
            f"The parity tolerances {path} cannot be read ({error}); "
            f"write the numbers {names} there for each precision."
        ) from None


def parse_tolerances(data: Mapping[str, Mapping[str, float]]) -> dict[str, Tolerances]:
    """Tolerances by precision from parsed JSON.

    Raises:
        TypeError: a number is missing or unknown.
        AttributeError: the data or an entry is no object.
    """
    return {precision: Tolerances(**numbers) for precision, numbers in data.items()}
