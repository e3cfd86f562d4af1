"""A classifier and an image network, as another distribution might bring them; canvases of 32 x 64 pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Classifier(nn.Module):
    """Says which third of a canvas holds most ink."""

    def __init__(self, network: str = "classifier") -> None:
        super().__init__()
        self.look = nn.Conv2d(1, 4, 3, 2, 1)
        self.head = nn.Linear(4 * 3, 3)
        with torch.no_grad():
            self.look.weight.fill_(0.1)
            self.look.bias.zero_()
            self.head.weight.copy_(torch.kron(torch.eye(3) * 4, torch.ones(1, 4)))
            self.head.bias.zero_()

    def forward(self, canvas: Tensor) -> Tensor:
        x = torch.relu(self.look(canvas / 255.0))[..., :30]
        pooled = torch.stack([part.mean((2, 3)) for part in x.split(10, dim=3)], dim=1)
        logits: Tensor = self.head(pooled.flatten(1))
        return logits

    def export_module(self) -> nn.Module:
        return self.eval()


class Softener(nn.Module):
    """Blurs a canvas: an image in rows."""

    def __init__(self, network: str = "softener") -> None:
        super().__init__()
        self.blur = nn.Conv2d(1, 1, 5, 1, 2, bias=False)
        nn.init.constant_(self.blur.weight, 1 / 25)

    def forward(self, canvas: Tensor) -> Tensor:
        image: Tensor = self.blur(canvas).flatten(1)
        return image

    def export_module(self) -> nn.Module:
        return self.eval()


def Model(network: str) -> nn.Module:
    """The network of that name."""
    return Classifier() if network == "classifier" else Softener()
