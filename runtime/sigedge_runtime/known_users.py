"""What is worked out of users' references once and remembered: their layout for comparing, and how alike they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sigedge_runtime.decision import Decision
from sigedge_runtime.matching import Arranged, Vector

REMEMBERED = 65_536
"""Users whose consistency is kept, some 200 bytes each."""
RECENT = 16
"""Users whose references stay laid out, some 40 kB a reference."""


class Enrolled(NamedTuple):
    """References of a user [K, D], laid out, and how alike they are (-1 to 1)."""

    references: Vector
    arranged: Arranged
    consistency: float


class KnownUsers:
    """Remembers users for one decision rule; safe to share between threads, which at worst work something out twice."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision
        # By user: what the templates were, and their consistency. No template is kept, nor more than so many users.
        self._consistencies: dict[str, tuple[int, float]] = {}
        self._recent: dict[str, Enrolled] = {}

    def enrolled(self, user: str, references: Vector) -> Enrolled:
        """A user's stored references, laid out; done again only when they changed."""
        known = self._recent.get(user)
        if known is not None and (known.references is references or np.array_equal(known.references, references)):
            return known
        arranged = self._decision.similarity.arrange(references)
        if len(self._recent) >= RECENT:
            self._recent.clear()
        known = self._recent[user] = Enrolled(references, arranged, self.consistency(user, references))
        return known

    def consistency(self, user: str, references: Vector) -> float:
        """Of a user's stored references; worked out again only when they changed, for it grows with their square."""
        known, content = self._consistencies.get(user), hash(references.tobytes())
        if known is None or known[0] != content:
            if len(self._consistencies) >= REMEMBERED:
                self._consistencies.clear()
            known = self._consistencies[user] = content, self._consistency(references)
        return known[1]

    def strangers(self, references: Vector) -> Enrolled:
        """References of nobody in particular, of whom nothing is remembered."""
        return Enrolled(references, self._decision.similarity.arrange(references), self._consistency(references))

    def _consistency(self, references: Vector) -> float:
        if not self._decision.consistency_weight:
            return 0.0
        return float(self._decision.similarity.consistencies(references, np.array([len(references)], np.intp))[0])
