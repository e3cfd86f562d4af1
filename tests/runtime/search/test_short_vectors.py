"""Short vectors: small, of unit length, and alike where the templates are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError
from sigedge_runtime.matching import COSINE, LocalMatching
from sigedge_runtime.search import short_vectors

EDGESIG = LocalMatching(8, 16, 1, 2)


def templates(count: int, matching: LocalMatching = EDGESIG, size: int = 16, seed: int = 0) -> NDArray[np.float32]:
    drawn = np.random.RandomState(seed).normal(size=(count, matching.cells * size))
    return matching.prepare(drawn)


@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 17),
    size=st.integers(1, 5),
    count=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_they_are_small_and_of_unit_length(rows: int, columns: int, size: int, count: int, seed: int) -> None:
    matching = LocalMatching(rows, columns, 1, 2)
    found = short_vectors(templates(count, matching, size, seed), matching)
    assert found.shape == (count, min(rows, 2) * min(columns, 3) * size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_template_has_the_same_short_vector_alone_and_among_others() -> None:
    many = templates(20)
    alone = np.concatenate([short_vectors(one[None], EDGESIG) for one in many])
    np.testing.assert_allclose(alone, short_vectors(many, EDGESIG), atol=1e-6)


def test_a_faint_cell_weighs_by_the_root_of_its_length() -> None:
    """By hand: one row of two cells, one number each, so the transform is their sum and their difference."""
    matching = LocalMatching(1, 2, 0, 0)
    found = short_vectors(np.array([[0.64, -0.36]], np.float32), matching)
    expected = np.array([0.8 - 0.6, 0.8 + 0.6]) / np.sqrt(2)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_what_moved_by_a_cell_stays_nearer_than_something_else() -> None:
    grids = np.zeros((3, 8, 16, 16), np.float32)
    stroke = np.random.RandomState(0).normal(size=(2, 3, 16))
    grids[0, 3:5, 4:7], grids[1, 3:5, 5:8] = stroke, stroke
    grids[2, 3:5, 4:7] = np.random.RandomState(1).normal(size=stroke.shape)
    found = short_vectors(EDGESIG.prepare(grids.reshape(3, -1)), EDGESIG)
    assert found[0] @ found[1] > 0.9 > 0.5 > found[0] @ found[2]


def test_empty_cells_are_no_trouble() -> None:
    grid = np.zeros((1, 8, 16, 4), np.float32)
    grid[0, 2, 3] = 1
    assert np.all(np.isfinite(short_vectors(EDGESIG.prepare(grid.reshape(1, -1)), EDGESIG)))


def test_no_templates_have_no_short_vectors() -> None:
    assert short_vectors(np.empty((0, 2048), np.float32), EDGESIG).shape == (0, 96)


def test_what_is_compared_by_its_cosine_stays_as_it_is() -> None:
    prepared = COSINE.prepare(np.random.RandomState(0).normal(size=(3, 8)))
    assert short_vectors(prepared, COSINE) is prepared


@pytest.mark.parametrize("shape", [(2, 100), (2, 0), (2048,)])
def test_templates_of_another_grid_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(StoreError, match=r"128 cells; enrol again"):
        short_vectors(np.ones(shape, np.float32), EDGESIG)
