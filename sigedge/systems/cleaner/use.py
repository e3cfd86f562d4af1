"""Cleaning images with a trained network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sigedge.systems.cleaner.regions import Image, fit_region

_BATCH = 32


def clean(model: nn.Module, grey: Image) -> Image:
    """The signature of a document region, on white paper, ready for `harmonise`.

    Args:
        model: the cleaner's generator, e.g. from `load_checkpoint`.
        grey: uint8 [h, w] of any size, cut out roughly at the signature.

    Returns:
        uint8 [128, 256].

    Raises:
        ImageError: the array is no grey uint8 image.
    """
    return np.asarray(clean_regions(model, [fit_region(grey)])[0], np.uint8)


def clean_regions(model: nn.Module, regions: Sequence[Image] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Clean regions uint8 [N, H, W] of one size, in evaluation mode; the mode is put back."""
    stacked = np.stack(list(regions))
    was_training = model.training
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        parts = [
            model(torch.from_numpy(stacked[i : i + _BATCH, None].astype(np.float32)).to(device)).cpu().numpy()
            for i in range(0, len(stacked), _BATCH)
        ]
    model.train(was_training)
    return np.asarray(np.clip(np.rint(np.concatenate(parts)), 0, 255), np.uint8).reshape(stacked.shape)
