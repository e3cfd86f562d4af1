"""Drawing with a generator: latents made of bytes, and the images they become."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_BATCH = 100


def draw_latents(labels: NDArray[np.int64], size: tuple[int, int], random: np.random.Generator) -> NDArray[np.uint8]:
    """Latents for signatures of given signers; see `sigedge_models.cgan.generator.Generator`.

    Args:
        labels: int64 [N], signers counted from 0.
        size: rows and columns of a latent.
        random: source of the noise.

    Returns:
        uint8 [N, rows, columns].
    """
    latents = random.integers(0, 256, (len(labels), *size), dtype=np.uint8)
    latents[:, 0] = 0
    latents[np.arange(len(labels)), 0, labels] = 255
    return latents


def generate(generator: nn.Module, labels: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Signatures by a generator, just as it returns them.

    Args:
        generator: with the attributes `latent_size` and `canvas_size`; its mode is put back.
        labels: int64 [N], whose signatures.
        seed: of the noise.

    Returns:
        float32 [N, H, W], 0 (paper) to 255 (ink).
    """
    latent_size, canvas_size = (cast(tuple[int, int], size) for size in (generator.latent_size, generator.canvas_size))
    latents = draw_latents(labels, latent_size, np.random.default_rng(seed))
    return run(generator, latents).reshape(len(labels), *canvas_size)


def run(network: nn.Module, canvases: NDArray[np.generic]) -> NDArray[np.float32]:
    """Outputs float32 [N, D] of a network for canvases [N, H, W], in evaluation mode; the mode is put back."""
    was_training = network.training
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        parts = [
            network(torch.from_numpy(canvases[i : i + _BATCH, None].astype(np.float32)).to(device)).cpu().numpy()
            for i in range(0, len(canvases), _BATCH)
        ]
    network.train(was_training)
    return np.concatenate(parts)


def balanced(classes: int, count: int) -> NDArray[np.int64]:
    """Labels int64 [classes * count], every signer `count` times, in their order."""
    return np.repeat(np.arange(classes), count)
