"""The networks that only training needs: the painter of dirt, and the critics."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sigedge_models.cleaner.model import Trunk


class Painter(nn.Module):
    """Clean to dirty: the other generator of the CycleGAN. It darkens, as the cleaner lightens.

    One clean signature belongs to many documents, so the painter draws from noise which of them it paints (A. Almahairi
    et al., "Augmented CycleGAN", ICML 2018, in its simplest form: the noise is not encoded back).

    Args:
        width: see `Trunk`.
        blocks: see `Trunk`.
        noise: channels of noise.
    """

    def __init__(self, width: int, blocks: int, noise: int) -> None:
        super().__init__()
        self._noise = noise
        self.trunk = Trunk(width, blocks, noise)
        # Little dirt at first.
        nn.init.constant_(cast(Tensor, self.trunk.head.bias), -2.0)

    def forward(self, darkness: Tensor) -> tuple[Tensor, Tensor]:
        """Darken float [N, 1, H, W] of darkness 0 to 1; returned as by `Cleaner.lighten`."""
        count, _, height, width = darkness.shape
        noise = torch.randn(count, self._noise, height // 8, width // 8, device=darkness.device)
        paint = cast(Tensor, self.trunk(darkness, noise))
        return 1 - (1 - darkness) * torch.sigmoid(-paint), paint


class Critic(nn.Module):
    """Tells real from made patches of an image (P. Isola et al., "Image-to-Image Translation with Conditional
    Adversarial Networks", CVPR 2017, section 3.2.2), with spectral normalisation (T. Miyato et al., ICLR 2018).

    Args:
        width: channels of the first layer; twice and four times as many after it.
        noise: standard deviation of the noise on what it sees. Real clean paper is one exact value, which no network
            meets; without noise that would be all a critic looks at (C. K. Sønderby et al., "Amortised MAP Inference
            for Image Super-resolution", ICLR 2017, section 3.3).
    """

    def __init__(self, width: int, noise: float) -> None:
        super().__init__()
        self._noise = noise
        channels = (1, width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        for read, written in pairwise(channels):
            layers += [spectral_norm(nn.Conv2d(read, written, 4, 2, 1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels[-1], 1, 3, 1, 1)))

    def forward(self, darkness: Tensor) -> Tensor:
        """Float [N, 1, H, W] of darkness 0 to 1, to float [N, 1, H/8, W/8]: 1 for a real patch, 0 for a made one."""
        return cast(Tensor, self.layers(darkness + self._noise * torch.randn_like(darkness)))


class ImagePool(nn.Module):
    """Made images of the past, half of which a critic sees in place of the latest (A. Shrivastava et al., "Learning
    from Simulated and Unsupervised Images through Adversarial Training", CVPR 2017, section 2.3).

    It lives in buffers, so that a checkpoint holds it and a resumed run goes on with it.

    Args:
        size: images it holds.
        shape: (h, w) of an image.
    """

    images: Tensor
    held: Tensor

    def __init__(self, size: int, shape: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, 1, *shape))
        self.register_buffer("held", torch.zeros((), dtype=torch.long))

    def exchange(self, made: Tensor) -> Tensor:
        """Float [N, 1, h, w] of new images in, as many out: each new, or an old one whose place it takes."""
        shown = made.detach().clone()
        for image in shown:
            if self.held < len(self.images):
                self.images[self.held] = image
                self.held += 1
            elif torch.rand(()) < 0.5:
                place = torch.randint(len(self.images), ())
                old = self.images[place].clone()
                self.images[place] = image
                image.copy_(old)
        return shown
