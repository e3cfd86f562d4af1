"""Training the cleaner: it runs, learns, resumes exactly, and says what it saw."""

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
from sigedge.systems import has_system, load_system
from sigedge.systems.cleaner.adversaries import Critic, ImagePool, Painter
from sigedge.systems.cleaner.batches import Batches
from sigedge.systems.cleaner.metrics import psnr
from sigedge.systems.cleaner.recipe import CleanerRecipe
from sigedge.systems.cleaner.signatures import load_training_inks, read_inks
from sigedge.systems.cleaner.training import train, validation_documents
from sigedge.training.recipe import read_recipe
from sigedge_models import folder, load_checkpoint
from sigedge_runtime.errors import CheckpointError, DataError, RecipeError

RECIPE: dict[str, Any] = {
    "architecture": "cleaner",
    "version": "1",
    "licence": "Apache-2.0",
    "config": {"width": 4, "blocks": 1},
    "seed": 5,
    "critic_width": 4,
    "data": {
        "datasets": ["made"],
        "synthetic": {"signers": 8, "genuine": 2, "forged": 1, "seed": 9},
        "crop": [32, 64],
        "batch": 2,
        "validation_documents": 4,
    },
    "optimisation": {"steps": 8, "steps_per_epoch": 2, "validate_every": 2, "average_decay": 0.5},
    "loss": {"pool": 3},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six synthetic signers as a research folder without forgeries; the two test signers have no image at all."""
    root = tmp_path_factory.mktemp("data")
    images = write_dataset(root / "made", signers=6, genuine=1, forged=0, seed=4)
    with (root / "index.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "dataset", "signer", "label", "sample", "width", "height"])
        for path in sorted(images.glob("*/*/*.png")):
            rows.writerow([path.relative_to(root), "made", path.parts[-3], path.parts[-2], int(path.stem), 0, 0])
            if path.parts[-3] in ("signer_0005", "signer_0006"):
                path.unlink()
    signers = [f"signer_{i:04d}" for i in range(1, 5)]
    (root / "splits.json").write_text(json.dumps({"made": {"train": signers, "test": ["signer_0005", "signer_0006"]}}))
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def write_recipe(where: Path, **changes: Any) -> Path:
    path = where / "recipe.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, **changes}))
    return path


@pytest.fixture(scope="module")
def checkpoint(data: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    return train(data, out, recipe=write_recipe(out), cache=cache)["generator"]


def test_is_a_system() -> None:
    assert has_system("cleaner")
    assert load_system("cleaner").train is train


@pytest.mark.parametrize("name", ["recipe.yaml", "recipe-gpu.yaml"])
def test_shipped_recipes_are_valid(name: str) -> None:
    assert read_recipe(folder("cleaner") / name, CleanerRecipe).supervision == "unpaired"


def test_the_checkpoint_says_what_it_is(checkpoint: Path) -> None:
    _, info = load_checkpoint(checkpoint)
    assert checkpoint.name == "cleaner-generator.safetensors"
    assert (info.task, info.name, info.preprocess) == (
        "image",
        "cleaner-generator",
        {"canvas_height": 128, "canvas_width": 256},
    )
    assert info.training["data"]["documents"] == {"cheques": 0, "pages": 0}
    assert CleanerRecipe.model_validate(info.training["recipe"]).seed == 5


def test_no_test_signer_is_named_and_one_sample_a_signer_will_do(checkpoint: Path) -> None:
    made = load_checkpoint(checkpoint)[1].training["data"]["made"]
    assert set(made["training_signers"]) | set(made["validation_signers"]) == {f"signer_{i:04d}" for i in range(1, 5)}
    assert not set(made["training_signers"]) & set(made["validation_signers"])


def test_writes_logs(checkpoint: Path) -> None:
    with (checkpoint.parent / "csv" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("fools_clean", "cycle_clean", "identity", "critic_dirty", "psnr", "ink_iou"):
        assert any(row[name] for row in rows), name


def test_an_interrupted_run_goes_on_to_the_same_weights(
    checkpoint: Path, data: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Batches.__getitem__

    def interrupt(self: Batches, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if (self._epoch, index) == (3, 1):
            raise KeyboardInterrupt
        return original(self, index)

    recipe = write_recipe(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Batches, "__getitem__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path, recipe=recipe, cache=cache)
    assert not (tmp_path / checkpoint.name).exists()
    resumed, _ = load_checkpoint(train(data, tmp_path, recipe=recipe, cache=cache)["generator"])
    straight, _ = load_checkpoint(checkpoint)
    for name, tensor in straight.state_dict().items():
        assert torch.allclose(tensor, resumed.state_dict()[name], atol=1e-6), name


def test_paired_training_comes_closer_to_the_truth(data: Path, cache: Path, tmp_path: Path) -> None:
    path = write_recipe(
        tmp_path,
        supervision="paired",
        config={"width": 8, "blocks": 1},
        optimisation={"steps": 60, "steps_per_epoch": 60, "learning_rate": 3e-3, "average_decay": 0.8},
    )
    written = train(data, tmp_path / "run", recipe=path, cache=cache)["generator"]
    recipe = read_recipe(path, CleanerRecipe)
    inks = load_training_inks(recipe.data, data, cache)
    documents = validation_documents(inks.validation, inks.validation_documents, recipe)
    untouched = np.mean([psnr(document.clean, document.dirty) for document in documents])
    assert load_checkpoint(written)[1].training["validation"]["psnr"] > untouched + 1


def test_all_synthetic_needs_no_data_folder(cache: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, data={**RECIPE["data"], "datasets": []})
    assert train(tmp_path / "nowhere", tmp_path, recipe=recipe, cache=cache, steps=1)["generator"].is_file()


def test_a_data_set_that_is_not_there_is_named(data: Path, cache: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, data={**RECIPE["data"], "datasets": ["elsewhere"]})
    with pytest.raises(DataError, match="elsewhere"):
        train(data, tmp_path / "run", recipe=recipe, cache=cache)


def test_an_unknown_entry_is_named(data: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="wings"):
        train(data, tmp_path / "run", recipe=write_recipe(tmp_path, wings=2), cache=cache)


def test_starts_from_a_cleaner_of_its_own_size_only(checkpoint: Path, data: Path, cache: Path, tmp_path: Path) -> None:
    gentle = {**RECIPE["optimisation"], "steps": 1, "learning_rate": 1e-7}
    again = train(
        data, tmp_path / "a", recipe=write_recipe(tmp_path, optimisation=gentle), cache=cache, initial=checkpoint
    )
    first, second = (load_checkpoint(path)[0].state_dict() for path in (checkpoint, again["generator"]))
    assert all(torch.allclose(tensor, second[name], atol=1e-3) for name, tensor in first.items())
    wider = write_recipe(tmp_path, config={"width": 8, "blocks": 1})
    with pytest.raises(CheckpointError, match="do not fit"):
        train(data, tmp_path / "b", recipe=wider, cache=cache, initial=checkpoint)


def test_dirty_and_clean_come_from_different_signers_and_batches_repeat(data: Path, cache: Path) -> None:
    recipe = CleanerRecipe.model_validate(RECIPE)
    inks = load_training_inks(recipe.data, data, cache)
    people = [{record.identity for record in part.records} for part in (inks.dirty, inks.clean, inks.validation)]
    assert all(people)
    assert sum(map(len, people)) == len(set().union(*people))
    first, again, next_epoch = Batches(inks, recipe, 0)[1], Batches(inks, recipe, 0)[1], Batches(inks, recipe, 1)[1]
    assert first[0].shape == first[1].shape == (2, 1, 32, 64)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], next_epoch[0])


def test_an_unreadable_file_is_skipped_and_named(data: Path, cache: Path) -> None:
    recipe = CleanerRecipe.model_validate(RECIPE)
    records = list(load_training_inks(recipe.data, data, cache).dirty.records)
    missing = records[0].path.with_name("missing.png")
    found = read_inks([type(records[0])(missing, "made", "x", "genuine", 1), *records])
    assert len(found) == len(records)
    assert [file.path for file in found.report.skipped] == [missing]
    with pytest.raises(DataError, match="No image could be read"):
        read_inks([type(records[0])(missing, "made", "x", "genuine", 1)])


def test_the_painter_only_darkens_and_draws_from_noise() -> None:
    torch.manual_seed(0)
    painter, clean = Painter(4, 1, 2), torch.rand(2, 1, 32, 64)
    (first, _), (second, _) = painter(clean), painter(clean)
    assert bool((first >= clean - 1e-6).all())
    assert not torch.equal(first, second)


def test_a_critic_judges_patches() -> None:
    assert Critic(4, 0.1)(torch.rand(2, 1, 32, 64)).shape == (2, 1, 4, 8)


def test_the_pool_gives_back_what_it_was_given() -> None:
    torch.manual_seed(0)
    pool = ImagePool(4, (1, 1))
    shown = [pool.exchange(torch.full((2, 1, 1, 1), float(number)))[:, 0, 0, 0].tolist() for number in range(40)]
    assert shown[:2] == [[0, 0], [1, 1]]
    ages = [number - value for number, values in enumerate(shown) for value in values]
    assert min(ages) == 0
    assert 0.25 < np.mean([age > 0 for age in ages[8:]]) < 0.75
