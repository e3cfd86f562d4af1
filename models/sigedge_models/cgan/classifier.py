"""Classifiers of signature canvases: whose signature it is and, as a judge, whether a hand wrote it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sigedge_models.cgan.generator import FULL


class Classifier(nn.Module):
    """A deep plain convolutional network that says whose signature a canvas shows.

    Args:
        classes: signers.
        stages: (channels, stride) of every 3x3 convolution in turn.
        features: numbers between the last image and the scores.
        dropout: share of those dropped while training.
        canvas_height: rows of the canvas, divisible by the product of all strides.
        canvas_width: columns of the canvas, likewise.
    """

    def __init__(
        self,
        classes: int = 10,
        stages: Sequence[Sequence[int]] = ((16, 2), (32, 2), (64, 2), (64, 1), (96, 2)),
        features: int = 128,
        dropout: float = 0.3,
        canvas_height: int = 64,
        canvas_width: int = 128,
    ) -> None:
        super().__init__()
        convs: list[nn.Module] = []
        channels, shrink = 1, 1
        for width, stride in stages:
            convs.append(nn.Conv2d(channels, width, 3, stride, 1, bias=False))
            channels, shrink = width, shrink * stride
        if canvas_height % shrink or canvas_width % shrink:
            raise ValueError(f"a canvas of {canvas_height}x{canvas_width} cannot be divided by {shrink}")
        # A full-size valid convolution instead of flatten + linear: no layout for a converter to get wrong.
        convs.append(nn.Conv2d(channels, features, (canvas_height // shrink, canvas_width // shrink), bias=False))
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(cast(nn.Conv2d, conv).out_channels) for conv in convs)
        self.dropout = nn.Dropout(dropout)
        self.decide = nn.Conv2d(features, classes, 1)

    def forward(self, canvas: Tensor) -> Tensor:
        """Float [N, 1, H, W] of canvas values 0 to 255 to the scores of the signers before softmax, float [N, D]."""
        return self.scores(canvas)

    def scores(self, canvas: Tensor) -> Tensor:
        """What is trained: float [N, 1, H, W] of canvas values 0 to 255 to a score for each output, float [N, D]."""
        x = canvas / FULL
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = torch.relu(norm(conv(x)))
        return torch.flatten(self.decide(self.dropout(x)), 1)

    def export_module(self) -> nn.Module:
        """The plain network for inference: convolutions with bias and ReLU, the division by 255 folded in."""
        evaluated = copy.deepcopy(self).eval()
        plain: list[nn.Module] = []
        for conv, norm in zip(evaluated.convs, evaluated.norms, strict=True):
            plain += [fuse_conv_bn_eval(cast(nn.Conv2d, conv), cast(nn.BatchNorm2d, norm)), nn.ReLU()]
        with torch.no_grad():
            cast(nn.Conv2d, plain[0]).weight.div_(FULL)
        return nn.Sequential(*plain, evaluated.deployed_decision(), nn.Flatten(1)).eval()

    def deployed_decision(self) -> nn.Conv2d:
        """The last layer of the plain network."""
        return self.decide


class Judge(Classifier):
    """A classifier that says of every signer's signature, too, whether a hand wrote it or a generator drew it.

    It is trained with an output for each signer and a last one for *genuine*, each with a sigmoid of its own. What it
    returns are as many classes as there are answers: the D signers' genuine signatures, then the D signers' generated
    ones. Softmax over these is the softmax over the signers times the sigmoid of *genuine*, so that its class is both
    answers in one.

    Args:
        classes: signers D.
        config: further arguments of `Classifier`.
    """

    def __init__(self, classes: int = 10, **config: Any) -> None:
        super().__init__(classes + 1, **config)
        signers = torch.eye(classes, classes + 1).repeat(2, 1)
        signers[:classes, -1], signers[classes:, -1] = 0.5, -0.5
        self.register_buffer("answers", signers, persistent=False)

    def forward(self, canvas: Tensor) -> Tensor:
        """Float [N, 1, H, W] of canvas values 0 to 255 to the scores of all answers before softmax, float [N, 2 D]."""
        return self.scores(canvas) @ cast(Tensor, self.answers).T

    def deployed_decision(self) -> nn.Conv2d:
        """The last layer of the plain network, which gives the scores of all answers at once."""
        answers = cast(Tensor, self.answers)
        layer = nn.Conv2d(self.decide.in_channels, len(answers), 1)
        with torch.no_grad():
            layer.weight.copy_(torch.einsum("ao,ofhw->afhw", answers, self.decide.weight))
            cast(Tensor, layer.bias).copy_(answers @ cast(Tensor, self.decide.bias))
        return layer
