"""Does an artefact decide as the PyTorch model does? Measured on score differences and decisions, over pairs.

The cosine between an artefact's embedding and the reference's is no evidence and is not used: embeddings of
different signatures may lie within 0.9996 of each other, so that a file at cosine 0.99996 has lost a good
part of what tells them apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.audit import FileFacts, Finding, Run, Unmeasured, audit
from sigedge_export.inputs import GENUINE, RANDOM, SKILLED, Pairs, ParitySet, make_pairs
from sigedge_export.statistics import (
    Interval,
    eer_difference,
    effective_rank,
    equal_error_rate,
    pair_scores,
    score_change,
    share_at_or_above,
    variance,
)
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import ExportError

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ArtifactParity:
    """One artefact on one engine against the reference.

    Attributes:
        artifact: name in the bundle.
        format: of the artefact.
        precision: of the artefact.
        engine: what ran it, with its version.
        delegate: what computed it, and how many of its nodes; ``not known`` where the engine does not tell.
        max_score_difference: largest absolute difference of a pair's score.
        p99_score_difference: 99th percentile of those differences.
        flipped: pairs decided otherwise at the shipped threshold.
        flipped_decisions: the same as a share of all pairs.
        eer: equal error rate of the artefact, skilled forgeries where there are any, else random ones.
        eer_difference: that minus the reference's, with its 95 % interval by a paired bootstrap over signers.
        variance_ratio: variance of the embeddings over the reference's; near 0 when they collapsed.
        effective_rank_ratio: effective rank of the embeddings over the reference's.
        accepted: share of all pairs at or above the threshold.
    """

    artifact: str
    format: str
    precision: str
    engine: str
    delegate: str
    max_score_difference: float
    p99_score_difference: float
    flipped: int
    flipped_decisions: float
    eer: float
    eer_difference: Interval
    variance_ratio: float
    effective_rank_ratio: float
    accepted: float


@dataclass(frozen=True, eq=False)
class PairScores:
    """The scores behind a report, P pairs.

    Attributes:
        kind: int8 [P], one of `GENUINE`, `SKILLED` and `RANDOM`.
        reference: float64 [P], of the reference model.
        rows: float64 [P] for each row of the report, in its order.
    """

    kind: NDArray[np.int8]
    reference: NDArray[np.float64]
    rows: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class ParityReport:
    """Parity of every artefact of a bundle on every engine found here.

    Attributes:
        model: name and version.
        source: where the canvases came from.
        signers: number of signers.
        canvases: number of canvases.
        pairs: number of pairs.
        operating_point: whose threshold decided.
        threshold: a score at or above it is accepted.
        reference_eer: equal error rate of the reference model.
        reference_accepted: share of all pairs that the reference model accepts.
        rows: what was measured.
        unmeasured: what could not be.
        files: what each artefact's file says of itself.
        findings: of the audit, none of them grave.
        scores: of every pair, for plots; no part of `to_dict`.
    """

    model: str
    source: str
    signers: int
    canvases: int
    pairs: int
    operating_point: str
    threshold: float
    reference_eer: float
    reference_accepted: float
    rows: tuple[ArtifactParity, ...]
    unmeasured: tuple[Unmeasured, ...]
    files: tuple[FileFacts, ...] = ()
    findings: tuple[Finding, ...] = ()
    scores: PairScores | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = asdict(replace(self, scores=None))
        del values["scores"]
        return values

    def to_json(self) -> str:
        """JSON with sorted keys, indented by 2."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"


@dataclass(frozen=True)
class _Trial:
    """The reference's side of every comparison, computed once."""

    pairs: Pairs
    embeddings: NDArray[np.float32]
    scores: NDArray[np.float64]
    threshold: float

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Pairs that the equal error rate counts."""
        impostor = SKILLED if (self.pairs.kind == SKILLED).any() else RANDOM
        return np.logical_or(self.pairs.kind == impostor, self.genuine)

    @property
    def genuine(self) -> NDArray[np.bool_]:
        return np.equal(self.pairs.kind, GENUINE)

    @property
    def eer(self) -> float:
        return float(equal_error_rate(self.scores[self.scored], self.genuine[self.scored])[0])


def measure_parity(
    bundle: Bundle,
    reference_embeddings: NDArray[np.float32],
    samples: ParitySet,
    *,
    progress: Progress = lambda _: None,
) -> ParityReport:
    """Run every artefact of a bundle on every engine found here and compare it with the reference model.

    Args:
        bundle: the artefacts and the shipped threshold.
        reference_embeddings: float32 [N, D] of the reference model for the N canvases of `samples`.
        samples: labelled canvases; their pairs are those of `make_pairs`.
        progress: told what is being measured.

    Raises:
        ExportError: the reference embeddings do not fit the canvases, or the parity set holds no usable
            pairs, or an artefact fails the audit.
    """
    if reference_embeddings.ndim != 2 or len(reference_embeddings) != len(samples.canvases):
        raise ExportError(
            f"Reference embeddings of shape {reference_embeddings.shape} do not fit {len(samples.canvases)} "
            "canvases; embed exactly the canvases of the parity set."
        )
    manifest = bundle.manifest
    decision = manifest.verification
    point = decision.operating_point(decision.default_operating_point, 1)
    pairs, compared = make_pairs(samples), (decision.similarity, decision.rule)
    expected = pair_scores(reference_embeddings, pairs, *compared)
    trial = _Trial(pairs, reference_embeddings, expected, point.threshold)
    audited = audit(bundle, samples.canvases, progress=progress)
    scores = tuple(pair_scores(run.embeddings, pairs, *compared) for run in audited.runs)
    return ParityReport(
        model=f"{manifest.model.name} {manifest.model.version}",
        source=samples.source,
        signers=len(set(samples.signers)),
        canvases=len(samples.canvases),
        pairs=len(pairs),
        operating_point=point.name,
        threshold=point.threshold,
        reference_eer=trial.eer,
        reference_accepted=share_at_or_above(trial.scores, point.threshold),
        rows=tuple(_compare(run, found, trial) for run, found in zip(audited.runs, scores, strict=True)),
        unmeasured=audited.unmeasured,
        files=audited.files,
        findings=audited.findings,
        scores=PairScores(pairs.kind, trial.scores, scores),
    )


def _compare(run: Run, scores: NDArray[np.float64], trial: _Trial) -> ArtifactParity:
    artifact, embeddings = run.artifact, run.embeddings
    scored, genuine, signers = trial.scored, trial.genuine, trial.pairs.signer
    return ArtifactParity(
        artifact=artifact.name,
        format=artifact.format,
        precision=artifact.precision,
        engine=f"{run.engine} {run.version}",
        delegate="not known" if run.placement is None else str(run.placement),
        **asdict(score_change(trial.scores, scores, trial.threshold)),
        eer=float(equal_error_rate(scores[scored], genuine[scored])[0]),
        eer_difference=eer_difference(trial.scores[scored], scores[scored], genuine[scored], signers[scored]),
        variance_ratio=_ratio(variance(embeddings), variance(trial.embeddings)),
        effective_rank_ratio=_ratio(effective_rank(embeddings), effective_rank(trial.embeddings)),
        accepted=share_at_or_above(scores, trial.threshold),
    )


def _ratio(value: float, reference: float) -> float:
    # A reference that is itself collapsed has nothing left to lose; the ratio then says so.
    return value / reference if reference > 0 else 1.0
