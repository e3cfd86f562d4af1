"""cleaner: a small U-shaped network that lightens everything in a document region but the signature's ink."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

WHITE = 255.0


class Residual(nn.Module):
    """Two 3x3 convolutions whose result is added to their input; without normalisation, as B. Lim et al., "Enhanced
    Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017, section 3.1: nothing depends on statistics.

    Args:
        channels: read and written.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] to float of the same shape."""
        return functional.relu(x + cast(Tensor, self.second(functional.relu(self.first(x)))))


class Trunk(nn.Module):
    """A U-shaped network from an image to one number a pixel.

    Half, quarter and eighth resolution are joined by sums; the last two convolutions see the image itself again, so
    that edges are as sharp as they came in. After J.-Y. Zhu et al., "Unpaired Image-to-Image Translation using
    Cycle-Consistent Adversarial Networks", ICCV 2017, appendix 7.2, at a fraction of its size.

    Args:
        width: channels at half resolution; twice and four times as many below.
        blocks: residual blocks at an eighth of the resolution.
        noise: channels of noise read there beside what the image gives; 0 for none.
    """

    def __init__(self, width: int, blocks: int, noise: int = 0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 5, 2, 2)
        self.down = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.bottom = nn.Conv2d(2 * width, 4 * width, 3, 2, 1)
        self.mix = nn.Conv2d(4 * width + noise, 4 * width, 1) if noise else None
        self.blocks = nn.Sequential(*(Residual(4 * width) for _ in range(blocks)))
        self.up = nn.Conv2d(4 * width, 2 * width, 3, 1, 1)
        self.join = nn.Conv2d(2 * width, width, 3, 1, 1)
        self.fine = nn.Conv2d(width, width // 2, 3, 1, 1)
        self.sharp = nn.Conv2d(width // 2 + 1, width // 2, 3, 1, 1)
        self.head = nn.Conv2d(width // 2, 1, 3, 1, 1)
        self.apply(_prepare)
        nn.init.normal_(self.head.weight, 0.0, 0.05)

    def forward(self, image: Tensor, noise: Tensor | None = None) -> Tensor:
        """Float [N, 1, H, W] of darkness 0 to 1, and noise [N, noise, H/8, W/8], to float [N, 1, H, W]."""
        half = functional.relu(self.stem(image))
        quarter = functional.relu(self.down(half))
        x = functional.relu(self.bottom(quarter))
        if self.mix is not None and noise is not None:
            x = functional.relu(self.mix(torch.cat([x, noise], 1)))
        x = self.blocks(x)
        x = functional.relu(quarter + self.up(_twice(x)))
        x = functional.relu(half + self.join(_twice(x)))
        x = _twice(functional.relu(self.fine(x)))
        x = functional.relu(self.sharp(torch.cat([x, image], 1)))
        return cast(Tensor, self.head(x))


class Cleaner(nn.Module):
    """Cleans a region of a document: what is no signature becomes paper.

    The network says for each pixel what share of its darkness stays. It can take ink away but never add any, so no
    stroke on a cleaned image is of its making.

    Args:
        width: see `Trunk`.
        blocks: see `Trunk`.
        canvas_height: rows of the region, divisible by 8.
        canvas_width: columns of the region, likewise.
    """

    def __init__(self, width: int = 16, blocks: int = 4, canvas_height: int = 128, canvas_width: int = 256) -> None:
        super().__init__()
        if canvas_height % 8 or canvas_width % 8:
            raise ValueError(f"a region of {canvas_height}x{canvas_width} pixels is not divisible by 8")
        self.trunk = Trunk(width, blocks)
        # Nearly everything stays at first: learning starts at the image as it is, not at an empty one.
        nn.init.constant_(cast(Tensor, self.trunk.head.bias), 1.0)

    def lighten(self, darkness: Tensor) -> tuple[Tensor, Tensor]:
        """Take away what is no signature.

        Args:
            darkness: float [N, 1, H, W], 0 for white and 1 for black.

        Returns:
            What of it stays, and before the logistic function the share that stays, both of the same shape.
        """
        share = cast(Tensor, self.trunk(darkness))
        return darkness * torch.sigmoid(share), share

    def forward(self, canvas: Tensor) -> Tensor:
        """Float [N, 1, H, W] of grey values 0 to 255, to the cleaned image in rows, float [N, H*W] of 0 to 255."""
        return torch.flatten(WHITE - WHITE * self.lighten(1.0 - canvas / WHITE)[0], 1)

    def export_module(self) -> nn.Module:
        """The same network in evaluation mode: there is nothing to fold."""
        return self.eval()


def Model(network: str = "generator", **config: int) -> nn.Module:
    """The network `network` of the system; ``"generator"``, dirty to clean, is the only one that is deployed.

    Raises:
        ValueError: there is no such network.
    """
    if network != "generator":
        raise ValueError(f"the cleaner has no network {network!r}, only 'generator'")
    return Cleaner(**config)


def _prepare(module: nn.Module) -> None:
    """Start a layer so that what goes in keeps its spread, which no normalisation would restore (K. He et al., "Delving
    Deep into Rectifiers", ICCV 2015), and residual blocks as nothing but their shortcut.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(cast(Tensor, module.bias))
    if isinstance(module, Residual):
        nn.init.zeros_(module.second.weight)


def _twice(x: Tensor) -> Tensor:
    """Every pixel as two by two."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
