"""The flagship with either head: what it embeds, how that is to be compared, and the graph that is deployed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sigedge_models import create
from sigedge_models.edgesig.model import DEFAULT_SIZE, DEFAULT_STAGES, DEMAND_UNIT, EdgeSig
from sigedge_runtime.errors import CheckpointError
from sigedge_runtime.matching import LocalMatching

HEADS = ["local", "global"]
# Two halvings of 16x32 canvases: 4x8 cells.
SMALL: dict[str, Any] = {"stages": [[4, 2], [6, 2], [6, 1]], "canvas_height": 16, "canvas_width": 32}


def canvases(count: int, height: int = 16, width: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(count, 1, height, width, generator=generator) > 0.8).float() * 255


def make_small(**config: Any) -> EdgeSig:
    """A network with statistics as after training: zeros and ones would hide a wrong fusion."""
    torch.manual_seed(3)
    model = create("edgesig", embedding_size=5, **SMALL, **config)
    assert isinstance(model, EdgeSig)
    with torch.no_grad():
        for _ in range(3):
            model.train()(torch.rand(8, 1, 16, 32) * 255)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
    return model.eval()


def test_the_default_compares_eight_by_sixteen_cells() -> None:
    model = create("edgesig").eval()
    assert model.matching == LocalMatching(8, 16, 1, 2, DEMAND_UNIT)
    with torch.inference_mode():
        assert model(canvases(2, 128, 256)).shape == (2, 8 * 16 * 17)


def test_it_need_not_demand_anything() -> None:
    model = create("edgesig", demanding=False).eval()
    assert model.matching == LocalMatching(8, 16, 1, 2)
    with torch.inference_mode():
        assert model(canvases(2, 128, 256)).shape == (2, 8 * 16 * 16)


def test_the_other_head_sums_the_canvas_up() -> None:
    model = create("edgesig", head="global").eval()
    assert model.matching is None and model.project.kernel_size == (4, 8)  # type: ignore[union-attr]
    with torch.inference_mode():
        assert model(canvases(2, 128, 256)).shape == (2, 128)


@pytest.mark.parametrize("head", HEADS)
def test_either_head_has_at_most_a_million_parameters(head: str) -> None:
    model = create("edgesig", head=head)
    deployed = model.export_module()  # type: ignore[operator]
    assert all(sum(one.numel() for one in network.parameters()) <= 1_000_000 for network in (model, deployed))
    assert set(DEFAULT_STAGES) == set(DEFAULT_SIZE) == set(HEADS)


@pytest.mark.parametrize("head", HEADS)
def test_the_deployed_graph_computes_the_same(head: str) -> None:
    small = make_small(head=head)
    deployed = small.export_module()
    with torch.inference_mode():
        expected, found = small(canvases(4)), deployed(canvases(4))
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))
    assert not any(isinstance(module, nn.BatchNorm2d | nn.Dropout) for module in deployed.modules())


def test_branches_start_without_effect_and_are_folded_into_the_kernels() -> None:
    plain, branched = make_small(), make_small(branches=True)
    missing, unknown = branched.load_state_dict(plain.state_dict(), strict=False)
    assert not unknown and all(".point." in name for name in missing)
    with torch.inference_mode():
        assert torch.allclose(branched(canvases(3)), plain(canvases(3)))
        for block in branched.blocks:
            nn.init.normal_(block.point.weight, 0, 0.3)  # type: ignore[union-attr,arg-type]
        expected, found = branched(canvases(3)), branched.export_module()(canvases(3))
    assert not torch.allclose(expected, plain(canvases(3)))
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))


def test_a_vector_for_each_cell_row_by_row() -> None:
    model = make_small()
    assert model.matching == LocalMatching(4, 8, 1, 2, DEMAND_UNIT)
    with torch.inference_mode():
        x = canvases(3) / 255
        for block in model.blocks:
            x = block(x)
        field, embedded = model.cells(x), model(canvases(3)).reshape(3, model.matching.cells, 6)
    for row in range(4):
        for column in range(8):
            assert torch.allclose(embedded[:, 8 * row + column], field[:, :, row, column])


@pytest.mark.parametrize("corner", [(0, 0), (0, 31), (15, 0), (15, 31)])
def test_a_stroke_changes_the_cells_it_is_near(corner: tuple[int, int]) -> None:
    model = make_small()
    canvas = torch.zeros(1, 1, 16, 32)
    stroke = canvas.clone()
    stroke[0, 0, corner[0], corner[1]] = 255
    with torch.inference_mode():
        changed = (model(canvas) - model(stroke)).reshape(4, 8, 6).abs().amax(dim=2) > 0
    rows, columns = torch.nonzero(changed, as_tuple=True)
    row, column = corner[0] // 4, corner[1] // 4
    assert bool(changed[row, column])
    assert int((rows - row).abs().max()) <= 2 and int((columns - column).abs().max()) <= 2


def test_the_reach_is_a_setting() -> None:
    # A recipe and a checkpoint's header hold lists.
    assert create("edgesig", reach=[0, 3]).matching == LocalMatching(8, 16, 0, 3, DEMAND_UNIT)


def test_dropout_is_for_training() -> None:
    for head in HEADS:
        model = make_small(head=head, dropout=0.5)
        with torch.inference_mode():
            assert torch.equal(model(canvases(2)), model(canvases(2)))
            model.dropout.train()
            assert not torch.equal(model(canvases(2)), model(canvases(2)))


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"head": "nosuch"}, "head 'nosuch' is none of local, global"),
        ({"head": None}, "head None is none of"),
        ({"reach": [1]}, "missing .*reach_columns"),
        ({"reach": [-1, 2]}, "a reach must be at least 0"),
        ({"canvas_height": 8}, "rows and columns must be at least 1"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(config: dict[str, Any], word: str) -> None:
    with pytest.raises(CheckpointError, match=rf"does not fit 'edgesig': .*{word}"):
        create("edgesig", **config)
