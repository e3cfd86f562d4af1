"""SigNet: the convolutional twin of Dey et al. with its order of layers, scaled down to a phone's size."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

CANVAS_SCALE = 255.0
CHANNELS = (96, 256, 384, 256)
HIDDEN = 1024
"""Widths of the four convolutions and of the first fully connected layer, as the paper has them."""


class LocalResponseNorm(nn.Module):
    """Local response normalisation over channels, y = x / (k + alpha / size * sum of x^2 over `size` channels)^0.75.

    A. Krizhevsky, I. Sutskever and G. Hinton, NeurIPS 2012, section 3.3, with the scaling of alpha by `size` that
    PyTorch and Caffe have, and its exponent of 0.75. PyTorch's own layer exports as a three-dimensional average
    pooling and a power, which TFLite has not, or not in int8. The same value comes of a 1x1 convolution of the squares
    with a band of constants, and of reciprocal square roots: d^-0.75 = (d^-0.5)^2 * ((d^-0.5)^-0.5).

    Args:
        channels: channels of the feature map.
        size: channels that share one norm, odd.
        alpha: weight of the squares.
        k: added to them.
    """

    band: Tensor

    def __init__(self, channels: int, size: int = 5, alpha: float = 1e-4, k: float = 2.0) -> None:
        super().__init__()
        place = torch.arange(channels)
        near = (place[:, None] - place[None, :]).abs() <= size // 2
        self.register_buffer("band", (near * (alpha / size))[:, :, None, None], persistent=False)
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, channels, H, W] to float of the same shape."""
        # ReLU changes nothing here, but keeps converters from making k the bias of the convolution: counted in steps
        # of so small a band, it would leave the 32 bits that integers have for a bias.
        root = torch.rsqrt(functional.relu(functional.conv2d(x * x, self.band)) + self.k)
        return x * (root * root * torch.rsqrt(root))


class SigNet(nn.Module):
    """Embeds a signature canvas; two embeddings are compared by their Euclidean distance at unit length.

    S. Dey, A. Dutta, J. I. Toledo, S. K. Ghosh, J. Lladós and U. Pal, "SigNet: Convolutional Siamese Network for Writer
    Independent Offline Signature Verification", arXiv 1707.02131, table 1: 11x11 and 5x5 convolutions, each with
    local response normalisation and 3x3 max-pooling, dropout, two 3x3 convolutions, max-pooling, dropout, and two fully
    connected layers with dropout between them. ``width=1, stride=1`` has the paper's layers, for its machine.

    What differs: fewer channels, a stride of 4 in the first layer, and no ReLU after the last, with which an embedding
    could be all zero and have no direction.

    Args:
        width: share of the paper's channels, above 0 to 1.
        stride: of the first convolution, 1 in the paper.
        embedding_size: length D of the embedding.
        canvas_height: rows of the canvas.
        canvas_width: columns of the canvas.
    """

    def __init__(
        self,
        width: float = 1 / 3,
        stride: int = 4,
        embedding_size: int = 128,
        canvas_height: int = 128,
        canvas_width: int = 256,
    ) -> None:
        super().__init__()
        if not 0 < width <= 1:
            raise ValueError(f"width is {width}; give a share of the paper's channels, above 0 to 1")
        # Multiples of 8 fill the vector registers that devices compute with.
        first, second, third, fourth, hidden = (8 * max(1, round(width * wide / 8)) for wide in (*CHANNELS, HIDDEN))
        self.features = nn.Sequential(
            nn.Conv2d(1, first, 11, stride, 5),
            nn.ReLU(),
            LocalResponseNorm(first),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(first, second, 5, 1, 2),
            nn.ReLU(),
            LocalResponseNorm(second),
            nn.MaxPool2d(3, 2),
            nn.Dropout(0.3),
            nn.Conv2d(second, third, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(third, fourth, 3, 1, 1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Dropout(0.3),
        )
        field = self.features(torch.zeros(1, 1, canvas_height, canvas_width)).shape[2:]
        # A full-size valid convolution instead of flatten + linear: no layout for a converter to get wrong.
        self.head = nn.Sequential(
            nn.Conv2d(fourth, hidden, tuple(field)),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Conv2d(hidden, embedding_size, 1),
        )
        self.apply(_initialise)

    def forward(self, canvas: Tensor) -> Tensor:
        """Float [N, 1, H, W] of canvas values 0 to 255, to the float embedding [N, D]."""
        return torch.flatten(self.head(self.features(canvas / CANVAS_SCALE)), 1)

    def export_module(self) -> nn.Module:
        """The network itself in evaluation mode: there is nothing in it to fold."""
        return self.eval()

    def deployed_weights(self) -> dict[str, Tensor]:
        """Weights of `export_module` by name: the model's own."""
        return dict(self.named_parameters())


def _initialise(layer: nn.Module) -> None:
    """After Glorot and Bengio with biases of zero, as in section 3.2 of the paper."""
    if isinstance(layer, nn.Conv2d):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(cast(Tensor, layer.bias))
