"""edgesig: a plain 3x3 network for signature canvases, re-parameterisable, at most one million parameters."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sigedge_runtime.matching import LocalMatching

CANVAS_SCALE = 255.0


class RepConv(nn.Module):
    """A 3x3 convolution with batch normalisation, which is folded into it for inference; ReLU after it.

    Where the shape is kept the input is added before ReLU. Structural re-parameterisation after X. Ding et al.,
    "RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021, section 3, with one normalisation for all branches, and
    without folding the shortcut: beside a one in the middle of a kernel, int8 rounds the other weights too coarsely.

    Args:
        channels_in: channels read.
        channels_out: channels written.
        stride: 1 or 2.
        branch: train a 1x1 convolution beside the 3x3 one, which is added to its middle for inference. It starts at
            zero, so that a trained network may get one.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, branch: bool = False) -> None:
        super().__init__()
        self.stride = stride
        self.has_shortcut = channels_in == channels_out and stride == 1
        self.conv = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.point = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False) if branch else None
        if self.point is not None:
            nn.init.zeros_(self.point.weight)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, channels_in, H, W] to float [N, channels_out, H/stride, W/stride]."""
        y = self.conv(x)
        y = self.norm(y if self.point is None else y + self.point(x))
        return functional.relu(x + y if self.has_shortcut else y)

    def deployed(self) -> nn.Module:
        """The layer for inference before ReLU, its weights yet to be loaded."""
        conv = nn.Conv2d(self.conv.in_channels, self.conv.out_channels, 3, self.stride, 1)
        return Shortcut(conv) if self.has_shortcut else conv

    def deployed_weights(self) -> tuple[Tensor, Tensor]:
        """Kernel and bias of `deployed` in evaluation mode, float64."""
        kernel = self.conv.weight
        if self.point is not None:
            kernel = kernel + functional.pad(self.point.weight, (1, 1, 1, 1))
        return _fold(kernel, self.norm)


class Shortcut(nn.Module):
    """Adds its input to what a layer makes of it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, C, H, W] to float of the same shape."""
        return x + cast(Tensor, self.layer(x))


def _fold(kernel: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution followed by batch normalisation in evaluation mode."""
    # float64: the fused network shall differ from the branches by rounding of the result alone.
    mean, variance = cast(Tensor, norm.running_mean).double(), cast(Tensor, norm.running_var).double()
    scale = norm.weight.double() / torch.sqrt(variance + norm.eps)
    return kernel.double() * scale[:, None, None, None], norm.bias.double() - mean * scale


class EdgeSig(nn.Module):
    """Embeds a signature canvas, as a whole or cell by cell, for the comparison that `matching` names.

    The embedding is not normalised: norms stay outside the graph, where quantisation cannot lose them.

    Args:
        stages: (channels, stride) of every RepConv in turn; one of `DEFAULT_STAGES` by default.
        head: ``local`` gives a vector for each cell of the last stage's grid, to be matched by `LocalMatching`;
            ``global`` one for the whole canvas, to be compared by cosine.
        embedding_size: length of such a vector.
        reach: cells up or down and left or right in which `LocalMatching` looks for the best match.
        demanding: tell how much similarity a signature demands as a reference, by one more number in each cell.
        branches: train a 1x1 convolution beside every 3x3 one, see `RepConv`.
        dropout: share of features dropped before the head while training.
        canvas_height: rows of the canvas, divisible by the product of all strides.
        canvas_width: columns of the canvas, likewise.
    """

    def __init__(
        self,
        stages: list[list[int]] | None = None,
        head: str = "local",
        embedding_size: int | None = None,
        reach: tuple[int, int] = (1, 2),
        demanding: bool = True,
        branches: bool = False,
        dropout: float = 0.0,
        canvas_height: int = 128,
        canvas_width: int = 256,
    ) -> None:
        super().__init__()
        if head not in DEFAULT_STAGES:
            raise ValueError(f"head {head!r} is none of {', '.join(DEFAULT_STAGES)}")
        blocks: list[RepConv] = []
        channels, shrink = 1, 1
        for width, stride in stages or DEFAULT_STAGES[head]:
            blocks.append(RepConv(channels, width, stride, branches))
            channels, shrink = width, shrink * stride
        self.blocks = nn.ModuleList(blocks)
        field = (canvas_height // shrink, canvas_width // shrink)
        self.dropout = nn.Dropout(dropout)
        size = embedding_size or DEFAULT_SIZE[head]
        unit = DEMAND_UNIT if demanding else None
        self.matching = LocalMatching(*field, *reach, demand_unit=unit) if head == "local" else None
        if self.matching is not None:
            self.cells = nn.Conv2d(channels, size + demanding, 1)
        else:
            # A full-size valid convolution instead of flatten + linear: no layout for a converter to get wrong.
            self.project = nn.Conv2d(channels, size, field, bias=False)
            self.project_norm = nn.BatchNorm2d(size)

    def forward(self, canvas: Tensor) -> Tensor:
        """Float [N, 1, H, W] of canvas values 0 to 255, to the float embedding [N, D].

        D is the size of one vector, and one more where the network is demanding, times the number of cells, row by row.
        """
        x = canvas / CANVAS_SCALE
        for block in self.blocks:
            x = block(x)
        x = self.dropout(x)
        return cell_by_cell(self.cells(x) if self.matching else self.project_norm(self.project(x)))

    def export_module(self) -> nn.Module:
        """The plain network for inference: convolutions with bias, shortcuts and ReLU, the division by 255 folded in.

        Returns:
            A module in evaluation mode, float [N, 1, H, W] of canvas values 0 to 255 to float [N, D].
        """
        layers: list[nn.Module] = []
        for block in self.blocks:
            layers += [cast(RepConv, block).deployed(), nn.ReLU()]
        head = self.cells if self.matching else self.project
        layers.append(nn.Conv2d(head.in_channels, head.out_channels, cast(tuple[int, int], head.kernel_size)))
        module = nn.Sequential(*layers, CellByCell()).eval()
        module.load_state_dict(self.deployed_weights())
        return module

    def deployed_weights(self) -> dict[str, Tensor]:
        """Weights of `export_module` by name, float32, as functions of this model's own that can be differentiated.

        Batch normalisation enters with its evaluation statistics: what is trained through these weights is what runs.
        """
        blocks = [cast(RepConv, block) for block in self.blocks]
        folded = [block.deployed_weights() for block in blocks]
        folded[0] = (folded[0][0] / CANVAS_SCALE, folded[0][1])
        if self.matching is not None:
            folded.append((self.cells.weight, cast(Tensor, self.cells.bias)))
        else:
            folded.append(_fold(self.project.weight, self.project_norm))
        weights: dict[str, Tensor] = {}
        for number, (kernel, bias) in enumerate(folded):
            layer = f"{2 * number}.layer" if number < len(blocks) and blocks[number].has_shortcut else f"{2 * number}"
            weights[f"{layer}.weight"], weights[f"{layer}.bias"] = kernel.float(), bias.float()
        return weights


def cell_by_cell(field: Tensor) -> Tensor:
    """Float [N, C, rows, columns] to [N, rows * columns * C], the vectors of all cells row by row."""
    return torch.flatten(field.permute(0, 2, 3, 1), 1)


class CellByCell(nn.Module):
    """`cell_by_cell` as a layer."""

    def forward(self, field: Tensor) -> Tensor:
        """See `cell_by_cell`."""
        return cell_by_cell(field)


# A 128x256 canvas down to 8x16 cells with a vector of 16 numbers each, or to 4x8 cells that one vector of 128 sums up.
DEFAULT_STAGES = {
    "local": [[16, 2], [32, 2], [32, 1], [64, 2], [64, 1], [96, 2], [96, 1], [96, 1]],
    "global": [[16, 2], [32, 2], [32, 1], [64, 2], [64, 1], [96, 2], [96, 1], [96, 1], [96, 2]],
}
DEFAULT_SIZE = {"local": 16, "global": 128}
# Numbers that tell demands get as large as those of the vectors, whose steps they share in an int8 file.
DEMAND_UNIT = 0.125
