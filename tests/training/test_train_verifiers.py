"""SigNet and the Siamese ResNet take the common way of training: their losses, their checkpoints, exact resuming."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sigedge.synthesis import write_dataset
from sigedge.training import train
from sigedge.training.batches import Batches
from sigedge_models import load_checkpoint
from sigedge_runtime.decision import Decision

COMMON: dict[str, Any] = {
    "name": "tiny",
    "version": "1",
    "licence": "Apache-2.0",
    "seed": 5,
    "data": {"signers_per_batch": {"made": 2}, "genuine": 2, "forged": 2},
    "optimisation": {"steps": 4, "steps_per_epoch": 1, "validate_every": 2},
}
RECIPES: dict[str, dict[str, Any]] = {
    "signet": {
        "config": {"width": 0.05, "embedding_size": 8},
        "loss": {"name": "contrastive", "margin": 0.8},
    },
    "siamese_resnet": {
        "config": {"channels": [8, 16], "blocks": 1, "embedding_size": 8, "dropout": 0.2},
        "loss": {"name": "triplet", "margin": 0.3, "miner": "all"},
    },
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four synthetic signers as a research folder."""
    folder = tmp_path_factory.mktemp("data")
    images = write_dataset(folder / "made", signers=4, genuine=6, forged=3, seed=4)
    with (folder / "index.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "dataset", "signer", "label", "sample", "width", "height"])
        for path in sorted(images.glob("*/*/*.png")):
            rows.writerow([path.relative_to(folder), "made", path.parts[-3], path.parts[-2], int(path.stem), 0, 0])
    signers = [f"signer_{number:04d}" for number in range(1, 5)]
    (folder / "splits.json").write_text(json.dumps({"made": {"train": signers, "test": []}}))
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"architecture": name, **COMMON, **RECIPES[name]}))
    options: dict[str, Any] = {"recipe": recipe, "cache": data / "cache"}
    straight, info = load_checkpoint(train(name, data, tmp_path / "straight", **options))
    original = Batches.__getitem__

    def stop(self: Batches, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if self._epoch == 3:
            raise KeyboardInterrupt
        return original(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "__getitem__", stop)
        with pytest.raises(KeyboardInterrupt):
            train(name, data, tmp_path / "stopped", **options)
    assert not (tmp_path / "stopped" / "tiny.safetensors").exists()
    resumed, _ = load_checkpoint(train(name, data, tmp_path / "stopped", **options))
    for key, tensor in straight.state_dict().items():
        assert torch.allclose(tensor, resumed.state_dict()[key], atol=1e-6), key
    assert info.training["recipe"]["loss"].items() >= RECIPES[name]["loss"].items()
    assert Decision.from_dict(info.decision).default_operating_point == "balanced"
