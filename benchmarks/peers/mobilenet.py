"""MobileNetV3-Small without its classifier on sigedge's canvas: what a small general-purpose network costs.

A. Howard et al., "Searching for MobileNetV3", ICCV 2019, table 2: inverted residuals with squeeze-and-excite and hard
swish, one grey channel in, 576 features out. Weights are random: time does not depend on them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sigedge.bench.contestants import PEER, Contestant
from sigedge.bench.pipeline import Pipeline

sys.path.insert(0, str(Path(__file__).resolve().parent))
import _networks as networks

# kernel, expanded channels, channels out, squeeze-and-excite, hard swish, stride
BLOCKS = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


def contestants() -> list[Contestant]:
    """In PyTorch and on ONNX Runtime."""
    return [
        Contestant(
            f"MobileNetV3-Small, {engine}",
            PEER,
            __file__,
            {"engine": engine},
            facts={"artifact": "MobileNetV3-Small", "engine": engine, "precision": "float32", "weights": "random"},
        )
        for engine in (networks.EAGER, networks.ONNX)
    ]


def import_libraries(engine: str) -> None:
    """What its engine needs."""
    networks.import_libraries(engine)


def open_runner(engine: str) -> Pipeline:
    """sigedge's canvas and random weights."""
    from sigedge_runtime.preprocessing import PreprocessSpec

    spec = PreprocessSpec()
    shape = (1, 1, spec.canvas_height, spec.canvas_width)
    return Pipeline(networks.canvas_of_sigedge, networks.network(mobilenet_v3_small, engine, shape, "mobilenet"))


def mobilenet_v3_small() -> Any:
    """The network up to the average over the field, float [N, 1, H, W] of 0 to 255 to [N, 576]."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[nn.Module] = [*_convolution(1, 16, 3, 2, nn.Hardswish())]
    before = 16
    for kernel, wide, after, squeeze, swish, stride in BLOCKS:
        layers.append(
            _inverted_residual(before, wide, after, kernel, stride, squeeze, nn.Hardswish if swish else nn.ReLU)
        )
        before = after
    layers += [*_convolution(before, 576, 1, 1, nn.Hardswish()), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers)


def _convolution(before: int, after: int, size: int, stride: int, activation: Any = None, groups: int = 1) -> list[Any]:
    from torch import nn

    layer = nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(after), *([activation] if activation else [])]


def _inverted_residual(
    before: int, wide: int, after: int, kernel: int, stride: int, squeeze: bool, activation: Any
) -> Any:
    from torch import nn

    layers = [] if wide == before else _convolution(before, wide, 1, 1, activation())
    layers += _convolution(wide, wide, kernel, stride, activation(), groups=wide)
    layers += [_residual(_squeeze_and_excite(wide), times=True)] if squeeze else []
    block = nn.Sequential(*layers, *_convolution(wide, after, 1, 1))
    return _residual(block) if stride == 1 and before == after else block


def _squeeze_and_excite(channels: int) -> Any:
    from torch import nn

    narrow = max(8, (channels // 4 + 4) // 8 * 8)
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(channels, narrow, 1),
        nn.ReLU(),
        nn.Conv2d(narrow, channels, 1),
        nn.Hardsigmoid(),
    )


def _residual(module: Any, times: bool = False) -> Any:
    """A layer that adds, or multiplies, its input to what a module makes of it."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: Any) -> Any:
            return x * self.inner(x) if times else x + self.inner(x)

    return Residual()
