"""Three networks unlike the flagship, as another distribution might bring them; canvases of 32 x 64 pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Residual blocks with channel and spatial attention (CBAM): global pooling, sigmoid gates, broadcasting."""

    def __init__(self, channels: int = 8, embedding_size: int = 12) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, 2, 1)
        self.conv = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))
        self.squeeze = nn.Sequential(nn.Conv2d(channels, 4, 1), nn.ReLU(), nn.Conv2d(4, channels, 1))
        nn.init.constant_(self.squeeze[0].bias, 0.5)  # alive: the range of a dead activation cannot be quantised
        self.look = nn.Conv2d(2, 1, 7, 1, 3)
        self.head = nn.Linear(channels, embedding_size)

    def forward(self, canvas: Tensor) -> Tensor:
        x = torch.relu(self.stem(canvas / 255.0))
        y = self.conv(x)
        pooled = self.squeeze(y.mean((2, 3), keepdim=True)) + self.squeeze(y.amax((2, 3), keepdim=True))
        y = y * torch.sigmoid(pooled)
        y = y * torch.sigmoid(self.look(torch.cat([y.mean(1, keepdim=True), y.amax(1, keepdim=True)], 1)))
        embedding: Tensor = self.head(torch.relu(x + y).mean((2, 3)))
        return embedding

    def export_module(self) -> nn.Module:
        return self.eval()


class Swish(nn.Module):
    """Depthwise separable blocks with batch normalisation and swish, and an inverted residual."""

    def __init__(self, channels: int = 8, embedding_size: int = 12) -> None:
        super().__init__()
        wide = 3 * channels
        self.stem = nn.Sequential(nn.Conv2d(1, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.SiLU())
        self.block = nn.Sequential(
            *(nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.SiLU()),
            *(nn.Conv2d(wide, wide, 3, 1, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.SiLU()),
            *(nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels)),
        )
        self.down = nn.Sequential(nn.Conv2d(channels, channels, 5, 2, 2, groups=channels), nn.Hardswish())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, embedding_size))

    def forward(self, canvas: Tensor) -> Tensor:
        x = self.stem(canvas / 255.0)
        embedding: Tensor = self.head(self.down(x + self.block(x)))
        return embedding

    def export_module(self) -> nn.Module:
        return self.eval()


class Generator(nn.Module):
    """Down by strides and up by transposed convolutions: an image [N, 1, H, W] of 0 to 1 instead of an embedding."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, channels, 4, 2, 1), nn.LeakyReLU(0.2))
        wide = 2 * channels
        self.deep = nn.Sequential(nn.Conv2d(channels, wide, 4, 2, 1), nn.InstanceNorm2d(wide), nn.ReLU())
        self.up = nn.Sequential(nn.ConvTranspose2d(2 * channels, channels, 4, 2, 1), nn.ReLU())
        self.out = nn.ConvTranspose2d(2 * channels, 1, 4, 2, 1)

    def forward(self, canvas: Tensor) -> Tensor:
        x = self.down(canvas / 255.0)
        image: Tensor = torch.sigmoid(self.out(torch.cat([x, self.up(self.deep(x))], 1)))
        return image

    def export_module(self) -> nn.Module:
        return self.eval()
