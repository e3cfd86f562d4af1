"""Training the classifier on a folder of labelled images: it learns, resumes, grows, and says what does not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from sigedge.systems.signauth import examples, train
from sigedge.systems.signauth.batches import Batches
from sigedge.systems.signauth.recipe import ClassifierRecipe, KnownPeople
from sigedge.systems.signauth.samples import _assign_source, _of_source, collect
from sigedge.training import embed
from sigedge.training.recipe import read_recipe
from sigedge_models import CheckpointInfo, create, folder, load_checkpoint, save_checkpoint
from sigedge_runtime.errors import CheckpointError, DataError

RECIPE = {
    "name": "signauth-classifier",
    "version": "1",
    "licence": "none",
    "seed": 3,
    "config": {"dropout": 0.1, "stages": [[8, 4], [16, 4], [16, 2]], "features": 32},
    "strangers": {"signers": 6, "samples": 1, "seed": 6},
    "batch": {"known": 8, "forged": 1, "strangers": 3, "imagined": 1},
    "augmentation": None,
    "optimisation": {
        "steps": 60,
        "steps_per_epoch": 10,
        "validate_every": 2,
        "learning_rate": 0.01,
        "average_decay": 0.8,
    },
    "update": {"steps": 40, "learning_rate": 0.01},
}


def draw(person: int, sample: int) -> np.ndarray:
    """Sample of a person's signature: the same strokes each time, a little displaced."""
    strokes = np.random.default_rng(1000 + person)
    points = np.column_stack([np.linspace(30, 270, 12), strokes.integers(20, 100, 12)])
    points += np.random.default_rng([person, sample]).normal(0, 2, points.shape)
    page = np.full((120, 300), 235, np.uint8)
    cv2.polylines(page, [points.astype(np.int32)], False, (40,), 3, cv2.LINE_AA)
    return page


def write_people(data: Path, people: range, train_samples: int = 6, test_samples: int = 4) -> Path:
    for person in people:
        for sample in range(train_samples + test_samples):
            part = "train" if sample < train_samples else "test"
            path = data / part / f"person{person}" / f"{sample}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), draw(person, sample))
    return data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("signauth") / "data", range(3))


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
    return train(data, tmp_path_factory.mktemp("run"), recipe=recipe, cache=cache)["classifier"]


def accuracy(checkpoint: Path, data: Path, recipe: Path, cache: Path) -> float:
    """On the test images of a folder, among all classes of the checkpoint."""
    model, info = load_checkpoint(checkpoint)
    part = collect(read_recipe(recipe, ClassifierRecipe), data, cache, known=info.labels).parts["test"]
    return float((embed(model, part.canvases).argmax(axis=1) == part.targets)[part.rows("known")].mean())


def test_learns_the_people_of_a_folder(checkpoint: Path, data: Path, recipe: Path, cache: Path) -> None:
    assert accuracy(checkpoint, data, recipe, cache) >= 0.9


def test_the_checkpoint_says_what_it_is(checkpoint: Path) -> None:
    _, info = load_checkpoint(checkpoint)
    assert checkpoint.name == "signauth-classifier.safetensors"
    assert (info.task, info.labels) == ("classification", ["person0", "person1", "person2"])
    assert (info.preprocess["canvas_height"], info.preprocess["canvas_width"]) == (256, 256)
    assert info.decision["validation"]["known_accepted"] >= 0.95
    assert info.training["data"]["images"]["train"] == {"known": 15, "forged": 0, "stranger": 2}
    assert "user's folder" in info.licence


def test_keeps_the_features_of_its_classes(checkpoint: Path) -> None:
    model, _ = load_checkpoint(checkpoint)
    means = model.class_means
    assert float((means[0] - means[1]).abs().max()) > 0.1 and float(model.spread.max()) > 0


def test_an_interrupted_run_goes_on_to_the_same_weights(
    checkpoint: Path, data: Path, recipe: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Batches.__getitem__

    def interrupt(self: Batches, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if (self._epoch, index) == (4, 3):
            raise KeyboardInterrupt
        return original(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "__getitem__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path, recipe=recipe, cache=cache)
    assert not (tmp_path / "signauth-classifier.safetensors").exists()
    resumed, _ = load_checkpoint(train(data, tmp_path, recipe=recipe, cache=cache)["classifier"])
    straight, _ = load_checkpoint(checkpoint)
    for name, tensor in straight.state_dict().items():
        assert torch.allclose(tensor, resumed.state_dict()[name], atol=1e-6), name


def test_grows_without_an_image_of_the_old_people_and_forgets_none(
    checkpoint: Path, data: Path, recipe: Path, cache: Path, tmp_path: Path
) -> None:
    added = write_people(tmp_path / "added", range(3, 5))
    grown = train(added, tmp_path / "run", recipe=recipe, cache=cache, classes=5, update=checkpoint)["classifier"]
    old, new = load_checkpoint(checkpoint)[0], load_checkpoint(grown)[0]
    assert load_checkpoint(grown)[1].labels == [f"person{person}" for person in range(5)]
    assert torch.equal(new.head.weight[:3], old.head.weight)
    assert torch.equal(new.project.weight, old.project.weight)
    assert accuracy(grown, data, recipe, cache) >= 0.9
    # Chance is 0.2; features learned from three people do not tell everybody apart.
    assert accuracy(grown, added, recipe, cache) >= 0.6


def test_grows_beside_the_old_people_and_keeps_their_places(
    checkpoint: Path, recipe: Path, cache: Path, tmp_path: Path
) -> None:
    # "anna" sorts before the others; the old outputs must not move for it.
    everybody = write_people(tmp_path / "data", range(3))
    shutil.copytree(write_people(tmp_path / "more", range(7, 8)) / "train" / "person7", everybody / "train" / "anna")
    grown = train(everybody, tmp_path / "run", recipe=recipe, cache=cache, update=checkpoint)["classifier"]
    assert load_checkpoint(grown)[1].labels == ["person0", "person1", "person2", "anna"]
    assert accuracy(grown, everybody, recipe, cache) >= 0.9


def test_goes_on_with_the_same_people(checkpoint: Path, data: Path, recipe: Path, cache: Path, tmp_path: Path) -> None:
    tuned = train(data, tmp_path, recipe=recipe, cache=cache, steps=2, initial=checkpoint)["classifier"]
    assert load_checkpoint(tuned)[1].training["grown_from"]["labels"] == ["person0", "person1", "person2"]


def test_a_class_count_that_is_not_there_is_refused(data: Path, recipe: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"3 classes \(person0, person1, person2\), but --classes says 7"):
        train(data, tmp_path, recipe=recipe, cache=cache, classes=7)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_people_is_refused(recipe: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds neither a folder train .* nor index.csv"):
        train(tmp_path / "empty", tmp_path / "run", recipe=recipe, cache=cache)


def test_more_people_than_the_checkpoint_need_update(
    checkpoint: Path, recipe: Path, cache: Path, tmp_path: Path
) -> None:
    more = write_people(tmp_path / "data", range(4))
    with pytest.raises(CheckpointError, match=r"knows 3 classes and the data have 4; .* --update"):
        train(more, tmp_path / "run", recipe=recipe, cache=cache, initial=checkpoint)


def test_a_finished_run_of_other_people_is_not_gone_on_with(
    checkpoint: Path, recipe: Path, cache: Path, tmp_path: Path
) -> None:
    more = write_people(tmp_path / "data", range(4))
    run = tmp_path / "run"
    shutil.copytree(checkpoint.parent / "signauth-classifier", run / "signauth-classifier")
    with pytest.raises(CheckpointError, match=r"knows 3 classes, the data have 4 .* --update"):
        train(more, run, recipe=recipe, cache=cache)


def test_a_finished_run_is_not_taken_for_one_about_other_images(
    checkpoint: Path, recipe: Path, cache: Path, tmp_path: Path
) -> None:
    more = write_people(tmp_path / "data", range(3), train_samples=8)
    run = tmp_path / "run"
    shutil.copytree(checkpoint.parent / "signauth-classifier", run / "signauth-classifier")
    with pytest.raises(CheckpointError, match=r"learned from other images .* --update"):
        train(more, run, recipe=recipe, cache=cache)


def test_a_classifier_does_not_shrink(checkpoint: Path, data: Path, recipe: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"3 classes .* but --classes says 2"):
        train(data, tmp_path, recipe=recipe, cache=cache, classes=2, update=checkpoint)


def test_a_checkpoint_of_another_architecture_is_refused(data: Path, recipe: Path, cache: Path, tmp_path: Path) -> None:
    other = CheckpointInfo("edgesig", {}, "edgesig", "1", {}, {})
    path = save_checkpoint(tmp_path / "edgesig.safetensors", create("edgesig"), other)
    with pytest.raises(CheckpointError, match="holds a edgesig, not a signauth"):
        train(data, tmp_path / "run", recipe=recipe, cache=cache, update=path)


def test_one_image_a_person_is_refused_before_training(recipe: Path, cache: Path, tmp_path: Path) -> None:
    poor = write_people(tmp_path / "data", range(2), train_samples=1)
    with pytest.raises(DataError, match=r"person0, person1: too few images .*2 of 2 classes"):
        train(poor, tmp_path / "run", recipe=recipe, cache=cache)
    assert not (tmp_path / "run").exists()


def test_an_unreadable_file_is_named_and_counted(
    recipe: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_people(tmp_path / "data", range(2))
    (data / "train" / "person1" / "99.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    collection = collect(read_recipe(recipe, ClassifierRecipe), data, cache)
    assert collection.summary["unreadable"] == 1
    assert "99.png" in caplog.text and "skipped 1" in caplog.text
    assert len(collection.parts["train"].rows("known")) == 10


def test_unreadable_files_that_leave_a_person_without_samples_stop_the_run_at_once(
    recipe: Path, cache: Path, tmp_path: Path
) -> None:
    data = write_people(tmp_path / "data", range(2), train_samples=2)
    (data / "train" / "person1" / "0.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="person1: too few images"):
        collect(read_recipe(recipe, ClassifierRecipe), data, cache)


def test_a_picture_of_the_training_is_not_tested_on(recipe: Path, cache: Path, tmp_path: Path) -> None:
    data = write_people(tmp_path / "data", range(2))
    shutil.copy(data / "train" / "person0" / "0.png", data / "test" / "person0" / "copy.png")
    collection = collect(read_recipe(recipe, ClassifierRecipe), data, cache)
    assert collection.summary["unusable or repeated"] == 1
    assert len(collection.parts["test"].rows("known")) == 8


def test_batches_hold_every_person_and_nobody_and_repeat_exactly(data: Path, recipe: Path, cache: Path) -> None:
    settings = read_recipe(recipe, ClassifierRecipe)
    part = collect(settings, data, cache).parts["train"]
    canvases, targets = Batches(part, 3, settings, 10, 4)[7]
    again, same = Batches(part, 3, settings, 10, 4)[7]
    assert torch.equal(canvases, again) and torch.equal(targets, same)
    assert not torch.equal(canvases, Batches(part, 3, settings, 10, 5)[7][0])
    assert canvases.shape == (12, 1, 256, 256) and canvases.dtype == torch.float32
    # No forgeries here: 8 known, 3 strangers, 1 imagined.
    counts = torch.bincount(targets, minlength=4).tolist()
    assert counts[3] == 4 and sorted(counts[:3]) == [2, 3, 3]


def test_without_rejection_nobody_is_in_a_batch(data: Path, recipe: Path, cache: Path) -> None:
    settings = read_recipe(recipe, ClassifierRecipe)
    part = collect(settings, data, cache).parts["train"]
    _, targets = Batches(part, 3, settings.model_copy(update={"rejects": False}), 10, 0)[0]
    assert len(targets) == 8 and int(targets.max()) == 2


def test_examples_are_canvases_by_seed(checkpoint: Path) -> None:
    _, info = load_checkpoint(checkpoint)
    drawn = examples(info, 4, seed=1)
    assert drawn.shape == (4, 256, 256) and set(np.unique(drawn)) == {0, 255}
    assert np.array_equal(drawn, examples(info, 4, seed=1))
    assert not np.array_equal(drawn, examples(info, 4, seed=2))


@pytest.mark.parametrize("path", sorted(folder("signauth").glob("recipe*.yaml")), ids=lambda path: path.stem)
def test_every_committed_recipe_is_valid(path: Path) -> None:
    settings = read_recipe(path, ClassifierRecipe)
    assert settings.name.startswith("signauth-")
    assert create(settings.architecture, classes=settings.known.classes, **settings.config)


def test_real_people_are_known_or_strangers_and_no_test_signer_is_seen(research_data: Path, tmp_path: Path) -> None:
    people = KnownPeople(source="cedar-half", classes=24)
    assigned = _assign_source(_of_source(people, research_data, tmp_path), people)
    signers = {kind: {one.record.signer for one in assigned if one.kind == kind} for kind in ("known", "stranger")}
    assert len(signers["known"]) == 24 and len(signers["stranger"]) == 20
    assert not signers["known"] & signers["stranger"]
    test_fold = {"3", "5", "10", "13", "17", "20", "23", "28", "30", "42", "49"}
    assert not test_fold & (signers["known"] | signers["stranger"])
    parts = {part: [one for one in assigned if (one.kind, one.part) == ("known", part)] for part in ("train", "test")}
    assert len(parts["train"]) == 24 * 12 and len(parts["test"]) == 24 * 8
