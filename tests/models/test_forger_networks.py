"""The networks of the forger: shapes, what folding keeps, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sigedge_models import create
from sigedge_models.forger import GENERATORS, PatchDiscriminator
from sigedge_models.forger.detector import Detector
from sigedge_models.forger.generator import Generator
from sigedge_runtime.errors import CheckpointError

SMALL = {"channels": [4, 6, 8], "mask_channels": 3, "height": 16, "width": 32}


def used(network: str) -> Generator:
    """A small generator whose norms have seen something."""
    torch.manual_seed(1)
    generator = create("forger", network=network, **SMALL)
    assert isinstance(generator, Generator)
    for _ in range(5):
        generator(canvases())
    return generator.eval()


def canvases(count: int = 2) -> Tensor:
    return torch.randint(0, 256, (count, 1, 32, 32)).float()


@pytest.mark.parametrize("network", GENERATORS)
def test_draws_rows_of_grey_levels(network: str) -> None:
    drawn = used(network)(canvases())
    assert drawn.shape == (2, 16 * 32)
    assert drawn.min() >= 0 and drawn.max() <= 255


@pytest.mark.parametrize("network", GENERATORS)
def test_folding_keeps_what_is_drawn(network: str) -> None:
    generator, canvas = used(network), canvases()
    deployed = generator.export_module()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in deployed.modules())
    assert torch.allclose(deployed(canvas), generator(canvas), atol=1e-2)
    assert any(isinstance(module, nn.BatchNorm2d) for module in generator.modules())


def test_reads_lines_above_and_mask_below() -> None:
    generator, canvas = used("generator"), canvases(1)
    lines, mask = canvas[:, :, :16], canvas[:, :, 16:]
    assert torch.equal(generator(canvas), torch.flatten((generator.draw(lines, mask) + 1) * 127.5, 1))
    for half in (slice(None, 16), slice(16, None)):
        changed = canvas.clone()
        changed[:, :, half] = 255 - changed[:, :, half]
        assert not torch.allclose(generator(changed), generator(canvas), atol=1e-3)


def test_one_picture_does_not_change_another_once_norms_are_frozen() -> None:
    generator, canvas = used("generator").train(), canvases()
    together = generator(canvas)
    assert not torch.allclose(together[:1], generator(canvas[:1]), atol=1e-3)
    generator.freeze_norms()
    assert torch.allclose(generator(canvas)[:1], generator(canvas[:1]), atol=1e-3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"network": "painter"}, "painter"),
        ({"network": "generator", **SMALL, "height": 18}, "halved 2 times"),
        ({"network": "generator", "colour": True}, "colour"),
    ],
)
def test_refuses_what_cannot_be_built(config: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        create("forger", **config)


def test_judges_patches_and_learns_to_tell_them() -> None:
    torch.manual_seed(2)
    discriminator = PatchDiscriminator([4, 6])
    lines, mask = torch.rand(1, 1, 64, 128), torch.rand(1, 1, 64, 128)
    sharp = torch.rand(1, 1, 64, 128).round() * 2 - 1
    blurred = functional.avg_pool2d(sharp, 3, 1, 1)
    optimiser = torch.optim.Adam(discriminator.parameters(), 0.01)
    for _ in range(40):
        real, drawn = discriminator(lines, mask, sharp), discriminator(lines, mask, blurred)
        optimiser.zero_grad()
        (functional.relu(1 - real).mean() + functional.relu(1 + drawn).mean()).backward()
        optimiser.step()
    assert real.shape == (1, 1, 14, 30)
    assert (real > 0).float().mean() > 0.9 and (drawn < 0).float().mean() > 0.9


def test_detector_folds_its_standardisation() -> None:
    torch.manual_seed(3)
    detector = Detector(8, 12)
    spectra = 100 + 30 * torch.randn(20, 1, 8, 12)
    spectra[:, :, 0, 0] = 7.0  # a frequency that never moves
    detector.standardise(spectra)
    assert torch.allclose(detector.mean, spectra.mean(0, keepdim=True))
    assert float(detector.deviation.min()) == 1.0
    deployed = detector.export_module()
    assert len([module for module in deployed.modules() if isinstance(module, nn.Conv2d)]) == 1
    assert deployed(spectra).shape == (20, 2)
    assert torch.allclose(deployed(spectra), detector(spectra), atol=1e-3)
