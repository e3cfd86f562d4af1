"""The forger as a user meets it: training, resuming, refusing, judging, drawing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from sigedge.evaluation.results import write_result
from sigedge.systems import has_system, load_system
from sigedge.systems.forger import drawing, evaluate, examples, train
from sigedge.systems.forger.drawing import DrawingTraining, PairBatches, forge, signal_to_noise
from sigedge.systems.forger.figures import draw, read_log
from sigedge.systems.forger.frame import FRAME
from sigedge.systems.forger.pairs import make_pairs
from sigedge.systems.forger.preprocessing import draw_signatures
from sigedge.systems.forger.recipe import ForgerRecipe, load_forger_recipe
from sigedge.systems.forger.specimens import (
    BONA_FIDE,
    CGAN,
    drawn_by_cgan,
    forged_and_real,
    real_signatures,
    synthetic_pairs,
)
from sigedge.systems.forger.train import cached_pairs
from sigedge_models import create, folder, load_checkpoint
from sigedge_runtime.errors import CheckpointError, DataError, RecipeError

NETWORKS = ["generator", "transposed", "detector"]
TINY: dict[str, Any] = {
    "architecture": "forger",
    "name": "forger",
    "version": "1",
    "licence": dict.fromkeys(NETWORKS, "Apache-2.0"),
    "seed": 5,
    "signers": {"train": 3, "validation": 2, "test": 3, "samples": 2, "variants": 1, "seed": 6},
    "generator": {"channels": [4, 6], "mask_channels": 2},
    "discriminator": {"channels": [4, 4]},
    "optimisation": {"steps": {"generator": 4, "transposed": 2}, "steps_per_epoch": 2, "frozen_norms": 0.75},
    "detection": {"datasets": [], "unseen": [], "steps": 4, "steps_per_epoch": 2, "batch": 8},
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
def run(recipe: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    paths = train(Path("absent"), out, recipe=recipe, cache=cache)
    assert paths == {name: out / f"forger-{name}.safetensors" for name in NETWORKS}
    return out


@pytest.fixture(scope="module")
def result(run: Path, cache: Path) -> dict[str, Any]:
    return evaluate(run, Path("absent"), cache=cache, progress=lambda text: None)


def test_is_a_system() -> None:
    assert has_system("forger")
    assert load_system("forger").train is train


@pytest.mark.parametrize("file", ["recipe.yaml", "recipe-gpu.yaml"])
def test_the_shipped_recipes_are_valid(file: str) -> None:
    shipped = load_forger_recipe(folder("forger") / file)
    assert set(shipped.optimisation.steps) | {"detector"} == set(shipped.licence) == set(NETWORKS)
    assert shipped.optimisation.learning_rate == 2e-4 and shipped.optimisation.beta1 == 0.5
    assert shipped.optimisation.batch == 1


def test_checkpoints_say_what_they_are(run: Path) -> None:
    for name in NETWORKS:
        model, info = load_checkpoint(run / f"forger-{name}.safetensors")
        assert info.config["network"] == name and info.name == f"forger-{name}"
        assert info.task == ("classification" if name == "detector" else "image")
        canvas = torch.zeros(1, 1, info.preprocess["canvas_height"], info.preprocess["canvas_width"])
        assert model(canvas).shape == (1, 2 if name == "detector" else 64 * 128)
    assert info.labels == ["real", "generated"]
    assert np.isfinite(info.decision["threshold"])
    assert info.training["validation"] == {"bona_fide": 6, "generated": 12}


def test_the_log_names_every_loss(run: Path) -> None:
    log = read_log(run / "generator")
    assert log["psnr"][0] == [1, 3], "counted in batches"
    for loss in ("discriminator", "adversarial", "difference"):
        assert len(log[loss][1]) == 2 and np.isfinite(log[loss][1]).all()
    with pytest.raises(DataError, match="holds no log"):
        read_log(run / "nobody")


def test_both_networks_take_a_step_for_every_batch(recipe: Path) -> None:
    settings = load_forger_recipe(recipe)
    pairs = synthetic_pairs(settings, "validation")
    torch.manual_seed(1)
    module = DrawingTraining(create("forger", **settings.generator), settings, pairs, pairs, 4)  # type: ignore[arg-type]
    counted: list[str] = []
    optimisers = module.configure_optimizers()
    module.optimizers = lambda: optimisers  # type: ignore[method-assign]
    module.manual_backward = lambda loss: loss.backward()  # type: ignore[method-assign]
    module.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    for optimiser, name in zip(optimisers, ("generator", "discriminator"), strict=True):
        optimiser.register_step_post_hook(lambda *_, name=name: counted.append(name))
    before = [weights.clone() for weights in module.parameters()]
    module.training_step(PairBatches(pairs, settings, 0)[0], 0)
    assert counted == ["discriminator", "generator"]
    assert all(weights.requires_grad for weights in module.parameters())
    assert sum(not torch.equal(new, old) for new, old in zip(module.parameters(), before, strict=True)) > 10


def test_batches_repeat_and_shift_all_three_alike(recipe: Path) -> None:
    settings = load_forger_recipe(recipe)
    pairs = synthetic_pairs(settings, "train")
    first, again = (PairBatches(pairs, settings, 1)[0] for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert not torch.equal(first[2], PairBatches(pairs, settings, 2)[0][2])
    lines, _, target = (image[0, 0].numpy() for image in first)
    assert target[lines > 0].min() >= 64, "the centre line lies in the ink, shifted or not"


def test_resuming_gives_what_never_stopping_gives(
    run: Path, recipe: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = DrawingTraining.training_step

    def stopped(self: DrawingTraining, *args: Any) -> None:
        if self.global_step >= 6:
            raise KeyboardInterrupt
        step(self, *args)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(drawing.DrawingTraining, "training_step", stopped)
        train(Path("absent"), tmp_path, recipe=recipe, cache=cache)
    assert (tmp_path / "generator" / "last.ckpt").is_file()
    assert not list(tmp_path.glob("*.safetensors"))
    train(Path("absent"), tmp_path, recipe=recipe, cache=cache)
    for name in NETWORKS:
        whole, resumed = (load_checkpoint(home / f"forger-{name}.safetensors")[0] for home in (run, tmp_path))
        for key, tensor in whole.state_dict().items():
            assert torch.allclose(tensor, resumed.state_dict()[key], atol=1e-6), (name, key)


def test_a_damaged_file_of_the_cache_does_not_stop_training(recipe: Path, tmp_path: Path) -> None:
    settings = load_forger_recipe(recipe)
    whole = cached_pairs(settings, "train", tmp_path)
    (home,) = (frame.parent for frame in tmp_path.glob(f"*/{FRAME}"))
    (home / "target" / "00000.png").write_bytes(b"")
    assert len(cached_pairs(settings, "train", tmp_path)) == len(whole) - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimisation": {"speed": 1}}, "optimisation.speed"),
        ({"signers": {"samples": 1}}, "signers.samples"),
        ({"detection": {"batch": 0}}, "detection.batch"),
    ],
)
def test_a_wrong_recipe_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        train(Path("absent"), tmp_path, recipe=write_recipe(tmp_path / "r.yaml", **changes))
    with pytest.raises(RecipeError, match="leave out the checkpoint"):
        train(Path("absent"), tmp_path, initial=Path("some.safetensors"))


def test_steps_replace_those_of_the_recipe(recipe: Path) -> None:
    short = load_forger_recipe(recipe, 1)
    assert short.optimisation.steps == {"generator": 1, "transposed": 1}
    assert short.detection.steps == short.optimisation.steps_per_epoch == short.detection.steps_per_epoch == 1


def test_a_data_set_that_is_not_there_is_named(run: Path, cache: Path, tmp_path: Path) -> None:
    wanting = write_recipe(tmp_path / "r.yaml", detection={**TINY["detection"], "datasets": ["cedar-half"]})
    with pytest.raises(DataError, match=r"absent.index\.csv"):
        train(Path("absent"), run, recipe=wanting, cache=cache)


@pytest.mark.parametrize("network", NETWORKS)
def test_examples_fit_their_network(run: Path, network: str) -> None:
    model, info = load_checkpoint(run / f"forger-{network}.safetensors")
    inputs = examples(info, 5, seed=900)
    assert inputs.dtype == np.uint8
    assert inputs.shape == (5, info.preprocess["canvas_height"], info.preprocess["canvas_width"])
    assert np.array_equal(inputs, examples(info, 5, seed=900))
    assert not np.array_equal(inputs, examples(info, 5, seed=901))
    assert model(torch.from_numpy(inputs[:, None].astype(np.float32))).shape[0] == 5


def test_forging_keeps_the_mode_and_rounds(recipe: Path) -> None:
    settings = load_forger_recipe(recipe)
    generator = create("forger", **settings.generator).train()
    generator.freeze_norms()  # type: ignore[operator]
    modes = [module.training for module in generator.modules()]
    drawn = forge(generator, synthetic_pairs(settings, "validation"))
    assert drawn.dtype == np.uint8 and drawn.shape == (4, 64, 128)
    assert [module.training for module in generator.modules()] == modes


def test_signal_to_noise_of_known_errors() -> None:
    black = np.zeros((1, 4, 4), np.uint8)
    assert signal_to_noise(black, black).tolist() == [60.0]
    assert signal_to_noise(black + np.uint8(255), black)[0] == pytest.approx(0.0)
    assert signal_to_noise(black + np.uint8(16), black)[0] == pytest.approx(20 * np.log10(255 / 16))


def test_forgeries_are_of_the_same_signers() -> None:
    pairs = make_pairs(draw_signatures(8, range(2), 2))
    lines_only: nn.Module = _Echo()
    made = forged_and_real(pairs, {"one": lines_only, "two": lines_only}, seed=1)
    assert made.species == (BONA_FIDE,) * 4 + ("one",) * 4 + ("two",) * 4
    assert made.signers == pairs.signers * 3
    assert np.array_equal(made.images[:4], pairs.targets)
    assert not np.array_equal(made.of("one").images, made.of("two").images), "each draws attempts of its own"


class _Echo(nn.Module):
    """Draws the centre line itself."""

    def forward(self, canvas: torch.Tensor) -> torch.Tensor:
        return torch.flatten(canvas[:, :, : canvas.shape[2] // 2], 1)


def test_drawings_of_cgan_are_a_species() -> None:
    config = {"noise_rows": 1, "latent_width": 4, "features": 4, "channels": [4, 4]}
    generator = create("cgan", network="generator", classes=3, canvas_height=32, canvas_width=64, **config)
    drawn = drawn_by_cgan(generator, 3, 2, seed=1)
    assert drawn.images.shape == (6, 64, 128)
    assert set(drawn.species) == {CGAN} and len(set(drawn.signers)) == 3


def test_the_result_is_complete_and_plain(result: dict[str, Any], run: Path) -> None:
    json.dumps(result, allow_nan=False)
    assert [row["network"] for row in result["networks"]] == NETWORKS
    for row in result["networks"]:
        assert row["ci95"][0] <= row["value"] <= row["ci95"][1]
        assert row["parameters"] == _parameters(run, row["network"])
        assert len(row["checkpoint_sha256"]) == 64
    assert {row["processing"] for row in result["detection"]} == {"none", "jpeg", "resize", "binarise"}
    assert {row["trained"] for row in result["detection"]} == {"shipped", "unprocessed"}
    left_out = [(row["species"], row["seen"]) for row in result["left_out"]]
    assert left_out == [("generator", True), ("transposed", True), ("generator", False), ("transposed", False)]
    assert set(result["deception"]["accepted"]) >= {"genuine", "skilled", "generator", "transposed"}
    assert set(result["profiles"]) == {BONA_FIDE, "generator", "transposed"}


def _parameters(run: Path, network: str) -> int:
    model, _ = load_checkpoint(run / f"forger-{network}.safetensors")
    return sum(weights.numel() for weights in model.parameters())


def test_a_missing_checkpoint_is_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(CheckpointError, match=r"forger-generator\.safetensors"):
        evaluate(tmp_path, Path("absent"), cache=cache, progress=print)


def test_figures_are_drawn_and_equal_when_drawn_again(run: Path, result: dict[str, Any], tmp_path: Path) -> None:
    write_result(tmp_path / "result.json", result)
    first, again = (draw(run, tmp_path / "result.json", tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == ["losses.png", "results.png", "spectra.png", "errors.png"]
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.research_data
def test_real_signers_of_the_parts_are_disjoint(research_data: Path) -> None:
    people = {
        part: set(real_signatures(research_data, "cedar-half", part, 1).signers)
        for part in ("train", "validation", "test")
    }
    assert len(people["test"]) == 11
    assert not people["train"] & people["test"] and not people["validation"] & people["test"]
    assert not people["train"] & people["validation"]


def test_recipes_travel_in_the_checkpoint(run: Path, recipe: Path) -> None:
    _, info = load_checkpoint(run / "forger-detector.safetensors")
    assert ForgerRecipe.model_validate(info.training["recipe"]) == load_forger_recipe(recipe)
