"""A small ResNet with spatial attention, whose twin runs embed two signatures for comparison."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

CANVAS_SCALE = 255.0


class ConvNorm(nn.Module):
    """A convolution with batch normalisation, which is folded into it for inference.

    Args:
        channels_in: channels read.
        channels_out: channels written.
        size: side of the kernel, odd; the field keeps its size but for the stride.
        stride: 1 or 2.
    """

    def __init__(self, channels_in: int, channels_out: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, size, stride, size // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, channels_in, H, W] to float [N, channels_out, H/stride, W/stride]."""
        return cast(Tensor, self.norm(self.conv(x)))

    def deployed(self) -> nn.Conv2d:
        """The convolution for inference, with a bias; its weights are yet to be loaded."""
        own = self.conv
        return nn.Conv2d(own.in_channels, own.out_channels, own.kernel_size, own.stride, own.padding)  # type: ignore[arg-type]

    def deployed_weights(self) -> tuple[Tensor, Tensor]:
        """Kernel and bias of `deployed` with the statistics of evaluation, float64."""
        # float64: the folded network shall differ from this one by rounding of the result alone.
        mean, variance = cast(Tensor, self.norm.running_mean).double(), cast(Tensor, self.norm.running_var).double()
        scale = self.norm.weight.double() / torch.sqrt(variance + self.norm.eps)
        return self.conv.weight.double() * scale[:, None, None, None], self.norm.bias.double() - mean * scale


class SpatialAttention(nn.Module):
    """Weights each place of a feature map by how much it matters, 0 to 1.

    S. Woo, J. Park, J.-Y. Lee and I. S. Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018, section 3:
    the mean and the largest value over the channels, a convolution of these two maps, and a sigmoid.

    Args:
        size: side of the kernel, odd.
    """

    def __init__(self, size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, size, padding=size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] to float of the same shape."""
        summary = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.conv(summary))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: K. He et al., "Deep Residual Learning", CVPR 2016, figure 5 left.

    Args:
        channels_in: channels read.
        channels_out: channels written.
        stride: of the first convolution, and of the 1x1 convolution that the shortcut then needs.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels_in, channels_out, 3, stride)
        self.second = ConvNorm(channels_out, channels_out, 3)
        same = channels_in == channels_out and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(channels_in, channels_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, channels_in, H, W] to float [N, channels_out, H/stride, W/stride]."""
        y = self.second(torch.relu(self.first(x)))
        return torch.relu(y + self.shortcut(x))


class SiameseResNet(nn.Module):
    """Embeds a signature canvas; two embeddings are compared by their distance at unit length, or by a pair classifier.

    A ResNet of basic blocks, two to a stage as in ResNet-18, with spatial attention after each stage. The last feature
    map is averaged over cells of 2x2, not over the whole field: where a stroke lies is what tells signatures apart.

    Args:
        channels: of each stage, multiples of 8; every stage but the first halves the field.
        blocks: of each stage.
        embedding_size: length D of the embedding.
        dropout: share of features dropped before the embedding while training.
        canvas_height: rows of the canvas, divisible by 2 to the power of the number of stages plus 2.
        canvas_width: columns of the canvas, likewise.
    """

    def __init__(
        self,
        channels: list[int] | None = None,
        blocks: int = 2,
        embedding_size: int = 128,
        dropout: float = 0.0,
        canvas_height: int = 128,
        canvas_width: int = 256,
    ) -> None:
        super().__init__()
        channels = channels or DEFAULT_CHANNELS
        if any(width < 8 or width % 8 for width in channels):
            # With others the backward pass of a strided 1x1 convolution crashes in PyTorch 2.13 on a CPU.
            raise ValueError(f"channels are {channels}; give multiples of 8")
        layers: list[nn.Module] = [ConvNorm(1, channels[0], 7, 2), nn.ReLU(), nn.MaxPool2d(2)]
        before = channels[0]
        for stage, width in enumerate(channels):
            for block in range(blocks):
                layers.append(BasicBlock(before, width, 2 if stage and not block else 1))
                before = width
            layers.append(SpatialAttention())
        self.backbone = nn.Sequential(*layers, nn.AvgPool2d(2))
        shrink = 2 ** (len(channels) + 2)
        if canvas_height < shrink or canvas_width < shrink:
            raise ValueError(
                f"a canvas of {canvas_height}x{canvas_width} is smaller than the {shrink} pixels of a cell"
            )
        self.dropout = nn.Dropout(dropout)
        # A full-size valid convolution instead of flatten + linear: no layout for a converter to get wrong.
        self.project = nn.Conv2d(before, embedding_size, (canvas_height // shrink, canvas_width // shrink))
        self.apply(_initialise)

    def forward(self, canvas: Tensor) -> Tensor:
        """Float [N, 1, H, W] of canvas values 0 to 255, to the float embedding [N, D]."""
        return torch.flatten(self.project(self.dropout(self.backbone(canvas / CANVAS_SCALE))), 1)

    def export_module(self) -> nn.Module:
        """The network for inference: every normalisation folded into its convolution.

        Returns:
            A module in evaluation mode, float [N, 1, H, W] of canvas values 0 to 255 to float [N, D].
        """
        module = copy.deepcopy(self).eval()
        for name, layer in self._folded_layers():
            parent, _, child = name.rpartition(".")
            setattr(module.get_submodule(parent), child, layer.deployed())
        module.load_state_dict(self.deployed_weights())
        return module

    def deployed_weights(self) -> dict[str, Tensor]:
        """Weights of `export_module` by name, float32, as functions of this model's own that can be differentiated.

        Batch normalisation enters with its evaluation statistics: what is trained through these weights is what runs.
        """
        weights: dict[str, Tensor] = {}
        for name, layer in self._folded_layers():
            kernel, bias = layer.deployed_weights()
            weights[f"{name}.weight"], weights[f"{name}.bias"] = kernel.float(), bias.float()
        folded = tuple(f"{name}." for name, _ in self._folded_layers())
        return weights | {name: own for name, own in self.named_parameters() if not name.startswith(folded)}

    def _folded_layers(self) -> Iterator[tuple[str, ConvNorm]]:
        for name, layer in self.named_modules():
            if isinstance(layer, ConvNorm):
                yield name, layer


def _initialise(layer: nn.Module) -> None:
    """After K. He et al., "Delving Deep into Rectifiers", ICCV 2015, as residual networks are."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


# 128x256 canvas down to 4x8 cells; 0.8 million parameters once folded.
DEFAULT_CHANNELS = [16, 32, 64, 128]
