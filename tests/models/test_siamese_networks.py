"""SigNet and the Siamese ResNet: the layers their sources name, in a form that every format takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sigedge_models import create, load_checkpoint
from sigedge_models.siamese_resnet.model import SiameseResNet, SpatialAttention
from sigedge_models.signet.model import LocalResponseNorm, SigNet
from sigedge_runtime.errors import CheckpointError


class TestLocalResponseNorm:
    @given(st.integers(1, 12), st.floats(0.1, 300), st.sampled_from([3, 5]))
    def test_is_that_of_pytorch(self, channels: int, largest: float, size: int) -> None:
        x = torch.rand(2, channels, 3, 4, generator=torch.Generator().manual_seed(channels)) * largest
        expected = nn.LocalResponseNorm(size, alpha=1e-4, beta=0.75, k=2.0)(x)
        assert torch.allclose(LocalResponseNorm(channels, size)(x), expected, rtol=1e-4, atol=1e-6)

    def test_has_nothing_to_train_and_nothing_to_store(self) -> None:
        norm = LocalResponseNorm(8)
        assert not list(norm.parameters()) and not norm.state_dict()


class TestSigNet:
    def test_has_the_layers_of_the_paper_in_its_order(self) -> None:
        names = [type(layer).__name__ for layer in create("signet").modules()][2:]
        assert names == [
            *("Conv2d", "ReLU", "LocalResponseNorm", "MaxPool2d"),
            *("Conv2d", "ReLU", "LocalResponseNorm", "MaxPool2d", "Dropout"),
            *("Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Dropout"),
            *("Sequential", "Conv2d", "ReLU", "Dropout", "Conv2d"),
        ]

    def test_full_width_is_the_papers(self) -> None:
        # At 155x220, with a stride of 4, which the paper's memory needs not and a test's does.
        model = SigNet(width=1, stride=4, canvas_height=155, canvas_width=220)
        layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
        assert [layer.out_channels for layer in layers] == [96, 256, 384, 256, 1024, 128]
        assert [layer.kernel_size[0] for layer in layers[:4]] == [11, 5, 3, 3]
        assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.3, 0.3, 0.5]

    def test_the_weights_fit_the_repository(self) -> None:
        assert sum(parameter.numel() for parameter in create("signet").parameters()) <= 1_000_000

    def test_starts_after_glorot_with_biases_of_zero(self) -> None:
        first = create("signet").features[0]  # type: ignore[index]
        assert not first.bias.any()
        limit = (6 / (121 * (1 + first.out_channels))) ** 0.5
        assert 0.9 * limit < float(first.weight.abs().max()) <= limit

    @pytest.mark.parametrize("config", [{"width": 0}, {"width": 1.5}, {"canvas_height": 16}])
    def test_a_size_that_cannot_be_is_refused(self, config: dict[str, float]) -> None:
        with pytest.raises(CheckpointError, match="does not fit 'signet'"):
            create("signet", **config)


class TestSpatialAttention:
    def test_weights_places_and_not_channels(self) -> None:
        torch.manual_seed(0)
        x = torch.rand(2, 5, 8, 9) + 0.1
        weights = SpatialAttention()(x) / x
        assert torch.allclose(weights, weights[:, :1].expand_as(weights), rtol=1e-4)
        assert bool((weights > 0).all()) and bool((weights < 1).all())
        assert float(weights.std()) > 0


class TestSiameseResNet:
    def test_is_residual_with_attention_after_each_stage(self) -> None:
        names = [type(layer).__name__ for layer in create("siamese_resnet").backbone]  # type: ignore[arg-type,union-attr]
        assert names == ["ConvNorm", "ReLU", "MaxPool2d", *(["BasicBlock"] * 2 + ["SpatialAttention"]) * 4, "AvgPool2d"]

    def test_the_weights_fit_the_repository(self) -> None:
        assert sum(parameter.numel() for parameter in create("siamese_resnet").parameters()) <= 1_500_000

    def test_other_sizes_embed(self) -> None:
        model = SiameseResNet([8, 16], blocks=1, embedding_size=6, canvas_height=32, canvas_width=64).eval()
        with torch.inference_mode():
            assert model(torch.rand(2, 1, 32, 64) * 255).shape == (2, 6)

    def test_folded_weights_can_be_trained_through(self) -> None:
        model = SiameseResNet([8, 16], blocks=1, embedding_size=6, canvas_height=32, canvas_width=64).eval()
        sum(weight.square().sum() for weight in model.deployed_weights().values()).backward()  # type: ignore[union-attr]
        assert all(parameter.grad is not None for parameter in model.parameters())

    @pytest.mark.parametrize("config", [{"canvas_height": 32}, {"channels": [16, 20]}, {"channels": [0]}])
    def test_a_size_that_cannot_be_is_refused(self, config: dict[str, Any]) -> None:
        with pytest.raises(CheckpointError, match="does not fit 'siamese_resnet'"):
            create("siamese_resnet", **config)


@pytest.mark.parametrize("name", ["signet", "siamese_resnet"])
def test_committed_weights_load_and_are_small(name: str, repository: Path) -> None:
    path = repository / "models" / "weights" / f"{name}.safetensors"
    assert path.stat().st_size <= 4_000_000
    _, info = load_checkpoint(path)
    assert (info.architecture, info.task) == (name, "verification")
    data = info.training["data"]
    assert {"cedar-half", "bhsig260-hindi"} <= set(data) and data["cedar-half"]["test_fold"] == 0
