"""Checkpoints: what goes in comes out, and nothing damaged is loaded."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sigedge_models import CheckpointInfo, create, load_checkpoint, load_weights, save_checkpoint
from sigedge_runtime.errors import CheckpointError

CONFIG = {"stages": [[4, 4], [4, 4], [8, 2]], "embedding_size": 6}
INFO = CheckpointInfo(
    architecture="edgesig",
    config=CONFIG,
    name="tiny",
    version="1",
    preprocess={"version": 1},
    decision={"fusion": "mean"},
    training={"data": "none"},
    licence="Apache-2.0",
    seed=3,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return save_checkpoint(tmp_path / "tiny.safetensors", create("edgesig", **CONFIG), INFO)


def test_round_trip(checkpoint: Path) -> None:
    model, info = load_checkpoint(checkpoint)
    assert info == INFO
    assert not model.training
    again, _ = load_checkpoint(checkpoint)
    canvas = torch.rand(1, 1, 128, 256) * 255
    with torch.inference_mode():
        assert torch.equal(model(canvas), again(canvas))


def test_same_weights_give_the_same_bytes(checkpoint: Path, tmp_path: Path) -> None:
    model, info = load_checkpoint(checkpoint)
    assert save_checkpoint(tmp_path / "again.safetensors", model, info).read_bytes() == checkpoint.read_bytes()


def test_leaves_no_temporary_file(checkpoint: Path) -> None:
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_is_as_readable_as_any_new_file(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    assert checkpoint.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, bad: float) -> None:
    model = create("edgesig", **CONFIG)
    next(model.parameters()).data.flatten()[0] = bad
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        save_checkpoint(tmp_path / "bad.safetensors", model, INFO)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_not_loaded(checkpoint: Path) -> None:
    model, _ = load_checkpoint(checkpoint)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    next(tensor for tensor in state.values() if tensor.is_floating_point()).flatten()[0] = float("nan")
    save_file(state, checkpoint, metadata={"sigedge": json.dumps(asdict(INFO))})
    with pytest.raises(CheckpointError, match=f"{checkpoint.name}.*NaN"):
        load_checkpoint(checkpoint)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*gone\.safetensors.*sigedge train"):
        load_checkpoint(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("length", [0, 7, 100, -10])
def test_a_truncated_file_is_refused(checkpoint: Path, length: int) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="no complete safetensors"):
        load_checkpoint(checkpoint)


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(create("edgesig", **CONFIG).state_dict(), path)
    with pytest.raises(CheckpointError, match="loads no pickles"):
        load_checkpoint(path)


def test_foreign_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="no sigedge header"):
        load_checkpoint(path)


@pytest.mark.parametrize("header", ["{", json.dumps({"wings": 2}), json.dumps({"architecture": "edgesig"})])
def test_a_damaged_header_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "damaged.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata={"sigedge": header})
    with pytest.raises(CheckpointError, match=r"header of .* is damaged"):
        load_checkpoint(path)


def test_weights_of_another_configuration_are_refused(checkpoint: Path) -> None:
    model, info = load_checkpoint(checkpoint)
    save_checkpoint(checkpoint, model, replace(info, config={**CONFIG, "embedding_size": 7}))
    with pytest.raises(CheckpointError, match="do not fit the architecture 'edgesig'"):
        load_checkpoint(checkpoint)


def test_an_unknown_architecture_is_refused(checkpoint: Path) -> None:
    model, info = load_checkpoint(checkpoint)
    save_checkpoint(checkpoint, model, replace(info, architecture="nosuch"))
    with pytest.raises(CheckpointError, match=r"no architecture named 'nosuch'"):
        load_checkpoint(checkpoint)


HEADS: dict[str, dict[str, Any]] = {"local": CONFIG, "global": {**CONFIG, "head": "global"}}


@pytest.mark.parametrize(("before", "after"), [("local", "global"), ("global", "local")])
def test_parts_that_two_networks_share_are_taken(before: str, after: str) -> None:
    trained, model = create("edgesig", **HEADS[before]), create("edgesig", **HEADS[after])
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.normal_()
    load_weights(model, trained.state_dict(), Path("trained"), "edgesig", parts=True)
    shared = own.keys() & trained.state_dict().keys()
    assert {name.split(".")[0] for name in shared} == {"blocks"} and shared != own.keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[name] if name in shared else own[name]), name


def test_parts_are_asked_for() -> None:
    trained, model = create("edgesig", **HEADS["global"]), create("edgesig", **HEADS["local"])
    with pytest.raises(CheckpointError, match="do not fit the architecture 'edgesig'"):
        load_weights(model, trained.state_dict(), Path("trained"), "edgesig")


@pytest.mark.parametrize("parts", [True, False])
def test_parts_of_another_width_and_weights_that_share_nothing_are_refused(parts: bool) -> None:
    model = create("edgesig", **CONFIG)
    wider = create("edgesig", **{**CONFIG, "stages": [[8, 4], [4, 4], [8, 2]]})
    for state in (wider.state_dict(), {"conv.weight": torch.zeros(1)}, {}):
        with pytest.raises(CheckpointError, match="weights in trained do not fit the architecture 'edgesig'"):
            load_weights(model, state, Path("trained"), "edgesig", parts=parts)
