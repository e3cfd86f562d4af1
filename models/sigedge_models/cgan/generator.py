"""The generator: a signature of a wanted signer, drawn from bytes of noise."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

HALF = 127.5
FULL = 255.0
PAPER = -2.5
"""Of an untrained generator every pixel before the sigmoid: a twelfth of ink, as signatures have."""


class Generator(nn.Module):
    """Draws signatures of given signers: a conditional generator of transposed convolutions.

    M. Mirza and S. Osindero, "Conditional Generative Adversarial Nets", arXiv 1411.1784, section 3.2, for the label
    beside the noise; A. Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks", ICLR 2016, section 3, for the layers.

    The latent is a canvas of bytes, so that a device feeds it like any image: row 0 holds 255 in the wanted signer's
    column and 0 elsewhere, the other rows hold noise, every byte equally likely.

    Args:
        classes: signers it knows, at most `latent_width`.
        noise_rows: rows of noise in the latent.
        latent_width: columns of the latent.
        features: numbers between the latent and the first image.
        channels: of every image before the last; each doubles the size of the one before.
        canvas_height: rows of the drawing, divisible by 2 to the number of `channels`.
        canvas_width: columns of the drawing, likewise.
    """

    def __init__(
        self,
        classes: int = 10,
        noise_rows: int = 4,
        latent_width: int = 16,
        features: int = 128,
        channels: Sequence[int] = (96, 64, 48, 24),
        canvas_height: int = 64,
        canvas_width: int = 128,
    ) -> None:
        super().__init__()
        shrink = 2 ** len(channels)
        if classes > latent_width or canvas_height % shrink or canvas_width % shrink:
            raise ValueError(
                f"{classes} classes need as many columns of the latent, and {canvas_height}x{canvas_width} must be "
                f"divisible by {shrink}"
            )
        self.latent_size = (1 + noise_rows, latent_width)
        self.canvas_size = (canvas_height, canvas_width)
        first = (canvas_height // shrink, canvas_width // shrink)
        # Full-size convolutions instead of flatten, linear and reshape: no layout for a converter to get wrong.
        self.layers = nn.ModuleList([nn.Conv2d(1, features, self.latent_size, bias=False)])
        self.layers.append(nn.ConvTranspose2d(features, channels[0], first, bias=False))
        for before, after in pairwise(channels):
            self.layers.append(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in (features, *channels))
        self.draw = nn.ConvTranspose2d(channels[-1], 1, 4, 2, 1)
        # Most of a canvas is paper: a generator that starts there need not learn it.
        nn.init.constant_(cast(Tensor, self.draw.bias), PAPER)

    def forward(self, latent: Tensor) -> Tensor:
        """Float [N, 1, rows, columns] of bytes to the drawing in rows, float [N, H*W] of 0 (paper) to 255 (ink)."""
        x = latent / HALF - 1.0
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = torch.relu(norm(layer(x)))
        return torch.flatten(torch.sigmoid(self.draw(x)) * FULL, 1)

    def export_module(self) -> nn.Module:
        """The plain network for inference: convolutions with bias, ReLU and the sigmoid; the scaling is folded in."""
        evaluated = copy.deepcopy(self).eval()
        plain: list[nn.Module] = []
        for layer, norm in zip(evaluated.layers, evaluated.norms, strict=True):
            conv = cast(nn.Conv2d, layer)
            transposed = isinstance(layer, nn.ConvTranspose2d)
            plain += [fuse_conv_bn_eval(conv, cast(nn.BatchNorm2d, norm), transposed), nn.ReLU()]
        _read_bytes(cast(nn.Conv2d, plain[0]))
        module = nn.Sequential(*plain, evaluated.draw, nn.Sigmoid(), Grey(), nn.Flatten(1))
        return module.eval()


class Grey(nn.Module):
    """From shares of ink to grey levels."""

    def forward(self, x: Tensor) -> Tensor:
        """Float of 0 to 1 to float of 0 to 255, shape kept."""
        return x * FULL


def _read_bytes(conv: nn.Conv2d) -> None:
    """Let a convolution without padding, trained on -1 to 1, read 0 to 255."""
    with torch.no_grad():
        cast(Tensor, conv.bias).sub_(conv.weight.sum((1, 2, 3)))
        conv.weight.div_(HALF)
