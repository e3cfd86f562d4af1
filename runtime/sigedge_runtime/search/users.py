"""Who of a store is worth an exact comparison with a query: everybody, or a short list."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import numpy as np

from sigedge_runtime.errors import UnknownUserError
from sigedge_runtime.matching import Matching, Vector
from sigedge_runtime.search.faiss_index import FaissIndex, faiss_installed
from sigedge_runtime.search.index import NOBODY, Labels, MatrixIndex, TemplateIndex
from sigedge_runtime.search.short import short_vectors
from sigedge_runtime.store import Gallery, StoredUser, TemplateStore

# Chosen from benchmarks/results/identity-edgesig.json. The first two are above what is fastest there: an exact answer
# is kept as long as it costs a few hundredths of a second at most.
EXACT_UP_TO = 1_000
"""Templates up to which everybody is compared exactly."""
MATRIX_UP_TO = 100_000
"""Templates up to which short vectors are searched exactly; FAISS searches more of them where it is installed."""
SHORT_LIST = 100
"""Templates on a short list. Among a million the worst placed winner was the 87th."""
_ALIKE = timedelta(seconds=2)

Mark = tuple[int, str]


def build_index(labels: Labels, vectors: Vector) -> TemplateIndex:
    """The index for so many vectors: FAISS above `MATRIX_UP_TO` where it is installed, else exact search.

    Args:
        labels: int64 [N]; see `TemplateIndex.add`.
        vectors: float32 [N, S].
    """
    if len(labels) > MATRIX_UP_TO and faiss_installed():
        return FaissIndex(labels, vectors)
    index = MatrixIndex(vectors.shape[1])
    index.add(labels, vectors)
    return index


class UserSearch:
    """Finds the users of a store whose templates may be by the writer of a query.

    Up to `EXACT_UP_TO` templates these are all users. Beyond, an index over short vectors gives a short list, and only
    the templates of the users on it are read from the store. The index is kept in memory and never written to a disk,
    for it is biometric data; it follows the store's changes. Safe for several threads, which search in turn.
    """

    def __init__(
        self,
        store: TemplateStore,
        identity: str,
        matching: Matching,
        *,
        exact_up_to: int | None = None,
        short_list: int | None = None,
    ) -> None:
        """Search a store, which is not read before the first `refresh`.

        Args:
            store: where the templates are.
            identity: what made them, see `Verifier.identity`.
            matching: that prepared them.
            exact_up_to: templates up to which everybody is compared; `EXACT_UP_TO` by default.
            short_list: templates on a short list; `SHORT_LIST` by default.
        """
        self._store, self._identity, self._matching = store, identity, matching
        self._exact_up_to = EXACT_UP_TO if exact_up_to is None else exact_up_to
        self._short_list = SHORT_LIST if short_list is None else short_list
        self._lock = threading.RLock()
        self._revision: str | None = None
        self._last = NOBODY
        self._enrolled = 0
        self._everybody: Gallery | None = None
        self._index: TemplateIndex | None = None
        self._names: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._marks: dict[str, Mark | None] = {}

    @property
    def enrolled(self) -> int:
        """Number of users at the last `refresh`."""
        return self._enrolled

    @property
    def index(self) -> TemplateIndex | None:
        """The index; None while everybody is compared."""
        return self._index

    def refresh(self) -> None:
        """Take over what changed in the store since the last time.

        Raises:
            UnknownUserError: nobody is enrolled.
            TemplateMismatchError: some templates are of another identity.
            StoreError: the store cannot be read.
        """
        with self._lock:
            revision = self._store.revision()
            if revision == self._revision:
                return
            now, users = datetime.now(timezone.utc), self._store.users()
            self._revision = None  # should something be raised, the next time starts over
            if sum(user.templates for user in users) <= self._exact_up_to:
                self._forget()
                self._everybody = self._store.gallery(self._identity)
            else:
                self._everybody = None
                self._follow(users, now)
            self._enrolled, self._revision = len(users), revision

    def gallery(self, query: Vector, least: int = 0) -> Gallery:
        """Users to compare with a query, with all their templates: everybody, or a short list, best first.

        Args:
            query: float32 [D], prepared.
            least: users wanted; a short list has at least so many templates.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._lock:
            if self._everybody is not None or self._index is None:
                return self._everybody or self._store.gallery(self._identity)
            return self._read(self._listed(self._index, query, max(self._short_list, least)))

    def _listed(self, index: TemplateIndex, query: Vector, templates: int) -> list[str]:
        """Names on the short list."""
        found = index.search(short_vectors(query[None], self._matching), templates)
        return [self._names[label] for label in dict.fromkeys(found.labels[0].tolist()) if label != NOBODY]

    def _read(self, names: Sequence[str]) -> Gallery:
        """Templates of some users; of one who was just removed there are none."""
        parts: dict[str, Vector] = {}
        for name in names:
            with contextlib.suppress(UnknownUserError):
                parts[name] = self._store.templates(name, self._identity)
        if not parts:
            raise UnknownUserError("All users on the short list were removed meanwhile; identify again.")
        sizes = np.array([len(part) for part in parts.values()], np.intp)
        return Gallery(tuple(parts), sizes, np.concatenate(list(parts.values())))

    def _follow(self, users: Sequence[StoredUser], now: datetime) -> None:
        marks = {user.name: _mark(user, now) for user in users}
        if self._index is None or self._outgrown():
            self._build()
        else:
            self._update(self._index, marks)
        self._marks = marks

    def _outgrown(self) -> bool:
        index = self._index
        if isinstance(index, MatrixIndex):
            return len(index) > MATRIX_UP_TO and faiss_installed()
        return index is not None and index.outgrown

    def _build(self) -> None:
        """Read the whole store once, part by part; only short vectors are kept."""
        self._forget()
        labels: list[Labels] = []
        vectors: list[Vector] = []
        for gallery in self._store.galleries(self._identity):
            numbers = np.array([self._number(user) for user in gallery.users], np.int64)
            labels.append(np.repeat(numbers, gallery.sizes))
            vectors.append(short_vectors(gallery.vectors, self._matching))
        if not labels:
            raise UnknownUserError("All users were removed while they were read; enrol a user first.")
        self._index = build_index(np.concatenate(labels), np.concatenate(vectors))

    def _update(self, index: TemplateIndex, marks: dict[str, Mark | None]) -> None:
        """Read anew who changed; a user without a mark may have changed and look the same."""
        gone = [name for name in self._numbers if name not in marks]
        changed = [name for name, mark in marks.items() if mark is None or mark != self._marks.get(name)]
        index.remove(np.array([self._numbers[name] for name in (*gone, *changed) if name in self._numbers], np.int64))
        for name in (*gone, *changed):
            label = self._numbers.pop(name, None)
            if label is not None:
                del self._names[label]
        for name in changed:
            with contextlib.suppress(UnknownUserError):
                vectors = short_vectors(self._store.templates(name, self._identity), self._matching)
                index.add(np.full(len(vectors), self._number(name), np.int64), vectors)

    def _number(self, user: str) -> int:
        """A user's label: a new one, unless the user changed while the store was read and was met twice."""
        label = self._numbers.get(user)
        if label is None:
            label = self._last = self._last + 1
            self._names[label], self._numbers[user] = user, label
        return label

    def _forget(self) -> None:
        self._index = None
        self._names, self._numbers, self._marks = {}, {}, {}


def _mark(user: StoredUser, now: datetime) -> Mark | None:
    """What changes with a user's templates; None for one enrolled just now, who may be replaced within the second."""
    recent = (now - _ALIKE).isoformat(timespec="seconds")
    return None if user.created >= recent else (user.templates, user.created)
