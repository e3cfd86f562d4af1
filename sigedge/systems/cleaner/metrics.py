"""How close a cleaned image is to the truth: PSNR, structural similarity, overlap of the ink."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from sigedge.systems.cleaner.regions import Image

PSNR_OF_EQUAL = 100.0
"""What equal images get, decibels: a mean must not become infinite for one of them."""


def psnr(truth: Image, other: Image) -> float:
    """Peak signal-to-noise ratio of two uint8 images of one shape, decibels, at most `PSNR_OF_EQUAL`."""
    return min(PSNR_OF_EQUAL, float(cv2.PSNR(truth, other)))


def ssim(truth: Image, other: Image) -> float:
    """Structural similarity of two uint8 images [H, W], -1 to 1.

    Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE Trans. Image
    Processing 13(4), 2004: Gaussian window of 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03.
    """
    # float64: the variance of white paper is what is left of a difference of large numbers.
    first, second = (torch.from_numpy(image[None, None].astype(np.float64)) for image in (other, truth))
    value = structural_similarity_index_measure(first, second, data_range=255.0)
    return float(value[0] if isinstance(value, tuple) else value)


def ink_iou(truth: Image, other: Image) -> float:
    """Intersection over union, 0 to 1, of the ink of two uint8 images [H, W].

    Ink is what is at least half as dark as the truth's darkest hundredth of inked pixels, in both images. 1 where
    neither has any.
    """
    darkness = 255.0 - truth
    inked = darkness[darkness > 0]
    level = 0.5 * float(np.percentile(inked, 99)) if inked.size else 128.0
    first, second = darkness >= level, 255.0 - other >= level
    union = int(np.count_nonzero(first | second))
    return float(np.count_nonzero(first & second) / union) if union else 1.0


def likeness(truths: Sequence[Image] | Image, others: Sequence[Image] | Image) -> dict[str, float]:
    """Means of `psnr`, `ssim` and `ink_iou` over pairs of images, lists of them or uint8 [N, H, W], by name."""
    measures = {"psnr": psnr, "ssim": ssim, "ink_iou": ink_iou}
    return {
        name: float(np.mean([measure(truth, other) for truth, other in zip(truths, others, strict=True)]))
        for name, measure in measures.items()
    }
