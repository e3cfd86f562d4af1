"""How alike two embeddings are: as wholes by their cosine, or region by region.

Both ways offer the same: embeddings are prepared once, prepared ones are compared, and the references of a user are
compared among themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._records import Record, require
from sigedge_runtime.errors import EngineError

Vector = NDArray[np.float32]

# A region fainter than this share of the mean one is shrunk rather than scaled up to a direction made of noise.
FAINT = 0.1
# Keeps what lies out of reach from being the best match: similarities are -1 to 1.
OUT_OF_REACH = -4.0


class Matching(Protocol):
    """A way to compare embeddings float [N, D]."""

    def prepare(self, embeddings: NDArray[np.floating[Any]]) -> Vector:
        """Scale embeddings so that their length tells nothing, which it does not.

        Args:
            embeddings: float [D] or [N, D], finite and not all zero.

        Returns:
            float32 of the same shape.

        Raises:
            EngineError: an embedding is all zero or not finite.
        """

    def similarities(self, queries: Vector, references: Vector) -> Vector:
        """Similarities of prepared queries [Q, D] to prepared references [K, D], float32 [Q, K] of -1 to 1."""

    def consistencies(self, references: Vector, sizes: NDArray[np.intp]) -> NDArray[np.float64]:
        """How alike the references of each user are: the mean similarity of two different ones.

        Args:
            references: prepared float32 [K, D], the references of the first user, then of the second, and so on.
            sizes: number of references of each user, each at least 1, with sum K.

        Returns:
            float64 [users], -1 to 1; 0 for a user with one reference, about whom nothing is known.
        """


class CosineMatching:
    """Embeddings compared as wholes, by the cosine between them."""

    def prepare(self, embeddings: NDArray[np.floating[Any]]) -> Vector:
        """Scale to unit length; see `Matching.prepare`."""
        wide = embeddings.astype(np.float64)
        return _divided(wide, np.linalg.norm(wide, axis=-1, keepdims=True))

    def similarities(self, queries: Vector, references: Vector) -> Vector:
        """Cosines, by one matrix product; see `Matching.similarities`."""
        cosines: Vector = np.clip(queries @ references.T, -1, 1, dtype=np.float32)
        return cosines

    def consistencies(self, references: Vector, sizes: NDArray[np.intp]) -> NDArray[np.float64]:
        """See `Matching.consistencies`."""
        sums = np.add.reduceat(references, _starts(sizes), axis=0, dtype=np.float64)
        # The squared length of the sum is the sum of all K * K cosines; K of them are of vectors with themselves.
        pairs = np.maximum(sizes * (sizes - 1), 1)
        return np.where(sizes > 1, (np.einsum("ud,ud->u", sums, sums) - sizes) / pairs, 0.0)


@dataclass(frozen=True)
class LocalMatching(Record):
    """Embeddings compared region by region, each with the most alike region of the other signature nearby.

    An embedding holds a vector for each cell of a grid over the canvas, row by row. A vector's direction says what
    the cell shows and its length how much that matters. For every cell of one signature the best cosine among the
    cells within reach in the other is taken, and these are averaged by the lengths; then the two signatures change
    places, and both averages count the same. It forgives strokes that moved, which people's do, and not strokes that
    look otherwise, as those of forgers do. After the local structural matching of M.-C. Shih et al., "DetailSemNet:
    Elevating Signature Verification through Detail-Semantic Integration", ECCV 2024, section 3.3, with a best match
    in the place of its transport problem.

    Attributes:
        rows: of the grid.
        columns: of the grid.
        reach_rows: cells up and down within reach.
        reach_columns: cells left and right within reach.
    """

    rows: int
    columns: int
    reach_rows: int
    reach_columns: int

    def __post_init__(self) -> None:
        require(self.rows >= 1 and self.columns >= 1, "rows and columns must be at least 1")
        require(self.reach_rows >= 0 and self.reach_columns >= 0, "a reach must be at least 0")

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.rows * self.columns

    def prepare(self, embeddings: NDArray[np.floating[Any]]) -> Vector:
        """Scale so that the lengths of an embedding's vectors add up to 1; see `Matching.prepare`."""
        if embeddings.shape[-1] % self.cells:
            raise EngineError(
                f"An embedding of {embeddings.shape[-1]} values has no vector for each of {self.cells} cells; export "
                "the model again."
            )
        wide = embeddings.astype(np.float64)
        size = wide.shape[-1] // self.cells
        lengths = np.linalg.norm(wide.reshape(*wide.shape[:-1], self.cells, size), axis=-1)
        return _divided(wide, lengths.sum(axis=-1, keepdims=True))

    def similarities(self, queries: Vector, references: Vector) -> Vector:
        """See `Matching.similarities`."""
        count, shape = len(references), (self.rows, self.columns)
        directions, weights = self._cells(references)
        # Rows first, so that a row of all references lies beside the row of the query that it is compared with.
        theirs = np.ascontiguousarray(directions.transpose(1, 3, 0, 2))
        theirs = theirs.reshape(self.rows, directions.shape[3], count * self.columns)
        their_weights = weights.transpose(1, 0, 2)
        found = np.empty((len(queries), count), np.float32)
        for number, (own, own_weights) in enumerate(zip(*self._cells(queries), strict=True)):
            there = np.full((*shape, count), OUT_OF_REACH, np.float32)
            back = np.full((self.rows, count * self.columns), OUT_OF_REACH, np.float32)
            for here, beside in self._row_pairs:
                cosines = np.matmul(own[here], theirs[beside])
                by_reference = cosines.reshape(len(cosines), self.columns, count, self.columns)
                by_reference += self._columns_out_of_reach
                np.maximum(there[here], by_reference.max(axis=3), out=there[here])
                np.maximum(back[beside], cosines.max(axis=1), out=back[beside])
            ahead = np.einsum("rck,rc->k", there, own_weights)
            found[number] = (ahead + np.einsum("rkc,rkc->k", back.reshape(their_weights.shape), their_weights)) / 2
        return np.clip(found, -1, 1)

    def consistencies(self, references: Vector, sizes: NDArray[np.intp]) -> NDArray[np.float64]:
        """See `Matching.consistencies`."""
        found = np.zeros(len(sizes))
        for user, (start, size) in enumerate(zip(_starts(sizes), sizes, strict=True)):
            own = references[start : start + size]
            # The similarity is the same both ways, so half of the pairs are enough.
            sums = (float(self.similarities(own[i : i + 1], own[i + 1 :]).sum()) for i in range(size - 1))
            found[user] = sum(sums) * 2 / (size * (size - 1)) if size > 1 else 0.0
        return found

    def _cells(self, prepared: Vector) -> tuple[Vector, Vector]:
        """Directions [N, rows, columns, C], of at most unit length, and weights [N, rows, columns], which sum to 1."""
        vectors = prepared.reshape(len(prepared), self.rows, self.columns, prepared.shape[1] // self.cells)
        lengths = np.sqrt(np.einsum("nrcd,nrcd->nrc", vectors, vectors))
        return vectors / (lengths + np.float32(FAINT / self.cells))[..., None], lengths

    @cached_property
    def _row_pairs(self) -> list[tuple[slice, slice]]:
        """Rows of one signature and those of the other that lie beside them, for each shift within reach."""
        # Beyond the height of the grid there are no rows to compare with.
        reach = min(self.reach_rows, self.rows - 1)
        return [
            (slice(max(0, -down), self.rows - max(0, down)), slice(max(0, down), self.rows + min(0, down)))
            for down in range(-reach, reach + 1)
        ]

    @cached_property
    def _columns_out_of_reach(self) -> Vector:
        """float32 [columns, 1, columns]: 0 where two columns are within reach of one another."""
        column = np.arange(self.columns)
        near = np.abs(column[:, None] - column) <= self.reach_columns
        return np.where(near, 0, 2 * OUT_OF_REACH).astype(np.float32)[:, None]


COSINE = CosineMatching()


def _divided(wide: NDArray[np.float64], size: NDArray[np.float64]) -> Vector:
    if not np.all(np.isfinite(size)) or np.any(size == 0):
        raise EngineError("An embedding is zero or not finite; run the self-test, or export the model again.")
    scaled: Vector = (wide / size).astype(np.float32)
    return scaled


def _starts(sizes: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
