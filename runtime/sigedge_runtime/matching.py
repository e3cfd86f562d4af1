"""How alike two embeddings are: as wholes by their cosine, or region by region.

Both ways offer the same: embeddings are prepared once, prepared ones are compared, and the references of a user are
compared among themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._records import Record, require
from sigedge_runtime.errors import EngineError

Vector = NDArray[np.float32]

# A region fainter than this share of the mean one is shrunk rather than scaled up to a direction made of noise.
FAINT = 0.1
# Directions are rounded to so many steps a side. Their products and the sums of these are then whole numbers below
# 2^24, which float32 holds exactly: whatever the order of summation, every processor computes the same bits.
STEPS = 2047
# So are the weights, and sums of 64-bit numbers.
WEIGHT_STEPS = 2**16
# Keeps what lies out of reach from being the best match: similarities are -1 to 1.
OUT_OF_REACH = -3.0 * STEPS**2
# References compared at once; more of them would not stay in the processor's cache.
CHUNK = 64


@dataclass(frozen=True, eq=False)
class Arranged:
    """Prepared references in the order in which one way of matching reads them.

    Attributes:
        vectors: float32 [K, D], as they were.
        parts: what else the way of matching worked out of them.
    """

    vectors: Vector
    parts: tuple[Any, ...] = ()


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

    def arrange(self, references: Vector) -> Arranged:
        """Lay prepared references [K, D] out for comparing, which pays where they are compared more than once."""

    def similarities(self, queries: Vector, references: Vector | Arranged) -> Vector:
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

    def arrange(self, references: Vector) -> Arranged:
        """See `Matching.arrange`."""
        return Arranged(references)

    def similarities(self, queries: Vector, references: Vector | Arranged) -> Vector:
        """Cosines, by one matrix product; see `Matching.similarities`."""
        theirs = references.vectors if isinstance(references, Arranged) else references
        cosines: Vector = np.clip(queries @ theirs.T, -1, 1, dtype=np.float32)
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

    def arrange(self, references: Vector) -> Arranged:
        """See `Matching.arrange`."""
        return Arranged(
            references, tuple(self._chunk(references[at : at + CHUNK]) for at in range(0, len(references), CHUNK))
        )

    def similarities(self, queries: Vector, references: Vector | Arranged) -> Vector:
        """See `Matching.similarities`."""
        arranged = references if isinstance(references, Arranged) else self.arrange(references)
        found = np.empty((len(queries), len(arranged.vectors)), np.float32)
        for number, query in enumerate(queries):
            directions, weights = self._cells(query[None])
            own = _Query(directions[0], self._windows(directions)[0], weights[0])
            start = 0
            for chunk in arranged.parts:
                found[number, start : start + chunk.references] = self._compared(own, chunk)
                start += chunk.references
        return found

    def _chunk(self, references: Vector) -> _Chunk:
        """References side by side: the innermost axis of every product runs over references and cells."""
        directions, weights = self._cells(references)
        count, size = len(references), directions.shape[3]
        # [rows, C, columns * K] and, with the rows beside each row, [rows, window * columns * K, C].
        beside = np.ascontiguousarray(directions.transpose(1, 3, 2, 0)).reshape(self.rows, size, self.columns * count)
        windows = self._windows(directions).transpose(1, 2, 0, 3)
        windows = np.ascontiguousarray(windows).reshape(self.rows, -1, size)
        by_cell = np.ascontiguousarray(weights.transpose(1, 2, 0))
        return _Chunk(count, beside, windows, by_cell, self._out_of_reach(count), weights.sum(axis=(1, 2)))

    def _compared(self, own: _Query, theirs: _Chunk) -> NDArray[np.float64]:
        """Similarities of a query to a chunk of references, float64 [K]."""
        rows, columns, count = self.rows, self.columns, theirs.references
        ahead = np.matmul(theirs.windows, own.directions.transpose(0, 2, 1))
        ahead = ahead.reshape(rows, -1, count * columns)
        ahead += theirs.out_of_reach[0]
        there = ahead.max(axis=1).reshape(rows, count, columns)
        behind = np.matmul(own.windows, theirs.directions)
        behind += theirs.out_of_reach[1]
        back = behind.max(axis=1).reshape(rows, columns, count)
        # Whole numbers below 2^53: exact in float64 in any order.
        forward = np.einsum("rkc,rc->k", there.astype(np.float64), own.weights)
        backward = np.einsum("rck,rck->k", back.astype(np.float64), theirs.weights)
        both: NDArray[np.float64] = forward / max(1.0, own.weights.sum()) + backward / np.maximum(
            1.0, theirs.total_weights
        )
        return both / (2 * STEPS**2)

    def consistencies(self, references: Vector, sizes: NDArray[np.intp]) -> NDArray[np.float64]:
        """See `Matching.consistencies`."""
        found = np.zeros(len(sizes))
        for user, (start, size) in enumerate(zip(_starts(sizes), sizes, strict=True)):
            own = references[start : start + size]
            # The similarity is the same both ways, so half of the pairs are enough.
            sums = (float(self.similarities(own[i : i + 1], own[i + 1 :]).sum()) for i in range(size - 1))
            found[user] = sum(sums) * 2 / (size * (size - 1)) if size > 1 else 0.0
        return found

    def _cells(self, prepared: Vector) -> tuple[Vector, NDArray[np.float64]]:
        """Directions [N, rows, columns, C] in whole steps, and weights [N, rows, columns], likewise."""
        vectors = prepared.reshape(len(prepared), self.rows, self.columns, prepared.shape[1] // self.cells)
        lengths = np.sqrt(np.square(vectors).sum(axis=3))
        directions = vectors * (STEPS / (lengths + np.float32(FAINT / self.cells)))[..., None]
        return np.rint(directions), np.rint(lengths.astype(np.float64) * WEIGHT_STEPS)

    def _windows(self, directions: Vector) -> Vector:
        """For each row the cells of the rows within reach: [N, rows, window * columns, C], zero beyond the grid."""
        count, _, _, size = directions.shape
        reach = self._row_reach
        padded = np.zeros((count, self.rows + 2 * reach, self.columns, size), np.float32)
        padded[:, reach : reach + self.rows] = directions
        rows = [padded[:, shift : shift + self.rows] for shift in range(2 * reach + 1)]
        windows: Vector = np.stack(rows, axis=2).reshape(count, self.rows, -1, size)
        return windows

    @cached_property
    def _row_reach(self) -> int:
        """Beyond the height of the grid there are no rows to compare with."""
        return min(self.reach_rows, self.rows - 1)

    def _out_of_reach(self, count: int) -> tuple[Vector, Vector]:
        """What is added to the products of `_compared`, so that cells out of reach are never the best."""
        return _penalties(self.rows, self.columns, self._row_reach, self.reach_columns, count)


class _Query(NamedTuple):
    """A query's directions [rows, columns, C], its `LocalMatching._windows` and weights [rows, columns]."""

    directions: Vector
    windows: Vector
    weights: NDArray[np.float64]


class _Chunk(NamedTuple):
    """Some references, see `LocalMatching._chunk`; weights [rows, columns, K] and their sums [K]."""

    references: int
    directions: Vector
    windows: Vector
    weights: NDArray[np.float64]
    out_of_reach: tuple[Vector, Vector]
    total_weights: NDArray[np.float64]


@lru_cache(maxsize=64)
def _penalties(rows: int, columns: int, row_reach: int, column_reach: int, count: int) -> tuple[Vector, Vector]:
    """float32 [rows, window * columns, K * columns] and [rows, window * columns, columns * K]: 0 within reach."""
    row, column, shift = np.arange(rows), np.arange(columns), np.arange(-row_reach, row_reach + 1)
    inside = (row[:, None] + shift >= 0) & (row[:, None] + shift < rows)
    near = np.abs(column[:, None] - column) <= column_reach
    allowed = inside[:, :, None, None] & near  # [rows, window, their columns, own columns]
    penalty = np.where(allowed, 0, OUT_OF_REACH).astype(np.float32).reshape(rows, -1, columns)
    return np.tile(penalty, (1, 1, count)), np.repeat(penalty, count, axis=2)


COSINE = CosineMatching()


def _divided(wide: NDArray[np.float64], size: NDArray[np.float64]) -> Vector:
    if not np.all(np.isfinite(size)) or np.any(size == 0):
        raise EngineError("An embedding is zero or not finite; run the self-test, or export the model again.")
    scaled: Vector = (wide / size).astype(np.float32)
    return scaled


def _starts(sizes: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
