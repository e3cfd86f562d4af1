"""What every verifier of the model folder must keep, whatever it is; other networks have tests of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from sigedge.systems import verifiers
from sigedge.training import load_recipe
from sigedge_models import create, folder, names
from sigedge_runtime.errors import CheckpointError

TOLERANCES = {
    "max_score_difference",
    "p99_score_difference",
    "flipped_decisions",
    "eer_difference",
    "min_effective_rank_ratio",
    "min_variance_ratio",
}


def trained_like(model: nn.Module) -> nn.Module:
    """Give the normalisations statistics as after training: zeros and ones would hide a wrong fusion."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0, 0.2, generator=generator)
    return model.eval()


def canvases(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(count, 1, 128, 256, generator=generator) > 0.9).float() * 255


@pytest.fixture(params=verifiers(), scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str) -> nn.Module:
    torch.manual_seed(0)
    return trained_like(create(name))


def test_there_is_an_architecture() -> None:
    assert "edgesig" in verifiers()


def test_has_a_recipe_that_names_it(name: str) -> None:
    assert load_recipe(folder(name) / "recipe.yaml").architecture == name


def test_has_a_card_with_generated_tables(name: str) -> None:
    assert "<!-- table:" in (folder(name) / "CARD.md").read_text(encoding="utf-8")


def test_has_parity_tolerances_for_every_precision(name: str) -> None:
    tolerances = json.loads((folder(name) / "parity.json").read_text())
    assert set(tolerances) >= {"float32", "float16", "int8"}
    assert all(set(entry) == TOLERANCES for entry in tolerances.values())


def test_embeds_a_batch(model: nn.Module) -> None:
    with torch.inference_mode():
        embeddings = model(canvases(3))
    assert embeddings.ndim == 2
    assert len(embeddings) == 3
    assert torch.isfinite(embeddings).all()


def test_export_module_computes_the_same(model: nn.Module) -> None:
    exported = model.export_module()  # type: ignore[operator]
    with torch.inference_mode():
        expected, got = model(canvases(4)), exported(canvases(4))
    assert torch.allclose(expected, got, atol=1e-4 * float(expected.abs().max()))


def test_export_module_has_no_normalisation_left(model: nn.Module) -> None:
    kinds = {type(module) for module in model.export_module().modules()}  # type: ignore[operator]
    assert nn.BatchNorm2d not in kinds


def test_different_canvases_have_different_embeddings(model: nn.Module) -> None:
    with torch.inference_mode():
        first, second = model(canvases(2))
    assert float((first - second).abs().max()) > 1e-3


def test_edgesig_has_at_most_a_million_parameters() -> None:
    exported = create("edgesig").export_module()  # type: ignore[operator]
    assert sum(parameter.numel() for parameter in exported.parameters()) <= 1_000_000


def test_unknown_names_are_refused_with_the_choice() -> None:
    with pytest.raises(CheckpointError, match=r"no architecture named 'nosuch'.*edgesig"):
        create("nosuch")


def test_unknown_configuration_is_refused() -> None:
    with pytest.raises(CheckpointError, match="does not fit 'edgesig'"):
        create("edgesig", wings=2)


def test_only_folders_with_a_model_are_architectures() -> None:
    assert all((folder(name) / "model.py").is_file() for name in names())
    assert Path(folder("edgesig")).name == "edgesig"
