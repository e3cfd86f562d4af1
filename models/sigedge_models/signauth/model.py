"""signauth: a small plain 3x3 network with one output for each known person, which can grow."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sigedge_models.edgesig.model import CANVAS_SCALE, RepConv


class SignAuth(nn.Module):
    """Scores a signature canvas for each of the people it knows.

    The outputs are logits beside one that is fixed at 0, that of nobody known: the probability of class k is
    exp(z_k) / (1 + sum of exp(z_j)), and what is left is the probability of nobody. Softmax stays outside the graph.

    Args:
        classes: number of known people N.
        stages: (channels, stride) of every RepConv in turn.
        features: numbers F before the last layer.
        dropout: share of cells dropped before the features while training.
        canvas_height: rows of the canvas, divisible by the product of all strides.
        canvas_width: columns of the canvas, likewise.
        network: the only one there is, ``classifier``.

    Attributes:
        class_means: mean features of each class over its training canvases, float [N, F]; zeros until training ends.
        spread: their standard deviation within a class, float [F]. Both stand in for canvases that are gone when the
            classifier grows; the deployed graph does without.

    Raises:
        ValueError: there is no such network, or no class.
    """

    class_means: Tensor
    spread: Tensor

    def __init__(
        self,
        classes: int = 10,
        stages: list[list[int]] | None = None,
        features: int = 64,
        dropout: float = 0.0,
        canvas_height: int = 256,
        canvas_width: int = 256,
        network: str = "classifier",
    ) -> None:
        super().__init__()
        if network != "classifier" or classes < 1:
            raise ValueError(f"there is no network {network!r} for {classes} classes; give classifier and 1 or more")
        blocks: list[RepConv] = []
        channels, shrink = 1, 1
        for width, stride in stages or DEFAULT_STAGES:
            blocks.append(RepConv(channels, width, stride))
            channels, shrink = width, shrink * stride
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout(dropout)
        # A full-size valid convolution instead of flatten + linear: no layout for a converter to get wrong.
        field = (canvas_height // shrink, canvas_width // shrink)
        self.project = nn.Conv2d(channels, features, field, bias=False)
        self.project_norm = nn.BatchNorm2d(features)
        self.head = nn.Linear(features, classes)
        self.register_buffer("class_means", torch.zeros(classes, features))
        self.register_buffer("spread", torch.zeros(features))

    def features(self, canvas: Tensor) -> Tensor:
        """Float [N, 1, H, W] of canvas values 0 to 255, to the features before the last layer, float [N, F], >= 0."""
        x = canvas / CANVAS_SCALE
        for block in self.blocks:
            x = block(x)
        return torch.flatten(functional.relu(self.project_norm(self.project(self.dropout(x)))), 1)

    def forward(self, canvas: Tensor) -> Tensor:
        """Float [N, 1, H, W] of canvas values 0 to 255, to the logits of the classes, float [N, classes]."""
        return cast(Tensor, self.head(self.features(canvas)))

    def grow(self, bigger: SignAuth) -> SignAuth:
        """Hand all weights on to a model of the same shape with more classes, and return that.

        The outputs of the classes there were keep their weights and their order; a new one starts as uncertain as
        nobody's, with a logit of 0 for every canvas.

        Args:
            bigger: takes the weights.

        Raises:
            ValueError: it has fewer classes, or differs in another way.
        """
        state: dict[str, Any] = dict(self.state_dict())
        added = bigger.head.out_features - self.head.out_features
        if added < 0:
            raise ValueError(f"{bigger.head.out_features} classes are fewer than {self.head.out_features}")
        for name in ("head.weight", "head.bias", "class_means"):
            old = state[name]
            state[name] = torch.cat([old, old.new_zeros(added, *old.shape[1:])])
        try:
            bigger.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        return bigger

    def export_module(self) -> nn.Module:
        """The plain network for inference: convolutions with bias, shortcuts and ReLU, the division by 255 folded in.

        Returns:
            A module in evaluation mode, float [N, 1, H, W] of canvas values 0 to 255 to the logits, float [N, classes].
        """
        layers: list[nn.Module] = []
        for block in self.blocks:
            layers += [_deployed(cast(RepConv, block)), nn.ReLU()]
        with torch.no_grad():
            first = cast(nn.Conv2d, layers[0])
            first.weight /= CANVAS_SCALE
        # float64: the fused layer shall differ by rounding of the result alone.
        project = copy.deepcopy(self.project).double().eval()
        norm = copy.deepcopy(self.project_norm).double().eval()
        outputs = nn.Conv2d(self.head.in_features, self.head.out_features, 1)
        outputs.load_state_dict({"weight": self.head.weight[:, :, None, None], "bias": self.head.bias})
        layers += [fuse_conv_bn_eval(project, norm).float(), nn.ReLU(), outputs]
        return nn.Sequential(*layers, nn.Flatten(1)).eval()


def _deployed(block: RepConv) -> nn.Module:
    """The block's layer for inference, with its weights."""
    kernel, bias = block.deployed_weights()
    layer = block.deployed()
    layer.load_state_dict(dict(zip(layer.state_dict(), (kernel.float(), bias.float()), strict=True)))
    return layer


# 256x256 canvas down to 8x8 cells; 0.35 million parameters and 18 million multiply-accumulates once fused.
DEFAULT_STAGES = [[8, 2], [16, 2], [32, 2], [48, 2], [64, 2], [64, 1]]
