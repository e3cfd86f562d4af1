"""How alike two embeddings are: as wholes by their cosine, or region by region.

Both ways offer the same: embeddings are prepared once, prepared ones are compared, and the references of a user are
compared among themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._records import Record, require
from sigedge_runtime.errors import EngineError

Vector = NDArray[np.float32]
F = TypeVar("F", bound=np.floating[Any])

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
# Columns of the grid multiplied at once with all columns within their reach: fewer products that are not needed, but
# more calls.
BLOCK = 4
_NOT_FINITE = "An embedding is zero or not finite; run the self-test, or export the model again."


@dataclass(frozen=True, eq=False)
class Arranged:
    """Prepared references in the order in which one way of matching reads them.

    Attributes:
        vectors: float32 [K, D], as they were.
        demands: float32 [K], see `Matching.demands`.
        parts: what else the way of matching worked out of them.
    """

    vectors: Vector
    demands: Vector
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

    def demands(self, references: Vector) -> Vector:
        """By how much a similarity to each prepared reference [K, D] counts less than it is, float32 [K]."""

    def consistencies(self, references: Vector, sizes: NDArray[np.intp]) -> NDArray[np.float64]:
        """How alike the references of each user are: the mean similarity of two different ones, less the mean demand.

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
        return Arranged(references, self.demands(references))

    def similarities(self, queries: Vector, references: Vector | Arranged) -> Vector:
        """Cosines, by one matrix product; see `Matching.similarities`."""
        theirs = references.vectors if isinstance(references, Arranged) else references
        cosines: Vector = np.clip(queries @ theirs.T, -1, 1, dtype=np.float32)
        return cosines

    def demands(self, references: Vector) -> Vector:
        """All the same; see `Matching.demands`."""
        return np.zeros(len(references), np.float32)

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

    Some signatures are simply drawn and easily imitated, others vary whenever they are written. How much similarity a
    reference demands, the network may tell by one more number in each cell, whose mean counts. Only the reference's
    counts: what a questioned signature looks like by itself must not speak for it. It is a threshold of the user's own
    that needs no other signature (J. Fierrez-Aguilar et al., IEEE Trans. SMC-C 35(3), 2005, section III-A).

    Attributes:
        rows: of the grid.
        columns: of the grid.
        reach_rows: cells up and down within reach.
        reach_columns: cells left and right within reach.
        demand_unit: similarity for a mean of 1 of the cells' last numbers, above 0 to 1; None where cells have none.
    """

    rows: int
    columns: int
    reach_rows: int
    reach_columns: int
    demand_unit: float | None = None

    def __post_init__(self) -> None:
        require(self.rows >= 1 and self.columns >= 1, "rows and columns must be at least 1")
        require(self.reach_rows >= 0 and self.reach_columns >= 0, "a reach must be at least 0")
        require(self.demand_unit is None or 0 < self.demand_unit <= 1, "demand_unit must be above 0 and at most 1")

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.rows * self.columns

    def prepare(self, embeddings: NDArray[np.floating[Any]]) -> Vector:
        """Scale so that the lengths of an embedding's vectors add up to 1; see `Matching.prepare`."""
        size = embeddings.shape[-1] // self.cells
        if size <= self._beside or embeddings.shape[-1] % self.cells:
            raise EngineError(
                f"An embedding of {embeddings.shape[-1]} values has no vector for each of {self.cells} cells; export "
                "the model again."
            )
        wide = embeddings.astype(np.float64)
        lengths = np.sqrt(np.square(self.vectors(wide)).sum(axis=-1)).sum(axis=-1, keepdims=True)
        prepared = _divided(wide, lengths)
        if self._beside:
            self._by_cell(prepared)[..., -1] = self._by_cell(wide)[..., -1]
            if not np.isfinite(prepared).all():
                raise EngineError(_NOT_FINITE)
        return prepared

    def vectors(self, embeddings: NDArray[F]) -> NDArray[F]:
        """The vectors of all cells of embeddings [..., D], prepared or not: a view [..., cells, C]."""
        cells = self._by_cell(embeddings)
        return cells[..., :-1] if self._beside else cells

    def demands(self, references: Vector) -> Vector:
        """Means of the cells' last numbers, in similarities; see `Matching.demands`."""
        if self.demand_unit is None:
            return np.zeros(len(references), np.float32)
        # Outputs of an int8 file are few bits apart: their sum in float64 is exact in any order.
        means = self._by_cell(references)[..., -1].mean(axis=1, dtype=np.float64)
        demanded: Vector = (means * self.demand_unit).astype(np.float32)
        return demanded

    def arrange(self, references: Vector) -> Arranged:
        """See `Matching.arrange`."""
        chunks = tuple(self._chunk(references[at : at + CHUNK]) for at in range(0, len(references), CHUNK))
        return Arranged(references, self.demands(references), chunks)

    def similarities(self, queries: Vector, references: Vector | Arranged) -> Vector:
        """See `Matching.similarities`."""
        arranged = references if isinstance(references, Arranged) else self.arrange(references)
        found = np.empty((len(queries), len(arranged.vectors)), np.float32)
        for number, query in enumerate(queries):
            own, start = self._asked(query), 0
            for chunk in arranged.parts:
                found[number, start : start + chunk.references] = self._compared(own, chunk)
                start += chunk.references
        return found

    def _chunk(self, references: Vector) -> _Chunk:
        """References side by side: the innermost axis of every product runs over columns and references."""
        directions, weights = self._cells(references)
        count, _, _, size = directions.shape
        left = self._column_reach
        beside = np.zeros((self.rows, size, self._blocks * BLOCK + 2 * left, count), np.float32)
        beside[:, :, left : left + self.columns] = directions.transpose(1, 3, 2, 0)
        blocks = [beside[:, :, start : start + self._wide] for start in range(0, self._blocks * BLOCK, BLOCK)]
        by_cell = np.ascontiguousarray(weights.transpose(1, 2, 0)).reshape(self.cells, count)
        return _Chunk(
            count,
            np.stack(blocks, axis=1).reshape(self.rows, self._blocks, size, -1),
            _penalties(self.rows, self.columns, self._row_reach, left, count),
            by_cell,
            np.maximum(1.0, by_cell.sum(axis=0)),
        )

    def _asked(self, query: Vector) -> _Query:
        """A query's cells as every block of the references' cells is multiplied with them."""
        directions, weights = self._cells(query[None])
        reach, size = self._row_reach, directions.shape[3]
        padded = np.zeros((self.rows + 2 * reach, self._blocks, BLOCK, size), np.float32)
        padded.reshape(len(padded), -1, size)[reach : reach + self.rows, : self.columns] = directions[0]
        near = [padded[shift : shift + self.rows] for shift in range(2 * reach + 1)]
        by_cell = weights.reshape(1, self.cells)
        return _Query(np.concatenate(near, axis=2), by_cell, max(1.0, float(by_cell.sum())))

    def _compared(self, own: _Query, theirs: _Chunk) -> NDArray[np.float64]:
        """Similarities of a query to a chunk of references, float64 [K]."""
        count, reach, left = theirs.references, self._row_reach, self._column_reach
        products = np.matmul(own.directions, theirs.directions)
        products += theirs.out_of_reach
        # For each cell of the references the best of the query's: blocks overlap in the columns beside them.
        best = products.max(axis=2).reshape(self.rows, self._blocks, self._wide, count)
        back = np.full((self.rows, self._blocks * BLOCK + 2 * left, count), OUT_OF_REACH, np.float32)
        for block in range(self._blocks):
            columns = back[:, block * BLOCK : block * BLOCK + self._wide]
            np.maximum(columns, best[:, block], out=columns)
        back = back[:, left : left + self.columns].reshape(self.cells, count)
        # For each cell of the query the best of the references': of the rows, then of the columns by halves.
        by_row = products.reshape(self.rows, self._blocks, 2 * reach + 1, BLOCK, -1)
        there = by_row[:, :, reach].copy()
        for shift in range(1, reach + 1):
            np.maximum(there[shift:], by_row[:-shift, :, reach + shift], out=there[shift:])
            np.maximum(there[:-shift], by_row[shift:, :, reach - shift], out=there[:-shift])
        wide = self._wide
        while wide > 1:
            half = (wide + 1) // 2
            there = np.maximum(there[..., : half * count], there[..., (wide - half) * count :])
            wide = half
        there = there.reshape(self.rows, -1, count)[:, : self.columns].reshape(self.cells, count)
        # Whole numbers below 2^53: exact in float64 in any order.
        forward = (own.weights @ there.astype(np.float64))[0] / own.total_weight
        backward = np.einsum("ck,ck->k", back.astype(np.float64), theirs.weights) / theirs.total_weights
        both: NDArray[np.float64] = (forward + backward) / (2 * STEPS**2)
        return both

    def consistencies(self, references: Vector, sizes: NDArray[np.intp]) -> NDArray[np.float64]:
        """See `Matching.consistencies`."""
        found = np.zeros(len(sizes))
        for user, (start, size) in enumerate(zip(_starts(sizes), sizes, strict=True)):
            own = references[start : start + size]
            if size > 1:
                # The similarity is the same both ways, so half of the pairs are enough.
                sums = (float(self.similarities(own[i : i + 1], own[i + 1 :]).sum()) for i in range(size - 1))
                alike = sum(sums) * 2 / (size * (size - 1))
                found[user] = min(1.0, max(-1.0, alike - self.demands(own).mean(dtype=np.float64)))
        return found

    def _cells(self, prepared: Vector) -> tuple[Vector, NDArray[np.float64]]:
        """Directions [N, rows, columns, C] in whole steps, and weights [N, rows, columns], likewise."""
        vectors = self.vectors(prepared).reshape(len(prepared), self.rows, self.columns, -1)
        lengths = np.sqrt(np.square(vectors).sum(axis=3))
        directions = vectors * (STEPS / (lengths + np.float32(FAINT / self.cells)))[..., None]
        return np.rint(directions), np.rint(lengths.astype(np.float64) * WEIGHT_STEPS)

    def _by_cell(self, embeddings: NDArray[F]) -> NDArray[F]:
        """All numbers of the cells of embeddings [..., D]: a view [..., cells, D / cells]."""
        return embeddings.reshape(*embeddings.shape[:-1], self.cells, embeddings.shape[-1] // self.cells)

    @property
    def _beside(self) -> int:
        """Numbers of a cell that are not of its vector."""
        return 0 if self.demand_unit is None else 1

    @cached_property
    def _row_reach(self) -> int:
        """Beyond the height of the grid there are no rows to compare with."""
        return min(self.reach_rows, self.rows - 1)

    @cached_property
    def _column_reach(self) -> int:
        """Nor are there columns beyond its width."""
        return min(self.reach_columns, self.columns - 1)

    @cached_property
    def _blocks(self) -> int:
        """Blocks of `BLOCK` columns that cover the grid."""
        return -(-self.columns // BLOCK)

    @cached_property
    def _wide(self) -> int:
        """Columns within reach of a block."""
        return BLOCK + 2 * self._column_reach


class _Query(NamedTuple):
    """A query's cells by block.

    Directions [rows, blocks, window * BLOCK, C]: of a block, the cells of the rows within reach, zero beyond the grid.
    Weights [1, cells] and their sum.
    """

    directions: Vector
    weights: NDArray[np.float64]
    total_weight: float


class _Chunk(NamedTuple):
    """Some references by block.

    Directions [rows, blocks, C, wide * K]: the cells within reach of a block's columns, zero beyond the grid. What is
    added to the products so that cells out of reach are never the best. Weights [cells, K] and their sums [K].
    """

    references: int
    directions: Vector
    out_of_reach: Vector
    weights: NDArray[np.float64]
    total_weights: NDArray[np.float64]


@lru_cache(maxsize=64)
def _penalties(rows: int, columns: int, row_reach: int, column_reach: int, count: int) -> Vector:
    """float32 [rows, blocks, window * BLOCK, wide * K]: 0 within reach."""
    blocks = np.arange(-(-columns // BLOCK))[:, None] * BLOCK
    own_row = np.arange(rows)[:, None] + np.arange(-row_reach, row_reach + 1)
    own = blocks + np.arange(BLOCK)
    theirs = blocks + np.arange(-column_reach, BLOCK + column_reach)
    row_inside = (own_row >= 0) & (own_row < rows)
    inside = (own < columns)[:, :, None] & (theirs >= 0)[:, None] & (theirs < columns)[:, None]
    near = inside & (np.abs(own[:, :, None] - theirs[:, None]) <= column_reach)
    allowed = row_inside[:, None, :, None, None] & near[:, None]  # [rows, blocks, window, own columns, their columns]
    penalty = np.where(allowed, 0, OUT_OF_REACH).astype(np.float32)
    return np.repeat(penalty, count, axis=4).reshape(rows, len(blocks), -1, penalty.shape[4] * count)


COSINE = CosineMatching()


def relative_similarities(matching: Matching, queries: Vector, references: Vector | Arranged) -> Vector:
    """Similarities less what the references demand, cut off at -1 and 1: what decisions are made on.

    Args:
        matching: how embeddings are compared.
        queries: prepared float32 [Q, D].
        references: prepared float32 [K, D], laid out or not.

    Returns:
        float32 [Q, K], -1 to 1.
    """
    demands = references.demands if isinstance(references, Arranged) else matching.demands(references)
    relative: Vector = np.maximum(np.minimum(matching.similarities(queries, references) - demands, 1), -1)
    return relative


def _divided(wide: NDArray[np.float64], size: NDArray[np.float64]) -> Vector:
    if not np.all(np.isfinite(size)) or np.any(size == 0):
        raise EngineError(_NOT_FINITE)
    scaled: Vector = (wide / size).astype(np.float32)
    return scaled


def _starts(sizes: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
