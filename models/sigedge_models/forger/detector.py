"""A detector of generated signatures that reads the logarithmic cosine spectrum of an image."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

LABELS = ("real", "generated")


class Detector(nn.Module):
    """Two scores of a spectrum: written by a hand and scanned, or drawn by a network.

    J. Frank et al., "Leveraging Frequency Analysis for Deep Fake Image Recognition", ICML 2020, section 4: every
    frequency is standardised by mean and deviation over the training images, then judged linearly. The
    logarithm makes the spectrum's many decades comparable and is taken before the canvas is made
    (`sigedge.systems.forger.spectra.spectrum_canvas`).

    Args:
        height: rows H of the spectrum.
        width: columns W of the spectrum.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, height: int = 64, width: int = 128) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 1, height, width), 127.5))
        self.register_buffer("deviation", torch.full((1, 1, height, width), 127.5))
        # A full-size valid convolution instead of flatten + linear: no layout for a converter to get wrong.
        self.judge = nn.Conv2d(1, len(LABELS), (height, width))

    def standardise(self, spectra: Tensor) -> None:
        """Take mean and deviation of every frequency from training spectra, float [N, 1, H, W] of 0 to 255."""
        self.mean.copy_(spectra.mean(0, keepdim=True))
        # A frequency that hardly ever moves says nothing; without a floor its rounding would be blown up.
        self.deviation.copy_(spectra.std(0, keepdim=True).clamp_min(1.0))

    def forward(self, canvas: Tensor) -> Tensor:
        """Float [N, 1, H, W] of spectrum values 0 to 255 to the scores, float [N, 2], in the order of `LABELS`."""
        return torch.flatten(self.judge((canvas - self.mean) / self.deviation), 1)

    def export_module(self) -> nn.Module:
        """One convolution of the size of the canvas, the standardisation folded in."""
        conv = nn.Conv2d(1, len(LABELS), cast(tuple[int, int], self.judge.kernel_size))
        kernel = self.judge.weight.detach().double() / self.deviation.double()
        shift = (kernel * self.mean.double()).sum((1, 2, 3))
        conv.weight = nn.Parameter(kernel.float())
        conv.bias = nn.Parameter((cast(Tensor, self.judge.bias).detach().double() - shift).float())
        return nn.Sequential(conv, nn.Flatten(1)).eval()
