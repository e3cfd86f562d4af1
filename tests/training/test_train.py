"""Training from a data folder to a checkpoint: it runs, resumes, and cannot see a test signer."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from sigedge.synthesis import write_dataset
from sigedge.training import embed, train
from sigedge.training.batches import Batches
from sigedge_models import load_checkpoint
from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import CheckpointError, DataError, RecipeError
from sigedge_runtime.matching import LocalMatching

RECIPE: dict[str, Any] = {
    "architecture": "edgesig",
    "name": "tiny",
    "version": "1",
    "licence": "Apache-2.0",
    "config": {"stages": [[4, 4], [8, 4], [8, 2]], "embedding_size": 8, "dropout": 0.2},
    "seed": 5,
    "data": {
        "signers_per_batch": {"made": 2, "synthetic": 1},
        "genuine": 2,
        "forged": 2,
        "synthetic": {"signers": 2, "genuine": 3, "forged": 2, "seed": 9},
    },
    "optimisation": {"steps": 8, "steps_per_epoch": 2, "validate_every": 2},
}
TEST_SIGNERS = ("signer_0006", "signer_0007")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven synthetic signers as a research folder; the images of the two test signers are not there at all."""
    folder = tmp_path_factory.mktemp("data")
    images = write_dataset(folder / "made", signers=7, genuine=7, forged=3, seed=4)
    with (folder / "index.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "dataset", "signer", "label", "sample", "width", "height"])
        for path in sorted(images.glob("*/*/*.png")):
            rows.writerow([path.relative_to(folder), "made", path.parts[-3], path.parts[-2], int(path.stem), 0, 0])
            if path.parts[-3] in TEST_SIGNERS:
                path.unlink()
    signers = [f"signer_{i:04d}" for i in range(1, 6)]
    (folder / "splits.json").write_text(json.dumps({"made": {"train": signers, "test": list(TEST_SIGNERS)}}))
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def checkpoint(data: Path, recipe: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train("edgesig", data, tmp_path_factory.mktemp("run"), recipe=recipe, cache=cache)


def test_writes_a_checkpoint_that_says_what_it_is(checkpoint: Path) -> None:
    model, info = load_checkpoint(checkpoint)
    assert (info.name, info.seed, info.licence) == ("tiny", 5, "Apache-2.0")
    assert info.training["data"]["synthetic"]["signers"] == 2
    decision = Decision.from_dict(info.decision)
    assert decision.default_operating_point == "balanced"
    assert decision.matching == model.matching == LocalMatching(4, 8, 1, 2, 0.125)
    assert embed(model, np.zeros((2, 128, 256), np.uint8)).shape == (2, 4 * 8 * 9)


def test_names_no_test_signer(checkpoint: Path) -> None:
    made = load_checkpoint(checkpoint)[1].training["data"]["made"]
    seen = set(made["training_signers"]) | set(made["validation_signers"])
    assert seen == {f"signer_{i:04d}" for i in range(1, 6)}
    assert not set(made["training_signers"]) & set(made["validation_signers"])


def test_writes_logs(checkpoint: Path) -> None:
    with (checkpoint.parent / "csv" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert any(row["loss"] for row in rows)
    assert any(row["eer_skilled_1"] for row in rows)
    assert list((checkpoint.parent / "tensorboard").glob("*/events*"))


def test_an_interrupted_run_goes_on_to_the_same_weights(
    checkpoint: Path, data: Path, recipe: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Batches.__getitem__

    def interrupt(self: Batches, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if (self._epoch, index) == (3, 1):
            raise KeyboardInterrupt
        return original(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "__getitem__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train("edgesig", data, tmp_path, recipe=recipe, cache=cache)
    assert not (tmp_path / "tiny.safetensors").exists()
    resumed, _ = load_checkpoint(train("edgesig", data, tmp_path, recipe=recipe, cache=cache))
    straight, _ = load_checkpoint(checkpoint)
    for name, tensor in straight.state_dict().items():
        assert torch.allclose(tensor, resumed.state_dict()[name], atol=1e-6), name


def test_a_finished_run_is_saved_again_with_the_same_weights(
    data: Path, recipe: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train("edgesig", data, tmp_path, recipe=recipe, cache=cache)
    known = load_checkpoint(first)[0].state_dict()
    first.unlink()  # it was stopped between its last step and its end

    def no_more(*_: object) -> None:
        raise AssertionError("it had done all its steps")

    monkeypatch.setattr(Batches, "__getitem__", no_more)
    again, _ = load_checkpoint(train("edgesig", data, tmp_path, recipe=recipe, cache=cache))
    for name, tensor in known.items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_a_data_set_that_is_not_there_is_named(data: Path, recipe: Path, cache: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(recipe.read_text())
    values["data"]["signers_per_batch"] = {"elsewhere": 2}
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(values))
    with pytest.raises(DataError, match="elsewhere"):
        train("edgesig", data, tmp_path / "run", recipe=other, cache=cache)


def write_recipe(folder: Path, recipe: Path, **changes: object) -> Path:
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(recipe.read_text()) | changes))
    return path


def test_fine_tuning_starts_from_the_given_weights(
    checkpoint: Path, data: Path, recipe: Path, cache: Path, tmp_path: Path
) -> None:
    gentle = write_recipe(
        tmp_path, recipe, optimisation={"steps": 2, "steps_per_epoch": 2, "learning_rate": 1e-7}, seed=6
    )
    tuned, info = load_checkpoint(
        train("edgesig", data, tmp_path / "run", recipe=gentle, initial=checkpoint, cache=cache)
    )
    started = load_checkpoint(checkpoint)[0].state_dict()
    assert torch.allclose(tuned.state_dict()["cells.weight"], started["cells.weight"], atol=1e-4)
    assert info.training["initial"]["recipe"]["seed"] == 5


def test_fine_tuning_takes_the_layers_that_another_head_shares(
    checkpoint: Path, data: Path, recipe: Path, cache: Path, tmp_path: Path
) -> None:
    gentle = write_recipe(
        tmp_path,
        recipe,
        config={**RECIPE["config"], "head": "global"},
        optimisation={"steps": 2, "steps_per_epoch": 2, "learning_rate": 1e-7},
    )
    tuned, info = load_checkpoint(
        train("edgesig", data, tmp_path / "run", recipe=gentle, initial=checkpoint, cache=cache)
    )
    started = load_checkpoint(checkpoint)[0].state_dict()
    kernels = [name for name in started if name.startswith("blocks") and started[name].ndim == 4]
    assert len(kernels) >= 3
    assert all(torch.allclose(tuned.state_dict()[name], started[name], atol=1e-4) for name in kernels)
    assert "project.weight" in tuned.state_dict() and "cells.weight" not in tuned.state_dict()
    assert Decision.from_dict(info.decision).matching is None
    assert info.training["initial"]["recipe"]["config"] == RECIPE["config"]
    assert embed(tuned, np.zeros((2, 128, 256), np.uint8)).shape == (2, 8)


def test_a_loss_that_knows_cosines_alone_is_refused(data: Path, recipe: Path, cache: Path, tmp_path: Path) -> None:
    other = write_recipe(tmp_path, recipe, loss={"name": "triplet"})
    with pytest.raises(RecipeError, match="loss triplet compares by cosine"):
        train("edgesig", data, tmp_path / "run", recipe=other, cache=cache)
    assert not (tmp_path / "run" / "tiny.safetensors").exists()


def test_fine_tuning_refuses_weights_of_another_shape(
    checkpoint: Path, data: Path, recipe: Path, cache: Path, tmp_path: Path
) -> None:
    config = {"stages": [[8, 4], [8, 4], [8, 2]], "embedding_size": 8}
    for head in ("local", "global"):
        wider = write_recipe(tmp_path, recipe, config={**config, "head": head})
        with pytest.raises(CheckpointError, match=r"weights in .*tiny\.safetensors do not fit"):
            train("edgesig", data, tmp_path / "run", recipe=wider, initial=checkpoint, cache=cache)


def test_embed_keeps_the_mode() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(128 * 256, 3)).train()
    embed(model, np.zeros((1, 128, 256), np.uint8))
    assert model.training
