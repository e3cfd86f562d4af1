"""Quantization-aware training: the deployed network, rounded as an int8 file rounds it, trained as usual."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sigedge.training.similarity import matching_of
from sigedge_runtime.errors import RecipeError

LEVELS = 127
"""Signed and symmetric, as in the QDQ file; a TFLite file has twice as many levels for what ReLU returns."""

_SMALLEST_RANGE = 1e-8
_QUANTISED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@runtime_checkable
class Deployable(Protocol):
    """What an architecture offers whose deployed layers are made from others, by folding or fusing."""

    def export_module(self) -> nn.Module:
        """The graph that is deployed."""

    def deployed_weights(self) -> dict[str, Tensor]:
        """Weights of `export_module` by name, as differentiable functions of the model's own parameters."""


class QuantisedDeployment(nn.Module):
    """The deployed graph of a model with fake quantization; its gradients reach the model's own parameters.

    What is rounded is what an int8 file rounds: the folded kernel of each convolution or linear layer, per output
    channel and symmetrically, and each such layer's input and the embedding, per tensor. Rounding passes gradients
    straight through, and none where a value is clipped (B. Jacob et al., CVPR 2018, section 3; R. Krishnamoorthi,
    "Quantizing deep convolutional networks for efficient inference", arXiv 1806.08342, section 3.2). Ranges of
    activations are moving averages of the batches' extremes; batch normalisation is folded with its evaluation
    statistics from the first step on, which fine-tuning can afford.

    Args:
        model: offers `Deployable`, or an `export_module` that returns the model itself.
        decay: of the moving average of the ranges, 0 to below 1.

    Raises:
        RecipeError: the architecture offers neither.
    """

    ranges: Tensor

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.model, self._decay = model, decay
        self.matching = matching_of(model)
        deployed = copy.deepcopy(_deployed_graph(model)).eval()
        layers = [(name, layer) for name, layer in deployed.named_modules() if isinstance(layer, _QUANTISED)]
        # The last entry is the embedding's.
        self.register_buffer("ranges", torch.zeros(len(layers) + 1))
        for place, (name, layer) in enumerate(layers):
            _reader(deployed, name, layer).register_forward_pre_hook(partial(self._quantise_input, place))
        self._axes = {f"{name}.weight": int(isinstance(layer, nn.ConvTranspose2d)) for name, layer in layers}
        # In a tuple, so that it is no submodule: its own weights are never used, and belong in no checkpoint.
        self._deployed = (deployed,)

    def start_ranges(self, canvases: Tensor) -> None:
        """Set the ranges to the extremes over canvases, float [N, 1, H, W] of 0 to 255."""
        decay, self._decay = self._decay, 0.0
        with torch.no_grad():
            self.train()(canvases)
        self._decay = decay

    def forward(self, canvas: Tensor) -> Tensor:
        """Float [N, 1, H, W] of canvas values 0 to 255, to the float embedding [N, D]; training moves the ranges."""
        weights = {
            name: quantise_kernel(weight, self._axes[name]) if name in self._axes else weight
            for name, weight in _weights(self.model).items()
        }
        deployed = self._deployed[0].to(canvas.device)
        return self._quantise(-1, functional_call(deployed, weights, (canvas,)))

    def _quantise_input(self, place: int, layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._quantise(place, inputs[0]), *inputs[1:])

    def _quantise(self, place: int, values: Tensor) -> Tensor:
        if self.training:
            self.ranges[place] = torch.lerp(values.detach().abs().amax(), self.ranges[place], self._decay)
        scale = self.ranges[place].clamp_min(_SMALLEST_RANGE) / LEVELS
        zero = torch.zeros((), dtype=torch.int32, device=values.device)
        return torch.fake_quantize_per_tensor_affine(values, scale, zero, -LEVELS, LEVELS)


def quantise_kernel(kernel: Tensor, axis: int) -> Tensor:
    """A float kernel rounded to 2 x 127 + 1 levels for each channel along `axis`, with gradients passed through."""
    others = [dimension for dimension in range(kernel.ndim) if dimension != axis]
    scale = kernel.detach().abs().amax(dim=others).clamp_min(_SMALLEST_RANGE) / LEVELS
    zeros = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(kernel, scale, zeros, axis, -LEVELS, LEVELS)


def _reader(deployed: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """Who reads what a layer reads: the layer, or a wrapper of it alone, such as a shortcut, which passes it on too."""
    parent = deployed.get_submodule(name.rpartition(".")[0])
    wraps = parent is not deployed and not isinstance(parent, nn.Sequential) and list(parent.children()) == [layer]
    return parent if wraps else layer


def _deployed_graph(model: nn.Module) -> nn.Module:
    graph = cast(Deployable, model).export_module()
    if graph is not model and not isinstance(model, Deployable):
        raise RecipeError(
            f"{type(model).__name__} cannot be trained with quantization, because its deployed weights cannot be "
            "differentiated; give it a method deployed_weights, or train without."
        )
    return graph


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return model.deployed_weights() if isinstance(model, Deployable) else dict(model.named_parameters())
