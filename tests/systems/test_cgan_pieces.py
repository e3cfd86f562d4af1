"""The pieces of cgan, each against what it promises."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sigedge.systems.cgan import distribution
from sigedge.systems.cgan.classification import Targeted, all_outputs_right, judged, signers_right
from sigedge.systems.cgan.data import Labelled, softened
from sigedge.systems.cgan.drawing import balanced, draw_latents, generate
from sigedge.systems.cgan.gan import GanBatches
from sigedge.systems.cgan.history import read_history
from sigedge.systems.cgan.measures import figures_of_classes, figures_of_judge, share
from sigedge.systems.cgan.recipe import GeneratorRecipe
from sigedge.systems.cgan.storage import has_fractions, has_other_levels, stored
from sigedge_models import create

bits = st.integers(0, 2**32 - 1)


def canvas(seed: int, shape: tuple[int, int] = (16, 24)) -> np.ndarray:  # type: ignore[type-arg]
    return (np.random.default_rng(seed).random(shape) > 0.7).astype(np.uint8) * 255


@given(bits)
def test_a_softened_canvas_comes_back_exactly(seed: int) -> None:
    drawn = np.stack([canvas(seed)])
    soft = softened(drawn)
    assert np.array_equal(stored(soft, "two-level"), drawn)
    assert len(np.unique(soft)) > 2


@given(st.lists(st.floats(0, 255, width=32), min_size=1, max_size=20))
def test_storing_keeps_what_it_says(values: list[float]) -> None:
    images = np.array(values, np.float32).reshape(1, 1, -1)
    assert np.array_equal(stored(images, "float"), images)
    grey = stored(images, "grey")
    assert np.array_equal(grey, grey.astype(np.uint8))
    assert float(np.abs(grey - images).max()) <= 0.5
    assert set(np.unique(stored(images, "two-level"))) <= {0.0, 255.0}


def test_rules_see_fractions_and_strange_levels() -> None:
    images = np.array([[[0, 7]], [[0, 8]], [[0.5, 7]]], np.float32)
    assert has_fractions(images).tolist() == [False, False, True]
    assert has_other_levels(images, np.array([0, 7], np.uint8)).tolist() == [False, True, True]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), bits)
def test_latents_name_the_signer_in_row_0(labels: list[int], seed: int) -> None:
    wanted = np.array(labels)
    latents = draw_latents(wanted, (3, 6), np.random.default_rng(seed))
    assert latents[:, 0].argmax(1).tolist() == labels
    assert (latents[:, 0].astype(int).sum(1) == 255).all()


def test_noise_covers_all_bytes() -> None:
    latents = draw_latents(np.zeros(400, np.int64), (3, 6), np.random.default_rng(0))
    assert set(np.unique(latents[:, 1:])) == set(range(256))


def test_generating_depends_on_seed_and_signer_alone() -> None:
    generator = create("cgan", network="generator", features=8, channels=[8, 4], canvas_height=16, canvas_width=32)
    labels = balanced(3, 2)
    first, again, other = (generate(generator, labels, seed) for seed in (1, 1, 2))
    assert first.shape == (6, 16, 32)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert generator.training


def samples() -> Labelled:
    return Labelled(np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2), np.array([0, 0, 1, 1, 2, 2]))


def test_packs_are_of_one_signer_and_repeat_exactly() -> None:
    recipe = GeneratorRecipe(steps=4, steps_per_epoch=4, batch=8, pack=4)
    batches = GanBatches(samples(), recipe, (2, 4), seed=1, epoch=0)
    for images, signers, latents in (batches[index] for index in range(4)):
        packs = signers.reshape(-1, 4)
        assert (packs == packs[:, :1]).all()
        assert (latents[:, 0, 0].argmax(1) == signers).all()
        assert (images[:, 0, 0, 0] // 8 == signers).all()
    same = GanBatches(samples(), recipe, (2, 4), seed=1, epoch=0)[2]
    later = GanBatches(samples(), recipe, (2, 4), seed=1, epoch=1)[2]
    assert all(torch.equal(a, b) for a, b in zip(batches[2], same, strict=True))
    assert not torch.equal(batches[2][2], later[2])
    with pytest.raises(IndexError):
        batches[4]


def judge_samples() -> Targeted:
    images, labels = np.zeros((4, 2, 2), np.float32), np.array([0, 1, 2, 0])
    return judged(images, labels, images + 1, labels, 3)


def test_the_judge_learns_signer_and_kind() -> None:
    found = judge_samples()
    assert found.targets.sum(1).tolist() == [2, 2, 2, 2, 1, 1, 1, 1]
    assert found.targets[:, :3].argmax(1).tolist() == [0, 1, 2, 0] * 2
    assert (found.images[4:] == 1).all()


def test_a_perfect_judge_gets_perfect_figures() -> None:
    found = judge_samples()
    signers, genuine = found.targets[:, :3] * 10 - 5, found.targets[:, 3:] * 10 - 5
    scores = np.hstack([signers + genuine / 2, signers - genuine / 2]).astype(np.float32)
    figures = figures_of_judge(scores, found, ("a", "b", "c"))
    assert figures["signers"]["accuracy"]["value"] == 1.0
    assert figures["kinds"]["auc"] == 1.0
    assert figures["kinds"]["confusion"] == [[4, 0], [0, 4]]


def test_figures_count_what_went_wrong() -> None:
    figures = figures_of_classes(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), ("a", "b"))
    assert figures["confusion"] == [[1, 1], [0, 2]]
    assert figures["classes"]["a"]["recall"] == 0.5
    assert figures["classes"]["b"]["precision"] == pytest.approx(2 / 3)
    assert figures["accuracy"]["value"] == 0.75


def test_an_accuracy_of_one_still_has_an_interval() -> None:
    low, high = share(np.ones(3000, bool))["ci95"]
    assert 0.998 < low < 0.999
    assert high == pytest.approx(1.0)


def test_measures_while_training() -> None:
    scores = torch.tensor([[2.0, 1.0, -3.0], [-1.0, 0.5, 2.0]])
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    assert float(signers_right(scores, targets, 2)) == 1.0
    assert float(all_outputs_right(scores, targets)) == 0.5


def normal(count: int, shift: float, seed: int) -> distribution.Embeddings:
    return np.random.default_rng(seed).normal(shift, 1, (count, 4))


def test_frechet_distance_of_known_gaussians() -> None:
    assert distribution.frechet_distance(normal(20_000, 0, 0), normal(20_000, 1, 1)) == pytest.approx(4, abs=0.15)
    assert distribution.frechet_distance(normal(20_000, 0, 0), 2 * normal(20_000, 0, 1)) == pytest.approx(4, abs=0.15)


def test_kernel_distance_is_unbiased_and_grows() -> None:
    same = [distribution.kernel_distance(normal(60, 0, seed), normal(60, 0, seed + 100)) for seed in range(60)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(60)
    assert distribution.kernel_distance(normal(60, 0, 0), normal(60, 1, 1)) > 5 * np.std(same)


def test_set_distances_have_a_range_around_their_value() -> None:
    found = distribution.set_distances(normal(80, 0, 0), normal(100, 0.5, 1))
    assert found["images"] == 40
    for name in ("fid", "kid"):
        assert found[name]["ci95"][0] < found[name]["value"] < found[name]["ci95"][1]


def test_ink_distance_is_one_minus_shared_ink() -> None:
    first = np.array([[[255, 255, 0, 0]]], np.uint8)
    others = np.array([[[255, 255, 0, 0]], [[0, 255, 255, 0]], [[0, 0, 200, 127]], [[0, 0, 0, 0]]], np.uint8)
    assert distribution.ink_distances(first, others)[0].tolist() == pytest.approx([0, 2 / 3, 1, 1])


def test_copies_are_found_and_equals_are_not() -> None:
    training = normal(50, 0, 0)
    unseen = distribution.cosine_distances(normal(400, 0, 1), training)
    copied = distribution.memorisation(distribution.cosine_distances(training + 1e-6, training), unseen)
    equal = distribution.memorisation(distribution.cosine_distances(normal(400, 0, 2), training), unseen)
    assert copied["nearer"] == 1.0
    assert copied["copies"] == 1.0
    assert equal["nearer"] == pytest.approx(0.5, abs=0.06)
    assert equal["copies"] < 0.05


def test_variety_is_within_signers() -> None:
    points = np.array([0.0, 1.0, 10.0, 13.0])
    distances = np.abs(points[:, None] - points[None]).astype(np.float32)
    assert distribution.variety(distances, np.array([0, 0, 1, 1])) == 2.0


@pytest.mark.parametrize(("head", "size"), [("global", 6), ("local", 2 * 4 * 7)])
def test_embeddings_come_from_harmonised_images(head: str, size: int) -> None:
    verifier = create("edgesig", stages=[[4, 4], [8, 4], [8, 2]], head=head, embedding_size=6)
    page = np.zeros((1, 64, 128), np.uint8)
    cv2.line(page[0], (10, 10), (110, 50), (255,), 2)
    found = distribution.embeddings(verifier, np.concatenate([page, page // 2]))
    assert found.shape == (2, size)
    # Paler ink is the same ink once harmonised.
    assert np.allclose(found[0], found[1])


def test_history_is_what_the_last_sitting_says(tmp_path: Path) -> None:
    sittings = ["epoch,step,loss,eer\n0,1,3.0,\n0,1,,0.5\n1,3,2.0,\n", "epoch,step,loss,eer\n2,3,1.5,0.25\n3,5,1.0,\n"]
    for number, log in enumerate(sittings):
        folder = tmp_path / "csv" / f"version_{number}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(log)
    assert read_history(tmp_path) == [
        {"epoch": 1, "loss": 3.0, "eer": 0.5},
        {"epoch": 2, "loss": 1.5, "eer": 0.25},
        {"epoch": 3, "loss": 1.0},
    ]
    assert read_history(tmp_path / "nothing") == []
