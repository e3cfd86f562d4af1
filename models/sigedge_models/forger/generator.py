"""The forger's generator: a U-Net that turns the centre line of a signature into ink, led by a signer's mask."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

HALF = 127.5
UPSAMPLINGS = ("nearest", "transposed")


class Generator(nn.Module):
    """Draws a signature: pix2pix's U-Net with SPADE normalisation on the way up.

    P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, section 3.2 and
    appendix; T. Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019, section 3,
    with the mask of a signer in the place of a map of classes. One more layer reads and one more stage draws at the
    full size, where the edges of strokes are made. No dropout, so that a drawing is a function of its input.

    The canvas holds two images one below the other, because every network here has one input: rows 0 to H-1 the
    centre line (0 or 255), rows H to 2H-1 the mask (0 to 255).

    Args:
        channels: at the full size, then of every halving of the image in turn.
        mask_channels: of the layer between the mask and what it modulates.
        upsampling: one of `UPSAMPLINGS`, how the way up doubles the size.
        height: rows H of the drawing, divisible by 2 to the number of halvings.
        width: columns W of the drawing, likewise.
    """

    def __init__(
        self,
        channels: Sequence[int] = (12, 24, 32, 64, 96),
        mask_channels: int = 12,
        upsampling: str = "nearest",
        height: int = 64,
        width: int = 128,
    ) -> None:
        super().__init__()
        if upsampling not in UPSAMPLINGS:
            raise ValueError(f"upsampling {upsampling!r} is none of {', '.join(UPSAMPLINGS)}")
        halvings = len(channels) - 1
        if height % 2**halvings or width % 2**halvings:
            raise ValueError(f"a drawing of {height}x{width} cannot be halved {halvings} times")
        self.height = height
        self.stem = nn.Conv2d(1, channels[0], 3, 1, 1)
        self.down = nn.ModuleList(Down(*pair) for pair in pairwise(channels))
        deepest = list(reversed(channels))
        # The deepest layer has no picture of its own size to look back at.
        looks_back = [0, *deepest[1:]]
        self.up = nn.ModuleList(
            Up(before, seen, after, mask_channels, upsampling)
            for before, seen, after in zip(deepest, looks_back, deepest[1:], strict=False)
        )
        self.last = nn.Conv2d(channels[0], 1, 3, 1, 1)
        self.last_beside = nn.Conv2d(channels[0], 1, 3, 1, 1, bias=False)

    def forward(self, canvas: Tensor) -> Tensor:
        """Float [N, 1, 2H, W] of values 0 to 255 to the drawing in rows, float [N, H*W] of 0 (paper) to 255 (ink)."""
        drawing = self.draw(canvas[:, :, : self.height], canvas[:, :, self.height :])
        return torch.flatten((drawing + 1) * HALF, 1)

    def draw(self, lines: Tensor, mask: Tensor) -> Tensor:
        """Centre lines and masks, float [N, 1, H, W] of 0 to 255 each, to drawings [N, 1, H, W] of -1 to 1."""
        mask = mask / HALF - 1
        masks = [mask]
        for _ in self.up[1:]:
            masks.append(functional.avg_pool2d(masks[-1], 2))
        x = functional.leaky_relu(self.stem(lines / HALF - 1), 0.2)
        kept = [x]
        for down in self.down:
            x = down(x)
            kept.append(x)
        seen: Tensor | None = None
        for up in self.up:
            kept.pop()
            x = up(x, seen, masks.pop())
            seen = kept[-1]
        return torch.tanh(self.last(functional.relu(x)) + self.last_beside(kept[0]))

    def freeze_norms(self) -> None:
        """Normalise with the running statistics from now on, as the deployed graph does.

        With batches of one picture the statistics of a batch are those of the picture. A network trained to its end
        with them draws worse once they are replaced; one that goes on training with the fixed ones does not.
        """
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def export_module(self) -> nn.Module:
        """The plain network for inference, with the statistics of every norm folded into the convolution before it."""
        module = copy.deepcopy(self).eval()
        for block in (*module.down, *module.up):
            cast("Down | Up", block).fold()
        return module


class Down(nn.Module):
    """Halves an image: convolution, norm and leaky ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 4, 2, 1, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(channels_out, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, channels_in, H, W] to float [N, channels_out, H/2, W/2]."""
        return functional.leaky_relu(self.norm(self.conv(x)), 0.2)

    def fold(self) -> None:
        """Put the norm into the convolution."""
        self.norm = _folded(self.conv, self.norm)


class Up(nn.Module):
    """Doubles an image: enlargement and SPADE, whose scale and shift of every pixel come from the mask."""

    def __init__(
        self, channels_in: int, channels_seen: int, channels_out: int, mask_channels: int, upsampling: str
    ) -> None:
        super().__init__()
        self.enlarge = Enlarging(channels_in, channels_seen, channels_out, upsampling)
        self.norm: nn.Module = nn.BatchNorm2d(channels_out, affine=False)
        self.read = nn.Conv2d(1, mask_channels, 3, 1, 1)
        self.scale = nn.Conv2d(mask_channels, channels_out, 3, 1, 1)
        self.shift = nn.Conv2d(mask_channels, channels_out, 3, 1, 1)
        nn.init.ones_(cast(Tensor, self.scale.bias))

    def forward(self, x: Tensor, seen: Tensor | None, mask: Tensor) -> Tensor:
        """Float [N, channels_in, H, W], as `Enlarging`, and the mask [N, 1, 2H, 2W] to [N, channels_out, 2H, 2W]."""
        mask = functional.relu(self.read(mask))
        return cast(Tensor, self.norm(self.enlarge(x, seen)) * self.scale(mask) + self.shift(mask))

    def fold(self) -> None:
        """Put the norm into the convolutions that enlarge."""
        for number, conv in enumerate(self.enlarge.convolutions()):
            # The mean is that of the sum of both: the first alone takes it away.
            folded = _folded(conv, self.norm, centred=number > 0)
        self.norm = folded


class Enlarging(nn.Module):
    """ReLU, then doubles height and width: nearest neighbours and a convolution, or a transposed convolution.

    A. Odena, V. Dumoulin and C. Olah, "Deconvolution and Checkerboard Artifacts", Distill 2016, on how they differ;
    pix2pix has the second. It joins what comes from below to what the way down has seen, and convolves both: the sum
    of two convolutions is the same, without a join for a converter to get wrong.

    Args:
        channels_in: from below.
        channels_seen: on the way down; 0 where nothing of that size was seen.
        channels_out: channels written.
        upsampling: one of `UPSAMPLINGS`.
    """

    def __init__(self, channels_in: int, channels_seen: int, channels_out: int, upsampling: str) -> None:
        super().__init__()
        self.below = _doubling(channels_in, channels_out, upsampling)
        self.beside = _doubling(channels_seen, channels_out, upsampling) if channels_seen else None

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        """Float [N, channels_in, H, W] and [N, channels_seen, H, W], or None, to [N, channels_out, 2H, 2W]."""
        y = cast(Tensor, self.below(functional.relu(x)))
        return y if self.beside is None or seen is None else y + self.beside(functional.relu(seen))

    def convolutions(self) -> list[nn.Module]:
        """One of them, or two whose results are added."""
        return [cast(nn.Sequential, part)[-1] for part in (self.below, self.beside) if part is not None]


def _doubling(channels_in: int, channels_out: int, upsampling: str) -> nn.Module:
    if upsampling == "transposed":
        return nn.Sequential(nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1, bias=False))
    return nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Conv2d(channels_in, channels_out, 3, 1, 1, bias=False))


def _folded(conv: nn.Module, norm: nn.Module, *, centred: bool = False) -> nn.Module:
    """Give a convolution, in place, the effect of the norm after it; what remains of the norm is nothing.

    A `centred` convolution has no bias, and its norm shall not subtract the mean.
    """
    if isinstance(norm, nn.BatchNorm2d):
        assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
        mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        mean = torch.zeros_like(mean) if centred else mean
        transposed = isinstance(conv, nn.ConvTranspose2d)
        weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, mean, variance, norm.eps, None, None, transposed)
        conv.weight, conv.bias = weight, None if centred else bias
    return nn.Identity()
