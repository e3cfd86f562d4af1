"""What a `Verifier` returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sigedge_runtime.guidance import Guidance
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
        guidance: advice on all references that the user has now.
    """

    user: str
    added: int
    templates: int
    qualities: tuple[Quality, ...]
    identity: str
    guidance: Guidance

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        parts = {"guidance": self.guidance.to_dict(), "qualities": [quality.to_dict() for quality in self.qualities]}
        return {**vars(self), **parts}


@dataclass(frozen=True)
class Verdict:
    """Whether a signature is the user's.

    Attributes:
        accepted: whether the score reaches the threshold, and the image is good enough.
        score: see `sigedge_runtime.scoring.scores`, -2 to 2.
        log_likelihood_ratio: natural logarithm of how many times likelier the score is for a genuine signature than for
            a skilled forgery; above 0 it speaks for genuine, whatever was to be expected beforehand.
        probability: that the signature is genuine, 0 to 1, where that was as likely as not beforehand.
        threshold: of the operating point for this number of references.
        operating_point: name of the operating point.
        references: references compared with.
        sign_again: whether the image is too poor for an answer; then it is not accepted.
        remedy: what to ask of the person when `sign_again` is true, else empty.
        quality_index: of the questioned image, 0 to 1, see `sigedge_runtime.abstention.quality_index`.
        quality: of the questioned image.
        timings: of this call.
        identity: what made the embeddings.
    """

    accepted: bool
    score: float
    log_likelihood_ratio: float
    probability: float
    threshold: float
    operating_point: str
    references: int
    sign_again: bool
    remedy: str
    quality_index: float
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
    log_likelihood_ratio: float
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
        sign_again: whether the image is too poor for an answer; then no candidate is accepted.
        remedy: what to ask of the person when `sign_again` is true, else empty.
        quality_index: of the image, as in `Verdict`.
        quality: of the image.
        timings: of this call.
        identity: what made the embeddings.
    """

    candidates: tuple[Candidate, ...]
    enrolled: int
    operating_point: str
    sign_again: bool
    remedy: str
    quality_index: float
    quality: Quality
    timings: Timings
    identity: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        candidates = [asdict(candidate) for candidate in self.candidates]
        parts = {"quality": self.quality.to_dict(), "timings": self.timings.to_dict()}
        return {**vars(self), **parts, "candidates": candidates}
