"""The classifier's figures: on toy predictions that can be counted by hand, and from checkpoints to a result."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sigedge.systems.signauth import evaluate, train
from sigedge.systems.signauth.drawing import draw_result
from sigedge.systems.signauth.figures import Scored, closed_figures, decided_figures, open_figures
from sigedge.systems.signauth.samples import Part
from sigedge_runtime.errors import CheckpointError

RECIPE = {
    "name": "signauth-classifier",
    "version": "1",
    "licence": "none",
    "config": {"stages": [[4, 4], [8, 4], [8, 2]], "features": 8},
    "known": {"classes": 3, "genuine": 6, "forged": 3, "seed": 5},
    "strangers": {"signers": 6, "samples": 1, "seed": 6},
    "batch": {"known": 4, "forged": 1, "strangers": 1, "imagined": 1},
    "optimisation": {"steps": 4, "steps_per_epoch": 2},
    "update": {"steps": 2},
}


def scored(targets: list[int], predicted: list[int], kinds: str, score: list[float]) -> Scored:
    """Kinds by letter: k(nown), f(orged), s(tranger); known people and forgeries are named after their number."""
    names = {"k": "known", "f": "forged", "s": "stranger"}
    people = [f"stranger {i}" if kind == "s" else f"person {i % 2}" for i, kind in enumerate(kinds)]
    part = Part(
        np.zeros((len(kinds), 1, 1), np.uint8),
        np.array(targets),
        np.array([names[kind] for kind in kinds]),
        np.array(people),
    )
    return Scored(part, np.array(predicted), {"energy": np.array(score)})


@pytest.fixture
def toy() -> Scored:
    """Two classes; of four known samples one is mistaken; two forgeries and two strangers get names of known people."""
    return scored([0, 1, 0, 1, 2, 2, 2, 2], [0, 1, 0, 0, 0, 1, 0, 1], "kkkkffss", [5, 4, 3, 2, 2.5, 1, 0, 0])


def test_closed_figures_look_at_known_people_alone(toy: Scored) -> None:
    found = closed_figures(toy, 2)
    assert (found["samples"], found["accuracy"]) == (4, 0.75)
    assert found["macro_precision"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["macro_recall"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["confusion"] == [[2, 0], [1, 1]]
    low, high = found["accuracy_ci95"]
    assert 0.5 <= low <= 0.75 <= high <= 1


def test_whoever_is_unknown_and_gets_a_name_costs_precision(toy: Scored) -> None:
    never = decided_figures(toy, 2, None, None)
    # Class 0: 2 right of 5 named so; class 1: 1 of 3.
    assert never["macro_precision"] == pytest.approx((2 / 5 + 1 / 3) / 2)
    assert (never["forged_accepted"], never["stranger_accepted"]) == (1, 1)


def test_rejection_trades_recall_for_precision(toy: Scored) -> None:
    found = decided_figures(toy, 2, "energy", 2.9)
    assert (found["known_accepted"], found["forged_accepted"], found["stranger_accepted"]) == (0.75, 0, 0)
    assert (found["macro_precision"], found["macro_recall"]) == (1, pytest.approx((1 + 1 / 2) / 2))


def test_the_threshold_is_the_validations_and_the_separation_the_tests(toy: Scored) -> None:
    validation = scored([0, 1, 2], [0, 1, 0], "kks", [7.0, 6.0, 0.0])
    found = open_figures(toy, validation, 2)["energy"]
    assert found["decided"]["threshold"] == 6.0 and found["decided"]["known_accepted"] == 0
    assert found["strangers"]["auroc"] == 1 and found["strangers"]["fpr_at_95_tpr"] == 0
    assert found["forgeries"]["auroc"] == pytest.approx(7 / 8)
    assert found["forgeries"]["fpr_at_95_tpr"] == 0.5
    assert found["forgeries"]["roc"][0] == [0.0, 0.75] and found["forgeries"]["roc"][-1] == [1.0, 1.0]
    assert found["both"]["auroc"] == pytest.approx(15 / 16)


def test_without_strangers_there_is_no_figure_of_them() -> None:
    known = scored([0, 1], [0, 1], "kk", [1.0, 2.0])
    found = open_figures(known, known, 2)["energy"]
    assert set(found) == {"decided"} and found["decided"]["known_accepted"] == 1


@settings(max_examples=15)
@given(st.lists(st.integers(0, 2), min_size=3, max_size=30), st.integers(0, 5))
def test_figures_are_rates_whatever_is_predicted(predicted: list[int], seed: int) -> None:
    targets = np.random.default_rng(seed).integers(0, 3, len(predicted)).tolist()
    people = scored(targets, predicted, "k" * len(predicted), [0.0] * len(predicted))
    found = closed_figures(people, 3)
    for name in ("accuracy", "macro_precision", "macro_recall"):
        assert 0 <= found[name] <= 1
    assert sum(map(sum, found["confusion"])) == len(predicted)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``models/``: the classifier, and one without rejection beside it as an experiment."""
    folder = tmp_path_factory.mktemp("work")
    for name, rejects in (("signauth-classifier", True), ("signauth-plain", False)):
        recipe = folder / f"{name}.yaml"
        recipe.write_text(yaml.safe_dump({**RECIPE, "name": name, "rejects": rejects}))
        train(folder / "nowhere", folder / "models", recipe=recipe, cache=folder / "cache")
    return folder


def test_judges_every_checkpoint_of_a_folder(workplace: Path) -> None:
    steps: list[str] = []
    found = evaluate(workplace / "models", workplace, cache=workplace / "cache", progress=steps.append)
    assert steps == ["judging signauth-classifier", "judging signauth-plain"]
    json.dumps(found, allow_nan=False)
    (network,) = found["networks"]
    assert (network["network"], network["task"]) == ("classifier", "classification")
    assert network["value"] == found["experiments"][0]["closed"]["accuracy"]
    assert len(network["checkpoint_sha256"]) == 64 and network["parameters"] > 0
    assert [row["rejects"] for row in found["experiments"]] == [True, False]
    assert set(found["experiments"][0]["open"]) == {"max softmax", "max logit", "energy", "class distance"}
    pictures = draw_result(found, workplace / "pictures")
    assert [cv2.imread(str(path)).shape[2] for path in pictures] == [3, 3]


def test_without_the_classifier_there_is_nothing_to_judge(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="sigedge train signauth"):
        evaluate(tmp_path, tmp_path, cache=tmp_path, progress=lambda step: None)
