"""The networks of cgan: shapes, values, and the plain graph that is exported."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sigedge_models import create
from sigedge_models.cgan import Discriminator
from sigedge_runtime.errors import CheckpointError

SMALL = {"canvas_height": 16, "canvas_width": 32}
CONFIGS = {
    "generator": {"classes": 3, "noise_rows": 2, "latent_width": 4, "features": 8, "channels": [8, 4], **SMALL},
    "judge": {"classes": 3, "stages": [[4, 2], [4, 1], [8, 2]], "features": 8, "dropout": 0.6, **SMALL},
    "classifier": {"classes": 3, "stages": [[4, 2], [8, 4]], "features": 8, **SMALL},
}


def trained_like(model: nn.Module) -> nn.Module:
    """Give the normalisations statistics as after training: zeros and ones would hide a wrong fusion."""
    random = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.2, generator=random)
            module.running_var.uniform_(0.5, 1.5, generator=random)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=random)
            nn.init.normal_(module.bias, 0, 0.2, generator=random)
    return model.eval()


def inputs(name: str, count: int = 3) -> torch.Tensor:
    shape = (3, 4) if name == "generator" else (16, 32)
    return torch.randint(0, 256, (count, 1, *shape), generator=torch.Generator().manual_seed(1)).float()


@pytest.fixture(params=sorted(CONFIGS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(name: str) -> nn.Module:
    torch.manual_seed(0)
    return trained_like(create("cgan", network=name, **CONFIGS[name]))


def test_gives_rows_of_numbers(name: str, model: nn.Module) -> None:
    width = {"generator": 16 * 32, "judge": 6, "classifier": 3}[name]
    assert model(inputs(name)).shape == (3, width)


def test_different_inputs_have_different_outputs(name: str, model: nn.Module) -> None:
    first, second = model(inputs(name, 2))
    assert float((first - second).detach().abs().max()) > 1e-3


def test_export_module_computes_the_same_without_normalisation(name: str, model: nn.Module) -> None:
    model.train()
    exported = model.export_module()  # type: ignore[operator]
    assert model.training
    assert not any(isinstance(module, nn.BatchNorm2d | nn.Dropout) for module in exported.modules())
    expected = model.eval()(inputs(name))
    assert torch.allclose(expected, exported(inputs(name)), atol=1e-4 * float(expected.detach().abs().max()))


def test_generator_draws_grey_levels_that_start_as_paper() -> None:
    generator = create("cgan", network="generator", **CONFIGS["generator"])
    drawn = generator(inputs("generator", 16)).detach()
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) <= 255
    assert 0 < float(drawn.mean()) < 0.25 * 255


def test_dropout_of_the_judge_works_in_training_alone(name: str, model: nn.Module) -> None:
    model.train()
    if name == "judge":
        assert not torch.equal(model(inputs(name)), model(inputs(name)))
    model.eval()
    assert torch.equal(model(inputs(name)), model(inputs(name)))


def test_the_judges_class_is_the_signer_by_softmax_and_the_kind_by_sigmoid() -> None:
    judge = trained_like(create("cgan", network="judge", **CONFIGS["judge"]))
    with torch.inference_mode():
        found = judge(inputs("judge")).softmax(1)
        scores = judge.scores(inputs("judge"))  # type: ignore[operator]
    signers, genuine = scores[:, :3].softmax(1), scores[:, 3:].sigmoid()
    assert torch.allclose(found[:, :3], signers * genuine, atol=1e-6)
    assert torch.allclose(found[:, 3:], signers * (1 - genuine), atol=1e-6)


def test_discriminator_judges_each_pack_as_the_signer_said() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(classes=3, pack=2, channels=(4, 8), **SMALL).eval()
    packs = torch.rand(1, 2, 16, 32).expand(3, -1, -1, -1)
    judged = discriminator(packs, torch.tensor([0, 1, 2]))
    assert judged.shape == (3,)
    assert len(set(judged.tolist())) == 3


@pytest.mark.parametrize(
    "config",
    [
        {"network": "painter"},
        {"network": "generator", "canvas_height": 60},
        {"network": "generator", "classes": 17},
        {"network": "judge", "canvas_width": 100},
        {"network": "classifier", "wings": 2},
    ],
)
def test_refuses_what_does_not_fit(config: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="does not fit 'cgan'"):
        create("cgan", **config)
