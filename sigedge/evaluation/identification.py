"""Recall of identification: how often the user whom a comparison with everybody ranks first is on the short list.

Galleries hold real and synthetic signers, with several references each. No collection of signatures has as many signers
as a gallery of a million templates; what is missing is filled with spliced users. A spliced user has the left part of
one signer's templates and the right part of another's, cut at some column of cells. Each such template is one that the
exact comparison takes as it takes any other, half of it is by the hand of somebody who is enrolled too, and so it is
more like that signer's signatures than a stranger's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import DataError
from sigedge_runtime.matching import LocalMatching, Vector
from sigedge_runtime.scoring import scores
from sigedge_runtime.search import TemplateIndex, short_vectors

Numbers = NDArray[np.intp]
CHUNK = 200
"""Users that are held in memory at once, and templates that a query is compared with at once, are multiples of it."""


@dataclass(frozen=True)
class Trials:
    """Enrolled users and signatures in question, by some of them.

    Attributes:
        references: float32 [U, R, D], R prepared templates of each of U users.
        queries: float32 [Q, D], prepared, none of them a reference.
        owners: who signed each query, [Q], a user's row.
        kinds: of each query's signer, Q words.
    """

    references: Vector
    queries: Vector
    owners: Numbers
    kinds: NDArray[np.str_]

    @property
    def sizes(self) -> Numbers:
        """Number of references of each user."""
        return np.full(len(self.references), self.references.shape[1], np.intp)

    def asked(self, users: int) -> NDArray[np.bool_]:
        """Which queries are by the first so many users, [Q]."""
        return self.owners < users

    def first(self, users: int) -> Trials:
        """The first so many users, and the queries by them."""
        kept = self.asked(users)
        return Trials(self.references[:users], self.queries[kept], self.owners[kept], self.kinds[kept])


def draw_trials(
    prepared: Vector, signers: Sequence[str], kinds: Sequence[str], *, references: int, queries: int, seed: int
) -> Trials:
    """Draw references of every signer who has enough samples, and queries from what is left.

    Args:
        prepared: float32 [N, D], genuine samples.
        signers: N names.
        kinds: N words, the same for all samples of a signer; the users of the first kind that occurs come first.
        references: of each user.
        queries: at most so many of each kind.
        seed: of the draws.

    Raises:
        DataError: no signer has one sample more than references.
    """
    random, names = np.random.default_rng(seed), np.asarray(signers)
    rows: list[Numbers] = []
    left: dict[str, list[tuple[int, int]]] = {}
    for name in dict.fromkeys(signers):
        own = random.permutation(np.flatnonzero(names == name))
        if len(own) > references:
            kind = kinds[int(own[0])]
            left.setdefault(kind, []).extend((int(row), len(rows)) for row in own[references:])
            rows.append(own[:references])
    if not rows:
        raise DataError(f"No signer has more than {references} genuine samples; give more of them.")
    drawn = {kind: [pairs[i] for i in random.permutation(len(pairs))[:queries]] for kind, pairs in left.items()}
    chosen = [pair for pairs in drawn.values() for pair in pairs]
    return Trials(
        prepared[np.stack(rows)],
        prepared[[row for row, _ in chosen]],
        np.array([user for _, user in chosen], np.intp),
        np.array([kind for kind, pairs in drawn.items() for _ in pairs]),
    )


@dataclass(frozen=True)
class Splices:
    """Spliced users: `left`, `right` [N] are rows of the references, `cuts` [N] the first columns of the right part."""

    matching: LocalMatching
    references: Vector
    left: Numbers
    right: Numbers
    cuts: Numbers

    @classmethod
    def draw(cls, references: Vector, matching: LocalMatching, count: int, seed: int) -> Splices:
        """Draw spliced users, cut in the middle half of the canvas.

        Args:
            references: float32 [U, R, D], prepared; U at least 2.
            matching: that prepared them.
            count: of spliced users.
            seed: of the draws.
        """
        random, users = np.random.default_rng(seed), len(references)
        left = random.integers(0, users, count)
        right = (left + random.integers(1, users, count)) % users
        quarter = matching.columns // 4
        cuts = random.integers(max(1, quarter), max(2, matching.columns - quarter), count)
        return cls(matching, references, left, right, cuts)

    def __len__(self) -> int:
        """Number of spliced users."""
        return len(self.cuts)

    def templates(self, users: Numbers) -> Vector:
        """Templates of some spliced users, float32 [len(users), R, D]; not scaled, which is left to the matching."""
        grid = (self.matching.rows, self.matching.columns, self.references.shape[2] // self.matching.cells)
        left, right = (
            self.references[signers[users]].reshape(len(users), -1, *grid) for signers in (self.left, self.right)
        )
        is_left = np.arange(self.matching.columns) < self.cuts[users, None]
        joined: Vector = np.where(is_left[:, None, None, :, None], left, right)
        return joined.reshape(len(users), *self.references.shape[1:])

    def short_vectors(self) -> Iterator[Vector]:
        """Short vectors of all of them, user by user, in parts."""
        for start in range(0, len(self), CHUNK):
            templates = self.templates(np.arange(start, min(start + CHUNK, len(self))))
            yield short_vectors(templates.reshape(-1, templates.shape[2]), self.matching)


def scores_of_all(trials: Trials, decision: Decision) -> NDArray[np.float64]:
    """Scores of every query for every user by exact comparison, float64 [Q, U]."""
    flat = trials.references.reshape(-1, trials.references.shape[2])
    known = decision.similarity.consistencies(flat, trials.sizes)
    found = np.empty((len(trials.queries), len(trials.references)))
    for start in range(0, len(trials.references), CHUNK):
        part = slice(start, start + CHUNK)
        own = trials.references[part]
        for row, query in enumerate(trials.queries):
            found[row, part] = scores(query, own.reshape(-1, own.shape[2]), trials.sizes[part], decision, known[part])
    return found


@dataclass(frozen=True)
class Ranks:
    """Where the user whom the exact comparison ranks first stands in the order of the short vectors.

    Attributes:
        winners: of each query, [Q]: a user's row; spliced users follow the others.
        places: of each winner's first template among the neighbours looked at, [Q], from 0; -1 where it is not there.
    """

    winners: Numbers
    places: Numbers

    def recall(self, length: int) -> NDArray[np.bool_]:
        """Whether each winner is on a short list of so many templates, [Q]."""
        return (self.places >= 0) & (self.places < length)


def rank_winners(
    trials: Trials,
    exact: NDArray[np.float64],
    splices: Splices,
    index: TemplateIndex,
    decision: Decision,
    *,
    neighbours: int = 1000,
    compared: int = 100,
) -> Ranks:
    """Find the winner of each query and its place among the nearest short vectors.

    Users that are not spliced are all compared exactly; of the spliced ones those among the first `compared` users in
    the order of the short vectors.

    Args:
        trials: users and queries.
        exact: float64 [Q, users], see `scores_of_all`, of the users that are enrolled.
        splices: spliced users; may be none.
        index: over the short vectors of all of them, labelled by their rows, spliced users behind the others.
        decision: of the bundle.
        neighbours: templates looked at.
        compared: users compared at most.
    """
    users = exact.shape[1]
    found = index.search(short_vectors(trials.queries, decision.similarity), neighbours)
    winners, places = [], []
    for query, scored, labels in zip(trials.queries, exact, found.labels, strict=True):
        near = np.array([label for label in list(dict.fromkeys(labels.tolist()))[:compared] if label >= users], np.intp)
        winner, best = int(np.argmax(scored)), float(np.max(scored))
        if len(near):
            spliced = _scores_of_spliced(query, splices, near - users, decision)
            if np.max(spliced) > best:
                winner = int(near[np.argmax(spliced)])
        at = np.flatnonzero(labels == winner)
        winners.append(winner)
        places.append(int(at[0]) if len(at) else -1)
    return Ranks(np.array(winners, np.intp), np.array(places, np.intp))


def _scores_of_spliced(query: Vector, splices: Splices, users: Numbers, decision: Decision) -> NDArray[np.float64]:
    templates = splices.templates(users)
    prepared = decision.similarity.prepare(templates.reshape(-1, templates.shape[2]))
    return scores(query, prepared, np.full(len(users), templates.shape[1], np.intp), decision)
