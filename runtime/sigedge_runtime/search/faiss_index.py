"""Approximate search with FAISS (M. Douze et al., "The Faiss library", arXiv:2401.08281, 2024)."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np

from sigedge_runtime.errors import StoreError
from sigedge_runtime.matching import Vector
from sigedge_runtime.search.index import NOBODY, Labels, Neighbours, check_added, check_searched, ordered

LISTS_PER_ROOT = 2
"""Lists that vectors are sorted into, as a multiple of the root of their number."""
SHARE_SEARCHED = 1 / 16
"""Share of the lists that a search looks through."""
TRAINED_ON = 100_000
"""Vectors at most that the lists' centres are computed from."""
OUTGROWN = 4
"""An index so many times as large as it was built for has lists too long."""


def faiss_installed() -> bool:
    """Whether FAISS can be imported here."""
    try:
        _faiss()
    except StoreError:
        return False
    return True


class FaissIndex:
    """Vectors as 16-bit floats in lists around centres, of which a search looks through the nearest.

    See `TemplateIndex`. The same vectors in the same order give the same index.
    """

    def __init__(self, labels: Labels, vectors: Vector) -> None:
        """Build the index.

        Args:
            labels: int64 [N]; see `TemplateIndex.add`.
            vectors: float32 [N, S], N at least 1.

        Raises:
            StoreError: FAISS is not installed, or the vectors do not fit the labels.
        """
        faiss = _faiss()
        if vectors.ndim != 2 or len(vectors) == 0:
            raise StoreError(f"An index of FAISS cannot be built from vectors of shape {list(vectors.shape)}.")
        self._size, self._built = vectors.shape[1], len(vectors)
        lists = max(1, min(round(LISTS_PER_ROOT * math.sqrt(self._built)), self._built))
        self._index = faiss.index_factory(self._size, f"IVF{lists},SQfp16", faiss.METRIC_INNER_PRODUCT)
        self._index.cp.min_points_per_centroid = 1  # says nothing of few vectors on the console
        self._index.nprobe = math.ceil(lists * SHARE_SEARCHED)
        self._index.train(np.ascontiguousarray(vectors[:: math.ceil(self._built / TRAINED_ON)], np.float32))
        self.add(labels, vectors)

    def __len__(self) -> int:
        """Number of vectors."""
        return int(self._index.ntotal)

    @property
    def outgrown(self) -> bool:
        """Whether so much was added that the index should be built anew."""
        return len(self) > OUTGROWN * self._built

    @property
    def nbytes(self) -> int:
        """Memory that vectors, labels and centres take, the room kept for more not counted."""
        return len(self) * (2 * self._size + 8) + int(self._index.nlist) * 4 * self._size

    def add(self, labels: Labels, vectors: Vector) -> None:
        """See `TemplateIndex.add`."""
        check_added(labels, vectors, self._size)
        if len(labels):
            self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.ascontiguousarray(labels, np.int64))

    def remove(self, labels: Labels) -> int:
        """See `TemplateIndex.remove`."""
        return int(self._index.remove_ids(np.ascontiguousarray(labels, np.int64)))

    def search(self, queries: Vector, k: int) -> Neighbours:
        """See `TemplateIndex.search`; which of equally good vectors come last is up to FAISS."""
        check_searched(queries, k, self._size)
        k = min(k, len(self))
        if k == 0 or len(queries) == 0:
            return Neighbours(np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32))
        similarities, labels = self._index.search(np.ascontiguousarray(queries, np.float32), k)
        similarities[labels == NOBODY] = -np.inf
        order = np.stack([ordered(*pair) for pair in zip(labels, similarities, strict=True)])
        return Neighbours(np.take_along_axis(labels, order, 1), np.take_along_axis(similarities, order, 1))


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ImportError as error:
        raise StoreError(
            f"An index of FAISS needs the package faiss-cpu ({error}); install it with: pip install 'sigedge[search]'."
        ) from None
