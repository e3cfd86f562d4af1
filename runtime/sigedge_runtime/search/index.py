"""Indexes over short vectors: the interface, and exact search by one matrix product."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError
from sigedge_runtime.matching import Vector

Labels = NDArray[np.int64]
BLOCKS = 16
"""Blocks of products looked at for each neighbour that is wanted."""
NOBODY = -1
"""Label in the place of a neighbour that an approximate search did not find."""


class Neighbours(NamedTuple):
    """What a search found, best first: labels int64 [Q, k] and similarities float32 [Q, k]."""

    labels: Labels
    similarities: Vector


class TemplateIndex(Protocol):
    """Vectors with labels; vectors of one user share a label. Not safe for several threads."""

    def __len__(self) -> int:
        """Number of vectors."""

    def add(self, labels: Labels, vectors: Vector) -> None:
        """Add vectors.

        Args:
            labels: int64 [N], 0 or more; a label may occur several times.
            vectors: float32 [N, S].

        Raises:
            StoreError: the vectors are of another size than those of the index, or not as many as the labels.
        """

    def remove(self, labels: Labels) -> int:
        """Remove all vectors of some labels, int64 [L]; return how many are gone. Unknown labels are passed over."""

    def search(self, queries: Vector, k: int) -> Neighbours:
        """The k vectors with the largest products with each query, and of equal ones those with the smaller labels.

        Args:
            queries: float32 [Q, S].
            k: how many; 1 or more.

        Returns:
            [Q, min(k, len)] of each; where an approximate search found fewer, `NOBODY` with -inf fills the end.

        Raises:
            StoreError: the queries are of another size than the vectors, or k is below 1.
        """

    @property
    def outgrown(self) -> bool:
        """Whether so much was added that the index should be built anew."""


class MatrixIndex:
    """Exact search by the product of all vectors with a query: see `TemplateIndex`."""

    outgrown = False

    def __init__(self, size: int) -> None:
        """Make an empty index for vectors of `size` numbers."""
        self._vectors = np.empty((0, size), np.float32)
        self._labels = np.empty(0, np.int64)
        self._count = 0

    def __len__(self) -> int:
        """Number of vectors."""
        return self._count

    @property
    def nbytes(self) -> int:
        """Memory that vectors and labels take, with the room kept for more."""
        return self._vectors.nbytes + self._labels.nbytes

    def add(self, labels: Labels, vectors: Vector) -> None:
        """See `TemplateIndex.add`."""
        check_added(labels, vectors, self._vectors.shape[1])
        self._make_room(len(labels))
        end = self._count + len(labels)
        self._vectors[self._count : end] = vectors
        self._labels[self._count : end] = labels
        self._count = end

    def remove(self, labels: Labels) -> int:
        """See `TemplateIndex.remove`."""
        kept = np.flatnonzero(~np.isin(self._labels[: self._count], labels))
        gone = self._count - len(kept)
        if gone:
            self._vectors, self._labels, self._count = self._vectors[kept], self._labels[kept], len(kept)
        return gone

    def search(self, queries: Vector, k: int) -> Neighbours:
        """See `TemplateIndex.search`."""
        check_searched(queries, k, self._vectors.shape[1])
        vectors, labels, k = self._vectors[: self._count], self._labels[: self._count], min(k, self._count)
        found = Neighbours(np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32))
        for row, query in enumerate(queries):
            products = vectors @ query
            best = _best(products, labels, k)
            found.labels[row], found.similarities[row] = labels[best], products[best]
        return found

    def _make_room(self, more: int) -> None:
        """Half as much again when it runs out, so that adding one by one does not copy everything each time."""
        needed = self._count + more
        if needed > len(self._labels):
            room = max(needed, self._count * 3 // 2) if self._count else needed
            # Memory that is not written to yet costs nothing.
            vectors, labels = np.empty((room, self._vectors.shape[1]), np.float32), np.empty(room, np.int64)
            vectors[: self._count], labels[: self._count] = self._vectors[: self._count], self._labels[: self._count]
            self._vectors, self._labels = vectors, labels


def ordered(labels: Labels, similarities: Vector) -> NDArray[np.intp]:
    """Positions of [N] neighbours, best first, and of equally good ones the smaller label first."""
    order: NDArray[np.intp] = np.lexsort((labels, -similarities))
    return order


def check_added(labels: NDArray[Any], vectors: NDArray[Any], size: int) -> None:
    """Raise a StoreError where vectors cannot be added."""
    if vectors.ndim != 2 or vectors.shape[1] != size:
        raise StoreError(f"Vectors of shape {list(vectors.shape)} do not fit an index of vectors of {size} numbers.")
    if labels.shape != (len(vectors),) or (len(labels) and labels.min() < 0):
        raise StoreError(f"{len(vectors)} vectors need as many labels of 0 or more; give one for each.")


def check_searched(queries: NDArray[Any], k: int, size: int) -> None:
    """Raise a StoreError where nothing can be searched."""
    if queries.ndim != 2 or queries.shape[1] != size:
        raise StoreError(f"Queries of shape {list(queries.shape)} do not fit an index of vectors of {size} numbers.")
    if k < 1:
        raise StoreError(f"A search for {k} neighbours finds nothing; ask for at least 1.")


def _best(products: Vector, labels: Labels, k: int) -> NDArray[np.intp]:
    if k == 0:
        return np.empty(0, np.intp)
    # k blocks hold a product as good as the k-th best of the blocks' maxima, so nothing below it is among the best k.
    # All that equal it stay, so that it is the labels that decide among equals and not the order of the rows.
    block = max(1, len(products) // (BLOCKS * k))
    maxima = products[: len(products) // block * block].reshape(-1, block).max(axis=1)
    rows = np.flatnonzero(products >= np.partition(maxima, len(maxima) - k)[len(maxima) - k])
    best: NDArray[np.intp] = rows[ordered(labels[rows], products[rows])[:k]]
    return best
