"""Similarities of a batch as devices compute them (`sigedge_runtime.matching`), but differentiable."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sigedge_runtime.matching import FAINT, LocalMatching

_TINY = 1e-12  # keeps the slope of a length finite where a vector is zero


def matching_of(model: nn.Module) -> LocalMatching | None:
    """How a network's embeddings are to be compared, by its attribute ``matching``; None, the cosine, without one."""
    return getattr(model, "matching", None)


# Keeps what lies out of reach from being the best match: cosines are -1 to 1.
OUT_OF_REACH = -4.0


def similarities(embeddings: Tensor, matching: LocalMatching | None) -> Tensor:
    """Similarities float [B, B] of all embeddings float [B, D] to one another, -1 to 1.

    Args:
        embeddings: of any length, none all zero.
        matching: how devices compare; None for the cosine.
    """
    if matching is None:
        unit = functional.normalize(embeddings)
        return unit @ unit.T
    vectors = _cells(embeddings, matching)
    if matching.demand_unit is not None:
        vectors = vectors[..., :-1]
    lengths = torch.sqrt(vectors.square().sum(dim=2) + _TINY)
    weights = lengths / lengths.sum(dim=1, keepdim=True)
    directions = vectors / (lengths + FAINT * lengths.mean(dim=1, keepdim=True))[..., None]
    there = torch.einsum("tab,at->ab", _best_within_reach(directions, matching), weights)
    return (there + there.T) / 2


def demands(embeddings: Tensor, matching: LocalMatching | None) -> Tensor:
    """By how much a similarity to each of the embeddings float [B, D] counts less, as a reference, float [B]."""
    if matching is None or matching.demand_unit is None:
        return torch.zeros_like(embeddings[:, 0])
    return _cells(embeddings, matching)[..., -1].mean(dim=1) * matching.demand_unit


def _cells(embeddings: Tensor, matching: LocalMatching) -> Tensor:
    return embeddings.reshape(len(embeddings), matching.cells, -1)


def _best_within_reach(directions: Tensor, matching: LocalMatching) -> Tensor:
    """Best cosine [T, B, B] of each cell t of signature a among the cells of signature b within reach."""
    rows, columns, up, left = matching.rows, matching.columns, matching.reach_rows, matching.reach_columns
    count, cells, size = directions.shape
    own = directions.transpose(0, 1)
    field = directions.reshape(count, rows, columns, size)
    # What lies outside the canvas must not be the best match: no cosine is as low as that.
    padded = functional.pad(field, (0, 0, left, left, up, up))
    outside = functional.pad(torch.zeros(rows, columns), (left, left, up, up), value=OUT_OF_REACH)
    best: Tensor | None = None
    for down in range(2 * up + 1):
        for right in range(2 * left + 1):
            there = padded[:, down : down + rows, right : right + columns].reshape(count, cells, size)
            marks = outside[down : down + rows, right : right + columns].reshape(cells, 1, 1)
            cosines = torch.bmm(own, there.permute(1, 2, 0)) + marks.to(own)
            best = cosines if best is None else torch.maximum(best, cosines)
    assert best is not None
    return best
