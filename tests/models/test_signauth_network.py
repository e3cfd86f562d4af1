"""The classifier's network: it grows without moving what it knows, and deploys what it trains."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sigedge_models import create
from sigedge_models.signauth.model import SignAuth
from sigedge_runtime.errors import CheckpointError


@pytest.fixture
def model() -> SignAuth:
    """With statistics as after training: zeros and ones would hide a wrong fusion."""
    torch.manual_seed(0)
    network = create("signauth", classes=3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


def canvases(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(count, 1, 256, 256, generator=generator) > 0.9).float() * 255


def test_deploys_what_it_trains(model: SignAuth) -> None:
    deployed = model.export_module()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in deployed.modules())
    with torch.inference_mode():
        assert torch.allclose(model(canvases(2)), deployed(canvases(2)), atol=1e-5)


def test_deploying_leaves_the_model_as_it_was(model: SignAuth) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.export_module()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_growing_keeps_every_old_output(model: SignAuth) -> None:
    model.class_means.normal_()
    bigger = model.grow(create("signauth", classes=5)).eval()
    with torch.inference_mode():
        old, new = model(canvases(2)), bigger(canvases(2))
    # Equal but for the order in which a wider product is summed up.
    assert torch.allclose(new[:, :3], old, atol=1e-6) and not new[:, 3:].any()
    assert torch.equal(bigger.class_means[:3], model.class_means)


def test_it_does_not_shrink(model: SignAuth) -> None:
    with pytest.raises(ValueError, match="2 classes are fewer than 3"):
        model.grow(create("signauth", classes=2))


def test_it_does_not_grow_into_another_shape(model: SignAuth) -> None:
    with pytest.raises(ValueError, match="size mismatch"):
        model.grow(create("signauth", classes=4, features=32))


@pytest.mark.parametrize("config", [{"classes": 0}, {"network": "judge"}, {"wings": 2}])
def test_an_impossible_configuration_is_refused(config: dict) -> None:
    with pytest.raises(CheckpointError, match="does not fit 'signauth'"):
        create("signauth", **config)


def test_weights_fit_into_four_megabytes() -> None:
    assert sum(tensor.nbytes for tensor in create("signauth").state_dict().values()) < 4e6
