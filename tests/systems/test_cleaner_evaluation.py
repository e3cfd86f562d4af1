"""Judging the cleaner by what the verifier makes of its images."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sigedge.data import Record
from sigedge.evaluation.protocol import make_protocol
from sigedge.evaluation.results import write_result
from sigedge.synthesis import write_dataset
from sigedge.systems.cleaner import Documents, clean, evaluate, evaluation
from sigedge.systems.cleaner.evaluation import ARMS, Judge, judge_signers, with_queries_apart
from sigedge.systems.cleaner.pictures import before_and_after
from sigedge.systems.cleaner.recipe import CleanerRecipe
from sigedge.systems.cleaner.use import clean_regions
from sigedge.training.recipe import SyntheticSigners
from sigedge_models import CheckpointInfo, create, save_checkpoint
from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import CheckpointError

RECIPE = {"version": "1", "licence": "Apache-2.0", "config": {"width": 4, "blocks": 1}}


class Eraser(nn.Module):
    """A cleaner that knows the truth of nothing: it whitens everything lighter than a threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(100.0))

    def forward(self, canvas: torch.Tensor) -> torch.Tensor:
        return torch.where(canvas < self.level, canvas, torch.full_like(canvas, 255.0)).flatten(1)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    root = write_dataset(tmp_path_factory.mktemp("made") / "set", signers=3, genuine=7, forged=2, seed=6)
    return [
        Record(path, "made", path.parts[-3], "genuine" if path.parts[-2] == "genuine" else "forged", int(path.stem))
        for path in sorted(root.glob("*/*/*.png"))
    ]


def pooled(canvas: torch.Tensor) -> torch.Tensor:
    return nn.functional.avg_pool2d(canvas, 16).flatten(1) - 20


class Pooled(nn.Module):
    """A verifier that compares where the ink is."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, canvas: torch.Tensor) -> torch.Tensor:
        cells = pooled(canvas) + self.unused
        return torch.stack([cells, torch.zeros_like(cells)], dim=2).flatten(1)  # references demand nothing


@pytest.fixture(scope="module")
def judged(records: list[Record], decision: Decision, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    recipe = CleanerRecipe.model_validate(RECIPE)
    judge = Judge(Eraser(), recipe, Pooled(), decision, tmp_path_factory.mktemp("cache"))
    return judge_signers(judge, records, Documents())


@pytest.fixture(scope="module")
def decision(repository: Path) -> Decision:
    from sigedge_models import load_checkpoint

    return Decision.from_dict(load_checkpoint(repository / "models/weights/edgesig.safetensors")[1].decision)


def test_every_arm_is_judged_on_the_same_trials(judged: dict[str, Any]) -> None:
    arms = judged["references"]["1"]
    assert set(ARMS) < set(arms)
    assert {json.dumps(arms[arm]["trials"]) for arm in ARMS} == {json.dumps(arms["scan"]["trials"])}
    assert arms["scan"]["trials"]["genuine"] == 3 * 7 * 6 / 2


def test_noise_costs_and_what_it_costs_is_told(judged: dict[str, Any]) -> None:
    arms = judged["references"]["5"]
    assert arms["clean"]["eer_random"] < arms["dirty"]["eer_random"]
    for name, first, second in (
        ("gain_of_cleaning", "dirty", "cleaned"),
        ("damage_to_clean", "clean_cleaned", "clean"),
    ):
        expected = arms[first]["eer_skilled"] - arms[second]["eer_skilled"]
        assert arms[name]["estimate"] == pytest.approx(expected, abs=1e-9)
        assert arms[name]["low"] <= arms[name]["estimate"] <= arms[name]["high"]


def test_likeness_and_kinds_are_there(judged: dict[str, Any]) -> None:
    assert judged["images"] == 27
    assert judged["likeness"]["cleaned"]["psnr"] > judged["likeness"]["dirty"]["psnr"]
    assert sum(entry["images"] for entry in judged["kinds"].values()) >= 27
    assert set(judged["failure_to_acquire"]) == set(ARMS) - {"scan"}


def test_documents_do_not_depend_on_the_other_records(records: list[Record]) -> None:
    alone = evaluation._rng(records[3]).uniform(size=4)
    assert np.array_equal(alone, evaluation._rng(records[3]).uniform(size=4))
    assert not np.array_equal(alone, evaluation._rng(records[4]).uniform(size=4))


def test_references_stay_and_queries_move(records: list[Record]) -> None:
    protocol = make_protocol(records, 1)
    apart = with_queries_apart(protocol)
    assert len(apart.items) == 2 * len(records)
    for before, after in zip(protocol.draws, apart.draws, strict=True):
        assert after.references == before.references
        assert after.skilled == tuple(row + len(records) for row in before.skilled)
        assert min(after.genuine + after.random, default=len(records)) >= len(records)


def test_cleaning_reads_any_size_and_keeps_the_mode() -> None:
    model = Eraser().train()
    assert clean(model, np.full((70, 300), 90, np.uint8)).shape == (128, 256)
    assert clean_regions(model, np.full((3, 8, 16), 200, np.uint8)).tolist() == np.full((3, 8, 16), 255).tolist()
    assert model.training


def test_the_picture_has_three_rows_of_synthetic_documents() -> None:
    picture = before_and_after(Eraser(), count=2, seed=1)
    height, width = picture.shape
    assert (height // 3, width // 2) == (128 + 8, 256 + 8)
    assert np.array_equal(picture, before_and_after(Eraser(), count=2, seed=1))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with an untrained cleaner in it."""
    recipe = CleanerRecipe.model_validate(RECIPE)
    size = {"canvas_height": 128, "canvas_width": 256}
    info = CheckpointInfo(
        "cleaner", recipe.config, "cleaner-generator", "1", size, {}, {"recipe": recipe.model_dump(mode="json")}
    )
    save_checkpoint(tmp_path / "cleaner-generator.safetensors", create("cleaner", **recipe.config), info)
    return tmp_path


def test_without_a_data_folder_only_synthetic_signers_are_judged(
    models: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "SYNTHETIC", SyntheticSigners(signers=2, genuine=6, forged=0, seed=3))
    monkeypatch.chdir(repository)
    told: list[str] = []
    result = evaluate(models, tmp_path / "nowhere", cache=tmp_path / "cache", progress=told.append)
    assert list(result["sets"]) == ["synthetic"]
    assert len(told) == 1
    # No forgeries: there is no skilled error rate, and everything else is reported.
    arms = result["sets"]["synthetic"]["references"]["5"]
    assert arms["dirty"]["eer_skilled"] is None
    assert arms["gain_of_cleaning"] is None
    assert arms["dirty"]["eer_random"] is not None
    assert result["networks"][0]["parameters"] > 0
    write_result(tmp_path / "result.json", result)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cleaner-generator\.safetensors"):
        evaluate(tmp_path, tmp_path, cache=tmp_path, progress=lambda text: None)


@pytest.mark.research_data
def test_real_test_signers_are_the_fold_s(research_data: Path) -> None:
    signers = {record.signer for record in evaluation._test_records(research_data)}
    fold = json.loads((research_data / "splits.json").read_text())["cedar"]["folds"][0]
    assert signers == set(map(str, fold))
    with (research_data / "index.csv").open() as file:
        count = sum(row["dataset"] == "cedar-half" and row["signer"] in signers for row in csv.DictReader(file))
    assert len(evaluation._test_records(research_data)) == count
