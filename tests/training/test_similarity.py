"""Similarities while training: those of the devices, with gradients that can be followed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor, nn

from sigedge.training.similarity import demands, matching_of, similarities
from sigedge_models import create
from sigedge_runtime.matching import COSINE, LocalMatching

Matrix = NDArray[np.float32]
values = st.floats(-100, 100, width=32)
# Reaches beyond the grid and grids of one cell included.
grids = st.builds(LocalMatching, st.integers(1, 4), st.integers(1, 4), st.integers(0, 6), st.integers(0, 6))
CELLS = LocalMatching(2, 3, 1, 1)


@st.composite
def compared(draw: st.DrawFn) -> tuple[LocalMatching | None, Matrix]:
    """A matching, or the cosine, with embeddings; cells may be empty, embeddings are not.

    An empty cell has a length of a millionth here, so the others are long enough for that to say nothing.
    """
    matching = draw(st.none() | grids)
    cells = matching.cells if matching else draw(st.integers(1, 8))
    shape = (draw(st.integers(2, 4)), cells * draw(st.integers(1, 2)))
    found: Matrix = draw(arrays(np.float32, shape, elements=values))
    assume(bool((np.linalg.norm(found, axis=1) > 10).all()))
    return matching, found


@given(compared())
def test_they_are_those_of_the_devices(case: tuple[LocalMatching | None, Matrix]) -> None:
    matching, matrix = case
    prepared = (matching or COSINE).prepare(matrix)
    found = similarities(torch.from_numpy(matrix), matching)
    assert found.dtype == torch.float32 and found.shape == (len(matrix), len(matrix))
    np.testing.assert_allclose(found.numpy(), (matching or COSINE).similarities(prepared, prepared), atol=1e-3)


def test_they_are_those_of_the_devices_for_the_flagship() -> None:
    matching = matching_of(create("edgesig"))
    assert matching is not None
    rows = np.random.default_rng(0).normal(size=(5, 17 * matching.cells)).astype(np.float32)
    prepared = matching.prepare(rows)
    found = similarities(torch.from_numpy(rows), matching).numpy()
    np.testing.assert_allclose(found, matching.similarities(prepared, prepared), atol=1e-3)
    demanded = demands(torch.from_numpy(rows), matching).numpy()
    np.testing.assert_allclose(demanded, matching.demands(prepared), atol=1e-6)


@pytest.mark.parametrize("matching", [None, CELLS])
def test_who_demands_nothing_demands_nothing(matching: LocalMatching | None) -> None:
    assert not demands(torch.randn(3, 12), matching).any()


@pytest.mark.parametrize("matching", [None, CELLS, LocalMatching(3, 2, 9, 0)])
def test_gradients_are_those_of_differences(matching: LocalMatching | None) -> None:
    torch.manual_seed(0)
    rows = torch.randn(3, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: similarities(x, matching), rows, eps=1e-7, atol=1e-5)


@given(st.integers(0, 2**31 - 1), st.integers(1, 5), grids)
def test_gradients_are_finite_where_cells_are_empty(seed: int, empty: int, matching: LocalMatching) -> None:
    random = torch.Generator().manual_seed(seed)
    rows = torch.randn(3, matching.cells, 2, generator=random)
    rows[:, torch.randperm(matching.cells, generator=random)[:empty][1:]] = 0
    rows[0, 1:] = 0
    flat = rows.reshape(3, -1).requires_grad_()
    weights = torch.randn(3, 3, generator=random)
    (similarities(flat, matching) * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert flat.grad is not None and bool(torch.isfinite(flat.grad).all())


def test_following_them_makes_two_signatures_alike_although_one_is_moved() -> None:
    torch.manual_seed(0)
    fixed = torch.randn(2, 3, 4)
    moved = torch.roll(fixed, 1, dims=1).reshape(-1)
    still, reaching = (LocalMatching(2, 3, 0, reach) for reach in (0, 1))
    # Rolled, the last column is two away: more than the reach, so that some difference is left to learn.
    rows = torch.stack([fixed.reshape(-1), moved])
    before = float(similarities(rows, reaching)[0, 1])
    assert before > float(similarities(rows, still)[0, 1]) + 0.2
    change = torch.zeros(24, requires_grad=True)
    optimiser = torch.optim.Adam([change], lr=0.05)
    for _ in range(40):
        optimiser.zero_grad()
        (-similarities(torch.stack([rows[0], rows[1] + change]), reaching)[0, 1]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert float(similarities(torch.stack([rows[0], rows[1] + change.detach()]), reaching)[0, 1]) > before + 0.05


class Named(nn.Module):
    """A network that says how its embeddings are compared."""

    matching = CELLS

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_a_network_says_how_it_is_compared() -> None:
    assert matching_of(Named()) == CELLS
    assert matching_of(nn.Linear(2, 2)) is None
    assert matching_of(create("edgesig", head="global")) is None
    assert matching_of(create("siamese_resnet")) is None
