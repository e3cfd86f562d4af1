"""The forger's opponent while it learns; it is never deployed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """Judges every patch of a drawing, together with the centre line and the mask it was made from.

    P. Isola et al., CVPR 2017, section 3.2.2 (the patch discriminator), with spectral and instance norm as SPADE has
    them, which suit the hinge loss and batches of one; with spectral norm alone it hardly learned in a few thousand
    batches. The two last layers keep the size, so that with three halvings a judgement sees 70 x 70 pixels, with two
    34 x 34.

    Args:
        channels: of every halving of the image in turn; one more layer of twice the last follows.
    """

    def __init__(self, channels: Sequence[int] = (24, 48)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for number, after in enumerate((*channels, 2 * channels[-1])):
            stride = 2 if number < len(channels) else 1
            layers.append(spectral_norm(nn.Conv2d(before, after, 4, stride, 1)))
            layers += [nn.InstanceNorm2d(after)] * (number > 0) + [nn.LeakyReLU(0.2)]
            before = after
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(before, 1, 4, 1, 1)))

    def forward(self, lines: Tensor, mask: Tensor, drawing: Tensor) -> Tensor:
        """Three float images [N, 1, H, W] of -1 to 1 to the judgement of every patch, [N, 1, h, w]; above 0: real."""
        return cast(Tensor, self.layers(torch.cat([lines, mask, drawing], 1)))
