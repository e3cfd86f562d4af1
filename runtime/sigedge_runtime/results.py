"""What a `Verifier` returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.quality import Quality


@dataclass(frozen=True)
class Timings:
    """Milliseconds spent in each stage; `total` also holds what lies between the stages.

    Attributes:
        decode: reading and decoding images.
        preprocess: from images to canvases.
        infer: from canvases to embeddings.
        match: reading templates and scoring.
        total: the whole call.
    """

    decode: float
    preprocess: float
    infer: float
    match: float
    total: float

    def to_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Embedding:
    """A signature as a vector.

    Attributes:
        vector: float32 [D], prepared for comparison (`sigedge_runtime.matching`).
        identity: what made it; only vectors of one identity can be compared.
        quality: of the image.
        timings: of this call; `match` is 0.
    """

    vector: NDArray[np.float32]
    identity: str
    quality: Quality
    timings: Timings


@dataclass(frozen=True)
class Enrolment:
    """Outcome of an enrolment.

    Attributes:
        user: who was enrolled.
        added: templates added by this call.
        templates: templates the user has now.
        qualities: of the images, in their order.
        identity: what made the templates.
    """

    user: str
    added: int
    templates: int
    qualities: tuple[Quality, ...]
    identity: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "qualities": [quality.to_dict() for quality in self.qualities]}


@dataclass(frozen=True)
class Verdict:
    """Whether a signature is the user's.

    Attributes:
        accepted: whether the score reaches the threshold.
        score: see `sigedge_runtime.scoring.scores`, -2 to 2.
        probability: calibrated probability that the signature is genuine, 0 to 1, at equal prior odds.
        threshold: of the operating point for this number of references.
        operating_point: name of the operating point.
        references: references compared with.
        quality: of the questioned image.
        timings: of this call.
        identity: what made the embeddings.
    """

    accepted: bool
    score: float
    probability: float
    threshold: float
    operating_point: str
    references: int
    quality: Quality
    timings: Timings
    identity: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "quality": self.quality.to_dict(), "timings": self.timings.to_dict()}


@dataclass(frozen=True)
class Candidate:
    """An enrolled user as the possible writer; fields as in `Verdict`."""

    user: str
    accepted: bool
    score: float
    probability: float
    threshold: float
    references: int


@dataclass(frozen=True)
class Identification:
    """Who may have written a signature.

    Attributes:
        candidates: the most probable users, best first.
        enrolled: users compared with; false acceptances grow with their number.
        operating_point: name of the operating point.
        quality: of the image.
        timings: of this call.
        identity: what made the embeddings.
    """

    candidates: tuple[Candidate, ...]
    enrolled: int
    operating_point: str
    quality: Quality
    timings: Timings
    identity: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        candidates = [asdict(candidate) for candidate in self.candidates]
        parts = {"quality": self.quality.to_dict(), "timings": self.timings.to_dict()}
        return {**vars(self), **parts, "candidates": candidates}
