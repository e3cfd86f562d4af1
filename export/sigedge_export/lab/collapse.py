"""Has an artefact lost what tells signatures apart? Three figures, each against the reference's on the same canvases.

A network that collapsed still returns finite embeddings of the right shape whose cosine with the reference's is near 1.
Its embeddings differ less (variance), in fewer directions (effective rank), and it accepts pairs of different signers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sigedge_export.inputs import RANDOM
from sigedge_export.parity import ArtifactParity, ParityReport
from sigedge_export.statistics import share_at_or_above


@dataclass(frozen=True)
class Collapse:
    """One artefact on one engine.

    Attributes:
        artifact: name in the bundle.
        engine: what ran it.
        variance_ratio: variance of the unit-length embeddings over the reference's.
        effective_rank_ratio: effective rank of the embeddings over the reference's.
        strangers: pairs of genuine signatures of two different signers.
        strangers_accepted: share of them at or above the shipped threshold.
        reference_strangers_accepted: the same share of the reference model.
    """

    artifact: str
    engine: str
    variance_ratio: float
    effective_rank_ratio: float
    strangers: int
    strangers_accepted: float
    reference_strangers_accepted: float

    @property
    def rise(self) -> float:
        """How many more strangers are accepted than by the reference, as a share; below 0 when fewer are."""
        return self.strangers_accepted - self.reference_strangers_accepted

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def measure_collapse(report: ParityReport) -> tuple[Collapse, ...]:
    """The figures of every row of a report, in its order; none when it came without the scores of its pairs."""
    if report.scores is None:
        return ()
    strangers = report.scores.kind == RANDOM
    reference = share_at_or_above(report.scores.reference[strangers], report.threshold)

    def figures(row: ArtifactParity, accepted: float) -> Collapse:
        ratios = (row.variance_ratio, row.effective_rank_ratio)
        return Collapse(row.artifact, row.engine, *ratios, int(strangers.sum()), accepted, reference)

    return tuple(
        figures(row, share_at_or_above(scores[strangers], report.threshold))
        for row, scores in zip(report.rows, report.scores.rows, strict=True)
    )
