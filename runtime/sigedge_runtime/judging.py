"""From embeddings to verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np

from sigedge_runtime._clock import Clock
from sigedge_runtime.abstention import quality_index, remedy
from sigedge_runtime.decision import Decision
from sigedge_runtime.embedding import Embedder
from sigedge_runtime.images import ImageSource
from sigedge_runtime.known_users import Enrolled, KnownUsers
from sigedge_runtime.matching import Vector
from sigedge_runtime.results import Candidate, Embedding, Identification, Timings, Verdict
from sigedge_runtime.scoring import log_likelihood_ratio, probability, scores

if TYPE_CHECKING:
    from sigedge_runtime.quality import Quality
    from sigedge_runtime.store import Gallery


class _Circumstances(TypedDict):
    """What every answer says of the image and the call."""

    operating_point: str
    sign_again: bool
    remedy: str
    quality_index: float
    quality: Quality
    timings: Timings
    identity: str


class Judge:
    """Decides on embeddings by one rule and at one operating point; safe to share between threads, and to pickle.

    Attributes:
        decision: of the bundle.
        operating_point: name of the threshold.
        users: what is remembered of users whose references were seen.
    """

    def __init__(self, decision: Decision, operating_point: str) -> None:
        self.decision = decision
        self.operating_point = operating_point
        self.users = KnownUsers(decision)

    def verdict(self, query: Embedding, enrolled: Enrolled, clock: Clock) -> Verdict:
        """Whether a signature is by the writer of the references; the timings are the clock's."""
        with clock.stage("match"):
            count = len(enrolled.references)
            known = np.array([enrolled.consistency])
            sizes = np.array([count], np.intp)
            found = scores(query.vector, enrolled.arranged, sizes, self.decision, known)
            asked = self._remedy(query)
            result = self._candidate("", float(found[0]), count, asked)
        return Verdict(
            accepted=result.accepted,
            score=result.score,
            log_likelihood_ratio=result.log_likelihood_ratio,
            probability=result.probability,
            threshold=result.threshold,
            references=result.references,
            **self._circumstances(query, asked, clock),
        )

    def identification(
        self, query: Embedding, gallery: Gallery, limit: int, enrolled: int, clock: Clock
    ) -> Identification:
        """The most probable users of a gallery, at most `limit`, of so many enrolled; the timings are the clock's."""
        with clock.stage("match"):
            asked = self._remedy(query)
            candidates = self._rank(query, gallery, asked)[: max(0, limit)]
        return Identification(
            candidates=tuple(candidates),
            enrolled=enrolled,
            **self._circumstances(query, asked, clock),
        )

    def _rank(self, query: Embedding, gallery: Gallery, asked: str) -> list[Candidate]:
        """All users by likelihood ratio, which is comparable between users with few and with many references."""
        parts = np.split(gallery.vectors, np.cumsum(gallery.sizes)[:-1])
        known = np.array([self.users.consistency(user, own) for user, own in zip(gallery.users, parts, strict=True)])
        found = scores(query.vector, gallery.vectors, gallery.sizes, self.decision, known)
        candidates = [
            self._candidate(user, float(score), int(count), asked)
            for user, score, count in zip(gallery.users, found, gallery.sizes, strict=True)
        ]
        return sorted(candidates, key=lambda one: (-one.log_likelihood_ratio, one.user))

    def _circumstances(self, query: Embedding, asked: str, clock: Clock) -> _Circumstances:
        return {
            "operating_point": self.operating_point,
            "sign_again": asked != "",
            "remedy": asked,
            "quality_index": quality_index(query.quality.measurements),
            "quality": query.quality,
            "timings": clock.timings(),
            "identity": query.identity,
        }

    def _remedy(self, query: Embedding) -> str:
        """What to ask of the person; empty when the image is good enough to decide on."""
        return remedy(query.quality.measurements, self.decision.sign_again_below)

    def __reduce__(self) -> tuple[type[Judge], tuple[Decision, str]]:
        """A copy remembers nobody."""
        return type(self), (self.decision, self.operating_point)

    def _candidate(self, user: str, score: float, references: int, asked: str) -> Candidate:
        """A score judged; whatever it is, nobody is accepted who is asked to sign again."""
        threshold = self.decision.operating_point(self.operating_point, references).threshold
        calibration = self.decision.calibration(references)
        return Candidate(
            user=user,
            accepted=score >= threshold and not asked,
            score=score,
            log_likelihood_ratio=log_likelihood_ratio(score, calibration),
            probability=probability(score, calibration),
            threshold=threshold,
            references=references,
        )


class Claim(NamedTuple):
    """Who is said to have signed: a user, and the user's stored references, prepared float32 [K, D]."""

    user: str
    references: Vector


class Desk(NamedTuple):
    """All that it takes to decide on an image."""

    embedder: Embedder
    judge: Judge

    def verify(self, claim: Claim, image: ImageSource, clock: Clock | None = None) -> Verdict:
        """Decide whether a signature is the claimed user's.

        Raises:
            ImageError, QualityError, EngineError: as for `Embedder.embed`.
        """
        clock = clock or Clock()
        query = self.embedder.embed(image, clock)
        with clock.stage("match"):
            enrolled = self.judge.users.enrolled(*claim)
        return self.judge.verdict(query, enrolled, clock)
