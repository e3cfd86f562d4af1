"""How near generated signatures come to genuine ones, as a set and one by one."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from sigedge.systems.cgan.storage import CUT
from sigedge.training.similarity import matching_of
from sigedge.training.train import embed
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise

Embeddings = NDArray[np.float64]
DRAWS = 50
REGIONS = (2, 4)
"""Rows and columns of the regions within which the vectors of cells are averaged."""


def embeddings(verifier: nn.Module, images: NDArray[np.uint8]) -> Embeddings:
    """What the project's verifier makes of stored images, each harmonised like any scan.

    Args:
        verifier: canvas to embedding.
        images: uint8 [N, H, W], ink 255.

    Returns:
        float64 [N, D]. Of a verifier that matches cell by cell the vectors are averaged within `REGIONS`: distances of
        sets need more images than an embedding has numbers.
    """
    spec = PreprocessSpec()
    size = (spec.canvas_width, spec.canvas_height)
    scans = (cv2.resize(255 - image, size, interpolation=cv2.INTER_LINEAR_EXACT) for image in images)
    canvases = np.stack([harmonise(np.asarray(scan, np.uint8), spec).canvas for scan in scans])
    found = embed(verifier, canvases).astype(np.float64)
    matching = matching_of(verifier)
    if matching is None:
        return found
    rows, columns = math.gcd(REGIONS[0], matching.rows), math.gcd(REGIONS[1], matching.columns)
    shape = (len(found), rows, matching.rows // rows, columns, matching.columns // columns, -1)
    return np.asarray(found.reshape(shape).mean(axis=(2, 4)).reshape(len(found), -1))


def frechet_distance(first: Embeddings, second: Embeddings) -> float:
    """Distance of two sets [N, D] and [M, D] as Gaussians: M. Heusel et al., NeurIPS 2017, equation 6 (FID)."""
    covariances = [np.cov(sample, rowvar=False) for sample in (first, second)]
    apart = first.mean(0) - second.mean(0)
    # The trace of the root of a product of covariances; rounding may leave its smallest eigenvalues below 0.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(covariances[0] @ covariances[1]).real, 0))
    return float(apart @ apart + np.trace(covariances[0] + covariances[1]) - 2 * roots.sum())


def kernel_distance(first: Embeddings, second: Embeddings) -> float:
    """Unbiased squared maximum mean discrepancy of two sets [N, D], [M, D] with the kernel (x.y / D + 1)^3.

    M. Binkowski et al., "Demystifying MMD GANs", ICLR 2018, section 4 (KID). It may be a little below 0.
    """

    def kernel(a: Embeddings, b: Embeddings) -> Embeddings:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    def among(sample: Embeddings) -> float:
        values, n = kernel(sample, sample), len(sample)
        return float((values.sum() - np.trace(values)) / (n * (n - 1)))

    return among(first) + among(second) - 2 * float(kernel(first, second).mean())


def set_distances(reference: Embeddings, other: Embeddings, seed: int = 0) -> dict[str, Any]:
    """FID and KID of two sets, each with the 95 % range over random halves of both.

    Args:
        reference: float64 [N, D].
        other: float64 [M, D]; as many are drawn of both, because the FID grows as sets shrink.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    count = min(len(reference), len(other))
    found: dict[str, list[float]] = {"fid": [], "kid": []}
    for _ in range(DRAWS):
        ours, theirs = (random.choice(sample, count // 2, replace=False) for sample in (reference, other))
        found["fid"].append(frechet_distance(ours, theirs))
        found["kid"].append(kernel_distance(ours, theirs))
    return {"images": count // 2} | {
        name: {"value": float(np.mean(values)), "ci95": np.quantile(values, [0.025, 0.975]).tolist()}
        for name, values in found.items()
    }


def ink_distances(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float32]:
    """1 minus intersection over union of the ink of two-level canvases: [N, H, W], [M, H, W] to float32 [N, M]."""
    first, second = ((sample >= CUT).reshape(len(sample), -1).astype(np.float32) for sample in (images, others))
    both = first @ second.T
    either = first.sum(1)[:, None] + second.sum(1)[None] - both
    return np.asarray(1 - both / np.maximum(either, 1), np.float32)


def cosine_distances(first: Embeddings, second: Embeddings) -> NDArray[np.float32]:
    """1 minus the cosine of embeddings [N, D], [M, D]: float32 [N, M]."""
    units = [sample / np.linalg.norm(sample, axis=1, keepdims=True) for sample in (first, second)]
    return np.asarray(1 - units[0] @ units[1].T, np.float32)


def memorisation(generated: NDArray[np.float32], held_out: NDArray[np.float32]) -> dict[str, Any]:
    """Whether generated images lie nearer to training images than unseen genuine ones do.

    C. Meehan et al., "A Non-Parametric Test to Detect Data-Copying in Generative Models", AISTATS 2020: a generator
    that copies is nearer to its training set than a held-out sample is.

    Args:
        generated: distances of generated images to training images, [N, T].
        held_out: distances of unseen genuine images to the same, [M, T].

    Returns:
        Quantiles of the distance to the nearest training image of both; ``nearer``, the probability that a generated
        image is nearer than an unseen genuine one (0.5 for equals, 1 for copies); ``copies``, the share of generated
        images nearer than the nearest in a hundred of the unseen.
    """
    ours, theirs = generated.min(1), held_out.min(1)
    rank = np.searchsorted(np.sort(theirs), ours)
    return {
        "generated": _quantiles(ours),
        "held_out": _quantiles(theirs),
        "nearer": float(1 - rank.mean() / len(theirs)),
        "copies": float((ours < np.quantile(theirs, 0.01)).mean()),
    }


def variety(distances: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean distance of two images of one signer, from all distances [N, N] and signers int64 [N]."""
    same = (labels[:, None] == labels[None]) & ~np.eye(len(labels), dtype=bool)
    return float(distances[same].mean())


def _quantiles(values: NDArray[np.float32]) -> dict[str, float]:
    return {str(q): float(np.quantile(values, q)) for q in (0.01, 0.25, 0.5, 0.75, 0.99)}
