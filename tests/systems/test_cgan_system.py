"""The system cgan as a user meets it: training, resuming, refusing, judging."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from sigedge.evaluation import columns_cgan
from sigedge.evaluation.results import read_result, write_result
from sigedge.evaluation.tables import render
from sigedge.systems import has_system, load_system
from sigedge.systems.cgan import evaluate, examples, train
from sigedge.systems.cgan.figures import draw_result, sample_sheet
from sigedge.systems.cgan.gan import GanTraining
from sigedge.systems.cgan.train import NETWORKS, load_recipe
from sigedge_models import create, folder, load_checkpoint
from sigedge_runtime.errors import CheckpointError, DataError, RecipeError

TINY = {
    "name": "cgan",
    "version": "1",
    "licence": "Apache-2.0",
    "seed": 3,
    "signers": {"seed": 2019, "count": 2, "train": 4, "validation": 2, "test": 2, "fresh": 2},
    "canvas": {"height": 32, "width": 64, "margin": 2, "stroke_width": 1},
    "generator": {
        "config": {"noise_rows": 1, "latent_width": 4, "features": 8, "channels": [8, 4]},
        "discriminator_channels": [4, 8],
        "batch": 4,
        "steps": 6,
        "steps_per_epoch": 2,
    },
    "judge": {"config": {"stages": [[4, 4], [8, 4]], "features": 8, "dropout": 0.6}, "steps": 4, "steps_per_epoch": 2},
    "classifier": {"config": {"stages": [[4, 4], [8, 4]], "features": 8}, "steps": 4, "steps_per_epoch": 2},
    "drawn": 10,
}


def write_recipe(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump({**TINY, **changes}))
    return path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe") / "recipe.yaml")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def models(recipe: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    paths = train(Path("absent"), out, recipe=recipe, cache=cache)
    assert paths == {name: out / f"cgan-{name}.safetensors" for name in NETWORKS}
    return out


@pytest.fixture(scope="module")
def result(models: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = evaluate(models, Path("absent"), cache=cache)
    write_result(tmp_path_factory.mktemp("result") / "system-cgan.json", found)
    return found


def test_is_a_system() -> None:
    assert has_system("cgan")
    assert load_system("cgan").train is train


def test_checkpoints_say_what_they_are(models: Path) -> None:
    infos = {name: load_checkpoint(models / f"cgan-{name}.safetensors")[1] for name in NETWORKS}
    assert {name: info.task for name, info in infos.items()} == {
        "classifier": "classification",
        "generator": "image",
        "judge": "classification",
    }
    assert infos["classifier"].labels == ["signer_0001", "signer_0002"]
    assert infos["judge"].labels == ["signer_0001", "signer_0002", "signer_0001 generated", "signer_0002 generated"]
    assert infos["generator"].preprocess == {"canvas_height": 2, "canvas_width": 4}
    assert infos["judge"].preprocess["canvas_width"] == 64
    assert infos["generator"].training["data"]["skipped"] == []


def test_keeps_the_curves_of_every_epoch(models: Path) -> None:
    history = load_checkpoint(models / "cgan-generator.safetensors")[1].training["history"]
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    assert all({"discriminator_loss", "generator_loss", "signer_accuracy"} <= set(epoch) for epoch in history)
    judge = load_checkpoint(models / "cgan-judge.safetensors")[1].training["history"]
    assert {"loss", "validation_loss", "all_outputs_right", "validation_all_outputs_right"} <= set(judge[-1])


class Stop:
    """Lets the generator take some steps, then presses Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
        self.left = steps
        original = GanTraining.training_step

        def step(module: GanTraining, batch: Any, index: int) -> None:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            original(module, batch, index)

        monkeypatch.setattr(GanTraining, "training_step", step)


def test_resuming_gives_what_never_stopping_gives(
    models: Path, recipe: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        Stop(patched, 5)
        train(Path("absent"), tmp_path, recipe=recipe, cache=cache)
    assert not (tmp_path / "cgan-generator.safetensors").exists()
    train(Path("absent"), tmp_path, recipe=recipe, cache=cache)
    for name in NETWORKS:
        expected, got = (load_file(folder / f"cgan-{name}.safetensors") for folder in (models, tmp_path))
        assert all(torch.equal(expected[key], got[key]) for key in expected), name
    histories = [
        load_checkpoint(folder / "cgan-generator.safetensors")[1].training["history"] for folder in (models, tmp_path)
    ]
    assert histories[0] == histories[1]


def test_an_unreadable_sample_is_left_out_and_named(cache: Path, tmp_path: Path) -> None:
    own = tmp_path / "cache"
    shutil.copytree(cache, own)
    broken = next(own.glob("synthetic-*/signer_0002/genuine/03.png"))
    broken.write_bytes(b"no image")
    paths = train(Path("absent"), tmp_path / "run", recipe=write_recipe(tmp_path / "recipe.yaml"), cache=own, steps=1)
    told = load_checkpoint(paths["judge"])[1].training["data"]
    assert len(told["skipped"]) == 1
    assert told["skipped"][0].startswith("03.png")


def test_a_signer_with_too_few_samples_is_named(cache: Path, tmp_path: Path) -> None:
    own = tmp_path / "cache"
    shutil.copytree(cache, own)
    for path in own.glob("synthetic-*/signer_0002/genuine/0*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"signer_0002 has \d+ usable samples and the recipe divides 10"):
        train(Path("absent"), tmp_path / "run", recipe=write_recipe(tmp_path / "recipe.yaml"), cache=own)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": {**TINY["generator"], "batch": 5}}, "packs of 2 do not fill a batch of 5"),  # type: ignore[dict-item]
        ({"judge": {"steps": 1, "steps_per_epoch": 1, "config": {"classes": 4}}}, "classes follow from signers"),
        ({"optimism": 1}, "optimism"),
    ],
)
def test_refuses_a_wrong_recipe(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(write_recipe(tmp_path / "recipe.yaml", **changes))


def test_refuses_a_checkpoint_to_start_from(models: Path, recipe: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="leave out"):
        train(Path(), tmp_path, recipe=recipe, cache=cache, initial=models / "cgan-judge.safetensors")


def test_examples_fit_their_networks(models: Path) -> None:
    for name in NETWORKS:
        model, info = load_checkpoint(models / f"cgan-{name}.safetensors")
        inputs = examples(info, 5, 1)
        assert inputs.dtype == np.uint8
        assert inputs.shape == (5, info.preprocess["canvas_height"], info.preprocess["canvas_width"])
        assert np.array_equal(inputs, examples(info, 5, 1))
        assert not np.array_equal(inputs, examples(info, 5, 2))
        assert len(model(torch.from_numpy(inputs[:, None].astype(np.float32)))) == 5


def test_result_holds_the_three_findings(result: dict[str, Any]) -> None:
    assert [row["network"] for row in result["networks"]] == ["generator", "judge", "classifier"]
    for storage in ("float", "grey", "two-level"):
        figures = result["judges"][storage]["test"]
        assert figures["signers"]["accuracy"]["images"] == 8
        assert np.array(figures["signers"]["confusion"]).sum() == 8
        assert set(figures["kinds"]["classes"]) == {"generated", "genuine"}
        assert set(result["judges"][storage]["stored_as"]) == {"float", "grey", "two-level"}
    assert result["rules"]["fractions"]["float"]["value"] == 1.0
    assert result["rules"]["fractions"]["grey"]["value"] == 0.5
    assert result["rules"]["grey_levels"]["two-level"]["value"] == 0.5
    assert result["classifiers"]["all"]["generated"]["grey"]["images"] == 20
    json.dumps(result, allow_nan=False)


def test_result_rows_have_intervals_and_sizes(result: dict[str, Any], models: Path) -> None:
    for row in result["networks"]:
        low, high = row["ci95"]
        assert low <= row["value"] <= high
        assert row["parameters"] > 0
        assert len(row["checkpoint_sha256"]) == 64


def test_evaluating_again_gives_the_same(result: dict[str, Any], models: Path, cache: Path) -> None:
    again = evaluate(models, Path("absent"), cache=cache)
    assert {key: value for key, value in again.items() if key != "meta"} == {
        key: value for key, value in result.items() if key != "meta"
    }


def test_networks_of_two_runs_are_refused(models: Path, cache: Path, tmp_path: Path) -> None:
    other = train(
        Path("absent"), tmp_path / "other", recipe=write_recipe(tmp_path / "r.yaml", seed=4), cache=cache, steps=1
    )
    mixed = tmp_path / "mixed"
    shutil.copytree(models, mixed)
    shutil.copy(other["judge"], mixed / "cgan-judge.safetensors")
    with pytest.raises(CheckpointError, match="not trained together"):
        evaluate(mixed, Path("absent"), cache=cache)


def test_a_missing_checkpoint_is_named(models: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cgan-classifier\.safetensors"):
        evaluate(tmp_path, Path("absent"), cache=cache)


@pytest.fixture
def drawn(result: dict[str, Any], tmp_path: Path) -> Iterator[list[Path]]:
    write_result(tmp_path / "result.json", result)
    yield draw_result(read_result(tmp_path / "result.json"), tmp_path / "out")


def test_draws_curves_and_confusion(drawn: list[Path]) -> None:
    assert {path.name for path in drawn} == {"curves.png", "confusion.png", "storage.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_draws_a_sheet_of_samples(models: Path, cache: Path, tmp_path: Path) -> None:
    path = sample_sheet(models, tmp_path / "samples.png", cache=cache)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_tables_show_every_judge_and_rule(result: dict[str, Any]) -> None:
    lines = {name: render(name, [result]).splitlines() for name in columns_cgan.TABLES}
    assert [len(lines[name]) for name in ("cgan-judges", "cgan-classifiers", "cgan-sets", "cgan-neighbours")] == [
        7,
        4,
        4,
        4,
    ]
    assert "| 100.00 [67.6, 100.0] | 50.00 [21.5, 78.5] | 50.00 [21.5, 78.5] |" in lines["cgan-judges"][5]
    assert "–" in lines["cgan-neighbours"][3]  # noqa: RUF001


@pytest.mark.parametrize("file", ["recipe.yaml", "recipe-gpu.yaml"])
def test_the_recipes_beside_the_networks_fit_them(file: str) -> None:
    recipe = load_recipe(folder("cgan") / file)
    size = {"canvas_height": recipe.canvas.height, "canvas_width": recipe.canvas.width}
    for name in NETWORKS:
        create("cgan", network=name, classes=recipe.signers.count, **size, **getattr(recipe, name).config)


def test_the_result_is_about_the_committed_weights(repository: Path) -> None:
    result = read_result(repository / "benchmarks" / "results" / "system-cgan.json")
    for row in result["networks"]:
        weights = (repository / "models" / "weights" / f"cgan-{row['network']}.safetensors").read_bytes()
        assert len(weights) <= 4_000_000
        assert hashlib.sha256(weights).hexdigest() == row["checkpoint_sha256"]
