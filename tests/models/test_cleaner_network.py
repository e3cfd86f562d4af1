"""The cleaner's network: what it may do to an image, whatever its weights are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sigedge_models import create
from sigedge_runtime.errors import CheckpointError


@pytest.fixture(scope="module")
def cleaner() -> nn.Module:
    torch.manual_seed(3)
    network = create("cleaner", network="generator", width=8, blocks=2)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.1)
    return network.eval()


def regions(count: int, height: int = 128, width: int = 256) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 1, height, width), generator=generator).float()


def test_gives_an_image_in_rows(cleaner: nn.Module) -> None:
    with torch.inference_mode():
        assert cleaner(regions(3)).shape == (3, 128 * 256)


def test_never_adds_ink(cleaner: nn.Module) -> None:
    dirty = regions(4)
    with torch.inference_mode():
        cleaned = cleaner(dirty)
    assert bool((cleaned >= dirty.flatten(1) - 1e-3).all())
    assert float(cleaned.max()) <= 255.0
    assert float((cleaned - dirty.flatten(1)).max()) > 1


def test_white_stays_white(cleaner: nn.Module) -> None:
    with torch.inference_mode():
        assert bool((cleaner(torch.full((1, 1, 128, 256), 255.0)) == 255.0).all())


def test_export_module_computes_the_same(cleaner: nn.Module) -> None:
    dirty = regions(2)
    with torch.inference_mode():
        assert torch.equal(cleaner(dirty), cleaner.export_module()(dirty))  # type: ignore[operator]


def test_an_image_does_not_depend_on_the_others_of_its_batch(cleaner: nn.Module) -> None:
    dirty = regions(3)
    with torch.inference_mode():
        assert torch.allclose(cleaner(dirty)[1:2], cleaner(dirty[1:2]), atol=1e-3)


def test_reads_regions_of_other_sizes(cleaner: nn.Module) -> None:
    with torch.inference_mode():
        assert cleaner(regions(1, 64, 96)).shape == (1, 64 * 96)


@pytest.mark.parametrize("config", [{"network": "painter"}, {"canvas_width": 250}, {"wings": 2}])
def test_refuses_what_it_cannot_be(config: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="does not fit 'cleaner'"):
        create("cleaner", **config)
