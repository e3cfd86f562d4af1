"""Short vectors: what is left of a template when a million of them must be looked through.

A template that is compared cell by cell is some 2,000 numbers, and comparing two takes some ten microseconds. Its short
vector holds the lowest spatial frequencies of its cells, and the product of two short vectors tells roughly how alike
the templates are. It needs no training: two strokes that lie a little apart have nearly the same low frequencies, and
that they may is what the search for the best cell nearby is for.
"""

from __future__ import annotations

import numpy as np

from sigedge_runtime.errors import StoreError
from sigedge_runtime.matching import LocalMatching, Matching, Vector

FREQUENCIES = (2, 3)
"""Spatial frequencies kept, along the rows' and the columns' axis; chosen on development signers."""


def short_vectors(prepared: Vector, matching: Matching) -> Vector:
    """Short vectors of templates.

    The vector of every cell is divided by the root of its length, so that a product of two cells is weighted by both
    lengths alike; the cells are then reduced to the first `FREQUENCIES` of a cosine transform over the grid (N. Ahmed
    et al., "Discrete Cosine Transform", IEEE Trans. Computers 23, 1974). Templates that are compared by their cosine
    stay as they are.

    Args:
        prepared: float32 [N, D], prepared by the matching.
        matching: how the templates are compared.

    Returns:
        float32 [N, S] of unit length; S is at most 6 times the size of a cell's vector.

    Raises:
        StoreError: templates of D numbers do not fit the matching.
    """
    if not isinstance(matching, LocalMatching):
        return prepared
    if prepared.ndim != 2 or prepared.shape[1] == 0 or prepared.shape[1] % matching.cells:
        raise StoreError(
            f"Templates of shape {list(prepared.shape)} hold no vector for each of {matching.cells} cells; enrol again "
            "with the bundle that is loaded."
        )
    cells = matching.vectors(prepared)
    lengths = np.sqrt(np.einsum("ncd,ncd->nc", cells, cells))
    weighted = cells / np.sqrt(np.maximum(lengths, np.finfo(np.float32).tiny))[..., None]
    waves = np.matmul(_transform(matching), weighted)
    return _unit(waves.reshape(len(prepared), waves.shape[1] * waves.shape[2]))


def _transform(matching: LocalMatching) -> Vector:
    """float32 [frequencies, cells]."""
    rows = _waves(min(FREQUENCIES[0], matching.rows), matching.rows)
    columns = _waves(min(FREQUENCIES[1], matching.columns), matching.columns)
    both: Vector = np.einsum("ar,bc->abrc", rows, columns).reshape(-1, matching.cells).astype(np.float32)
    return both


def _waves(count: int, length: int) -> Vector:
    """The first `count` cosine waves over `length` places, float32 [count, length], orthonormal."""
    places = (np.arange(length) + 0.5) / length
    waves = np.cos(np.pi * np.outer(np.arange(count), places))
    unit: Vector = (waves / np.linalg.norm(waves, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _unit(vectors: Vector) -> Vector:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vector = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
