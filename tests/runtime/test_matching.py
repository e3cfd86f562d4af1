"""How alike embeddings are: bounded, the same both ways, indifferent to scale, and what the definition says."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sigedge_runtime.errors import BundleError, EngineError
from sigedge_runtime.matching import BLOCK, COSINE, FAINT, LocalMatching, Matching, relative_similarities

Matrix = NDArray[np.float32]
values = st.floats(-100, 100, width=32)
# Reaches beyond the grid and grids of one cell included.
grids = st.builds(LocalMatching, st.integers(1, 4), st.integers(1, 2 * BLOCK + 1), st.integers(0, 6), st.integers(0, 6))
matchings = st.one_of(st.just(COSINE), grids)
ROUNDING = 1e-3
"""Directions are rounded to 1 / 2047 before they are compared."""
EACH: list[Matching] = [COSINE, LocalMatching(2, 2, 1, 1)]


@st.composite
def compared(
    draw: st.DrawFn, ways: st.SearchStrategy[Matching] = matchings, rows: tuple[int, int] = (2, 5)
) -> tuple[Matching, Matrix]:
    """A matching with embeddings that it can compare; cells may be empty, embeddings are not."""
    matching = draw(ways)
    cells = matching.cells if isinstance(matching, LocalMatching) else draw(st.integers(1, 8))
    shape = (draw(st.integers(*rows)), cells * draw(st.integers(1, 2)))
    found: Matrix = draw(arrays(np.float32, shape, elements=values))
    assume(bool((np.linalg.norm(found, axis=1) > 1e-3).all()))
    return matching, found


def pairwise(matching: Matching, matrix: Matrix) -> Matrix:
    """Similarities of all embeddings to one another."""
    prepared = matching.prepare(matrix)
    return matching.similarities(prepared, prepared)


def by_the_definition(matching: LocalMatching, one: Matrix, other: Matrix) -> float:
    """`LocalMatching` cell by cell in float64, without anything that makes it fast."""

    def cells(embedding: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        vectors = embedding.astype(np.float64).reshape(matching.rows, matching.columns, -1)
        lengths = np.linalg.norm(vectors, axis=2)
        return vectors / (lengths + FAINT * lengths.mean())[..., None], lengths / lengths.sum()

    def one_way(own: Matrix, theirs: Matrix) -> float:
        (directions, weights), (candidates, _) = cells(own), cells(theirs)
        total = 0.0
        for row, column in product(range(matching.rows), range(matching.columns)):
            total += weights[row, column] * max(
                float(directions[row, column] @ candidates[down, right])
                for down, right in product(range(matching.rows), range(matching.columns))
                if abs(down - row) <= matching.reach_rows and abs(right - column) <= matching.reach_columns
            )
        return total

    return (one_way(one, other) + one_way(other, one)) / 2


@given(compared(), st.floats(1e-2, 1e2))
def test_preparing_knows_no_scale(case: tuple[Matching, Matrix], scale: float) -> None:
    matching, matrix = case
    prepared = matching.prepare(matrix)
    assert prepared.dtype == np.float32 and prepared.shape == matrix.shape
    np.testing.assert_allclose(matching.prepare(matrix * np.float32(scale)), prepared, atol=1e-6)
    np.testing.assert_allclose(matching.prepare(prepared), prepared, atol=1e-6)
    np.testing.assert_array_equal(matching.prepare(matrix[0]), prepared[0])


@given(compared(st.just(COSINE)))
def test_whole_embeddings_get_unit_length(case: tuple[Matching, Matrix]) -> None:
    matching, matrix = case
    np.testing.assert_allclose(np.linalg.norm(matching.prepare(matrix), axis=1), 1, rtol=1e-6)


@given(compared(grids))
def test_lengths_of_the_cells_add_up_to_one(case: tuple[LocalMatching, Matrix]) -> None:
    matching, matrix = case
    prepared = matching.prepare(matrix).reshape(len(matrix), matching.cells, -1)
    np.testing.assert_allclose(np.linalg.norm(prepared, axis=2).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize(("matching", "expected"), [(COSINE, [0.6, 0.8]), (LocalMatching(1, 2, 0, 0), [3 / 7, 4 / 7])])
def test_preparing_neither_under_nor_overflows(matching: Matching, expected: list[float], scale: float) -> None:
    found = matching.prepare(np.array([3, 4], np.float32) * np.float32(scale))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("matching", EACH)
@pytest.mark.parametrize("bad", [[0, 0, 0, 0], [np.nan, 1, 1, 1], [1, 1, 1, np.inf]])
def test_an_embedding_that_says_nothing_is_refused(matching: Matching, bad: list[float]) -> None:
    for embeddings in ([bad], [[1, 1, 1, 1], bad], bad):
        with pytest.raises(EngineError, match="zero or not finite"):
            matching.prepare(np.array(embeddings, np.float32))


@pytest.mark.parametrize("shape", [(5,), (3, 7), (1, 2)])
def test_an_embedding_without_a_vector_for_each_cell_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(EngineError, match=rf"of {shape[-1]} values has no vector for each of 4 cells; export"):
        LocalMatching(2, 2, 1, 1).prepare(np.ones(shape, np.float32))


@given(compared())
def test_similarities_are_bounded_and_the_same_both_ways(case: tuple[Matching, Matrix]) -> None:
    found = pairwise(*case)
    assert found.dtype == np.float32 and found.shape == (len(case[1]),) * 2
    assert bool((np.abs(found) <= 1).all())
    np.testing.assert_allclose(found, found.T, atol=1e-5)


@given(compared())
def test_many_at_once_are_compared_as_one_by_one(case: tuple[Matching, Matrix]) -> None:
    matching, matrix = case
    prepared = matching.prepare(matrix)
    alone = [[matching.similarities(query[None], one[None])[0, 0] for one in prepared] for query in prepared]
    np.testing.assert_allclose(matching.similarities(prepared, prepared), alone, atol=1e-6)
    np.testing.assert_array_equal(matching.similarities(prepared, matching.arrange(prepared)), pairwise(*case))


@given(compared(grids, rows=(2, 6)), st.randoms(use_true_random=False))
def test_the_order_of_cells_numbers_and_references_changes_no_bit(
    case: tuple[LocalMatching, Matrix], random: random.Random
) -> None:
    """What makes the same bits on every processor: sums are exact, whichever way a matrix product adds up."""
    matching, matrix = case
    prepared = matching.prepare(matrix)
    size = prepared.shape[1] // matching.cells
    numbers, references = random.sample(range(size), size), random.sample(range(len(prepared)), len(prepared))
    turned = prepared.reshape(len(prepared), matching.cells, size)[:, :, numbers].reshape(prepared.shape)
    found = matching.similarities(turned, turned[references])
    np.testing.assert_array_equal(found, matching.similarities(prepared, prepared)[:, references])


def demanding(unit: float, vectors: Matrix, demands: Matrix) -> tuple[LocalMatching, Matrix]:
    """A matching of 2x2 cells that have a number beside their vectors [N, 4, C], which adds up to demands [N]."""
    beside = np.repeat(demands[:, None, None] / unit, 4, axis=1) + np.array([3, -3, 1, -1])[:, None]
    joined = np.concatenate([vectors, beside], axis=2).astype(np.float32)
    return LocalMatching(2, 2, 1, 1, unit), joined.reshape(len(vectors), -1)


vectors_and_demands = st.tuples(
    arrays(np.float32, (4, 4, 3), elements=values).filter(lambda a: bool((np.abs(a).max(axis=(1, 2)) > 1e-3).all())),
    arrays(np.float32, 4, elements=st.floats(-0.5, 0.5, width=32)),
    st.sampled_from([1.0, 0.125]),
)


@given(vectors_and_demands)
def test_only_the_reference_demands(case: tuple[Matrix, Matrix, float]) -> None:
    """Vectors are compared as without demands; a similarity counts less by what its reference demands."""
    vectors, demands, unit = case
    matching, embeddings = demanding(unit, vectors, demands)
    plain = LocalMatching(2, 2, 1, 1)
    prepared, alike = matching.prepare(embeddings), pairwise(plain, vectors.reshape(4, -1))
    np.testing.assert_allclose(matching.similarities(prepared, prepared), alike, atol=ROUNDING)
    np.testing.assert_allclose(matching.demands(prepared), demands, atol=1e-6)
    relative = relative_similarities(matching, prepared, prepared)
    np.testing.assert_allclose(relative, np.clip(alike - demands, -1, 1), atol=ROUNDING)
    np.testing.assert_array_equal(relative, relative_similarities(matching, prepared, matching.arrange(prepared)))
    sizes = np.array([4], np.intp)
    expected = plain.consistencies(plain.prepare(vectors.reshape(4, -1)), sizes)[0] - demands.mean()
    assert matching.consistencies(prepared, sizes)[0] == pytest.approx(np.clip(expected, -1, 1), abs=ROUNDING)


@given(vectors_and_demands, st.floats(1e-2, 1e2))
def test_what_is_demanded_stays_as_the_network_says_it(case: tuple[Matrix, Matrix, float], scale: float) -> None:
    vectors, demands, unit = case
    matching, embeddings = demanding(unit, vectors, demands)
    louder = demanding(unit, vectors * np.float32(scale), demands)[1]
    prepared = matching.prepare(embeddings)
    np.testing.assert_allclose(matching.prepare(louder), prepared, atol=1e-6)
    np.testing.assert_allclose(matching.prepare(prepared), prepared, atol=1e-6)


def test_where_nothing_is_demanded_similarities_count_in_full() -> None:
    for matching in EACH:
        prepared = matching.prepare(np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32))
        assert not matching.demands(prepared).any()
        relative = relative_similarities(matching, prepared, prepared)
        np.testing.assert_array_equal(relative, matching.similarities(prepared, prepared))


def test_a_demand_without_a_vector_beside_it_is_refused() -> None:
    matching = LocalMatching(2, 2, 1, 1, 0.5)
    with pytest.raises(EngineError, match="4 values has no vector for each of 4 cells"):
        matching.prepare(np.ones((1, 4), np.float32))
    nothing = np.ones((1, 8), np.float32)
    for bad in (np.nan, np.inf):
        nothing[0, 7] = bad
        with pytest.raises(EngineError, match="not finite"):
            matching.prepare(nothing)


@pytest.mark.parametrize("matching", EACH)
def test_nothing_is_compared_with_nothing(matching: Matching) -> None:
    some, none = matching.prepare(np.ones((3, 8), np.float32)), matching.prepare(np.ones((0, 8), np.float32))
    assert matching.similarities(none, some).shape == (0, 3)
    assert matching.similarities(some, none).shape == (3, 0)


@given(compared(st.just(COSINE)))
def test_whole_embeddings_are_compared_by_their_cosine(case: tuple[Matching, Matrix]) -> None:
    wide = case[1].astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    np.testing.assert_allclose(pairwise(*case), wide @ wide.T / np.outer(lengths, lengths), atol=1e-5)


@given(compared(grids, rows=(2, 3)))
def test_cells_are_compared_as_the_definition_says(case: tuple[LocalMatching, Matrix]) -> None:
    matching, matrix = case
    expected = [[by_the_definition(matching, one, other) for other in matrix] for one in matrix]
    np.testing.assert_allclose(pairwise(matching, matrix), expected, atol=ROUNDING)


@given(compared(grids), st.integers(0, 3), st.integers(0, 3))
def test_who_looks_further_finds_no_worse(case: tuple[LocalMatching, Matrix], down: int, right: int) -> None:
    matching, matrix = case
    wider = LocalMatching(matching.rows, matching.columns, matching.reach_rows + down, matching.reach_columns + right)
    assert bool((pairwise(wider, matrix) >= pairwise(matching, matrix) - 1e-6).all())


@pytest.mark.parametrize("reach", [4, 2**31])
def test_a_reach_beyond_the_grid_costs_nothing(reach: int) -> None:
    """A bundle may say any: nothing as large as that is made."""
    matrix = np.random.default_rng(0).normal(size=(3, 2 * 5 * 3)).astype(np.float32)
    everywhere = pairwise(LocalMatching(2, 5, 1, 4), matrix)
    np.testing.assert_array_equal(pairwise(LocalMatching(2, 5, reach, reach), matrix), everywhere)


@given(compared(st.just(LocalMatching(1, 1, 0, 0))))
def test_one_cell_is_compared_by_its_cosine_shrunk_as_if_faint(case: tuple[LocalMatching, Matrix]) -> None:
    matching, matrix = case
    np.testing.assert_allclose(pairwise(matching, matrix), pairwise(COSINE, matrix) / (1 + FAINT) ** 2, atol=ROUNDING)


def strokes(down: int = 0, right: int = 0) -> Matrix:
    """Six different cells in the middle of a 6x9 grid, moved by so many cells."""
    field = np.zeros((6, 9, 6), np.float32)
    field[2 + down : 4 + down, 3 + right : 6 + right] = np.eye(6).reshape(2, 3, 6)
    return field.reshape(-1)


REACH = LocalMatching(6, 9, 1, 2)
SHIFTS = list(product(range(-2, 3), range(-3, 4)))


@pytest.mark.parametrize(("down", "right"), SHIFTS)
def test_strokes_may_move_within_reach_and_no_further(down: int, right: int) -> None:
    itself, moved = pairwise(REACH, np.stack([strokes(), strokes(down, right)]))[0]
    assert itself > 0.9
    assert moved == pytest.approx(itself if abs(down) <= 1 and abs(right) <= 2 else 0, abs=1e-6)
    assert pairwise(COSINE, np.stack([strokes(), strokes(down, right)]))[0, 1] == (down == right == 0)


def test_a_faint_cell_counts_little_and_is_no_match() -> None:
    faint = np.array([1, 0, 0, 1e-4], np.float32)
    matching = LocalMatching(1, 2, 0, 0)
    found = pairwise(matching, np.stack([faint, [1, 0, 0, 0], [1, 0, 0, 1]]))
    assert found[0, 1] == pytest.approx(found[1, 1], abs=1e-3)
    # Half of what the last shows is missing in the first, whatever direction its noise points to.
    assert found[0, 2] < found[0, 0] - 0.2


@given(compared(), st.data())
def test_consistencies_are_mean_similarities_of_different_references(
    case: tuple[Matching, Matrix], data: st.DataObject
) -> None:
    matching, matrix = case
    prepared = matching.prepare(matrix)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(matrix) - 1))))
    groups = np.split(prepared, cuts)
    found = matching.consistencies(prepared, np.array([len(group) for group in groups], np.intp))
    assert found.dtype == np.float64
    for group, consistency in zip(groups, found, strict=True):
        pairs = matching.similarities(group, group)[np.triu_indices(len(group), 1)]
        assert consistency == pytest.approx(pairs.mean() if len(group) > 1 else 0, abs=1e-5)


def test_matchings_by_hand() -> None:
    # Two cells of two numbers each: what is left in one is right in the other.
    crossed = np.array([[1, 0, 0, 1], [0, 1, 1, 0]], np.float32)
    assert pairwise(COSINE, crossed)[0, 1] == 0
    assert pairwise(LocalMatching(1, 2, 0, 0), crossed)[0, 1] == pytest.approx(0)
    for matching in (LocalMatching(1, 2, 0, 1), LocalMatching(2, 1, 1, 0), LocalMatching(2, 1, 9, 9)):
        assert pairwise(matching, crossed)[0, 1] == pytest.approx(1 / 1.1**2, abs=ROUNDING)


REFUSED: dict[str, Callable[[], object]] = {
    "rows and columns must be at least 1": lambda: LocalMatching(0, 1, 0, 0),
    "columns must be at least 1": lambda: LocalMatching(1, -3, 0, 0),
    "a reach must be at least 0": lambda: LocalMatching(1, 1, 0, -1),
    "demand_unit must be above 0": lambda: LocalMatching(1, 1, 0, 0, 0.0),
    "demand_unit must be above 0 and at most 1": lambda: LocalMatching(1, 1, 0, 0, 1.5),
}


@pytest.mark.parametrize("sentence", list(REFUSED))
def test_no_such_grid(sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        REFUSED[sentence]()


@given(grids)
def test_a_matching_survives_the_way_through_a_dictionary(matching: LocalMatching) -> None:
    assert LocalMatching.from_dict(matching.to_dict()) == matching
    with pytest.raises(BundleError, match="reach_rows must be int, not float"):
        LocalMatching.from_dict({**matching.to_dict(), "reach_rows": 0.5}, "matching")
