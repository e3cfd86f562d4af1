"""The generator's opponent while it learns; it is never deployed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Judges whether a pack of images are genuine signatures of the signer they are said to be of.

    In a pack it shows when a generator always draws the same: Z. Lin et al., "PacGAN: The power of two samples in
    generative adversarial networks", NeurIPS 2018, section 3.

    Every signer has an output of their own, of which the said one is read: M.-Y. Liu et al., "Few-Shot Unsupervised
    Image-to-Image Translation", ICCV 2019, section 3.2. Spectral norm (T. Miyato et al., ICLR 2018) keeps it smooth.

    Args:
        classes: signers.
        pack: images it sees at once.
        channels: of every halving of the image in turn.
        canvas_height: rows of an image, divisible by 2 to the number of `channels`.
        canvas_width: columns of an image, likewise.
    """

    def __init__(
        self,
        classes: int = 10,
        pack: int = 2,
        channels: Sequence[int] = (16, 32, 64, 128),
        canvas_height: int = 64,
        canvas_width: int = 128,
    ) -> None:
        super().__init__()
        shrink = 2 ** len(channels)
        layers: list[nn.Module] = []
        before = pack
        for after in channels:
            layers += [spectral_norm(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)]
            before = after
        field = (canvas_height // shrink, canvas_width // shrink)
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(before, classes, field)))

    def forward(self, images: Tensor, signers: Tensor) -> Tensor:
        """Packs float [N, pack, H, W] of -1 to 1 and signers int64 [N] to judgements float [N]; above 0: genuine."""
        judged = torch.flatten(cast(Tensor, self.layers(images)), 1)
        return judged.gather(1, signers[:, None])[:, 0]
