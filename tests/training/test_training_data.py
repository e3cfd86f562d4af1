"""Canvases of a recipe: without a real data set synthetic signers are held out, and fewer signers are part of more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigedge.training.data import SYNTHETIC, TrainingData, load_training_data
from sigedge.training.recipe import Recipe
from sigedge_runtime.errors import RecipeError

NOWHERE = Path("there is no such folder")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def load(cache: Path, *, signers: int = 6, validation: int = 2, **data: Any) -> TrainingData:
    synthetic = {"signers": signers, "genuine": 2, "forged": 1, "seed": 3, "validation": validation}
    values = {"signers_per_batch": {SYNTHETIC: 2}, "synthetic": synthetic, **data}
    recipe = Recipe.model_validate(
        {"architecture": "edgesig", "name": "made", "version": "1", "licence": "none", "data": values}
    )
    return load_training_data(recipe, NOWHERE, cache)


def test_synthetic_signers_alone_need_no_research_data(cache: Path) -> None:
    found = load(cache)
    held_out = {record.signer for record in found.validation.records}
    assert held_out == {"signer_0005", "signer_0006"}
    assert len(found.pools[SYNTHETIC]) == 4


def test_no_canvas_both_trains_and_validates(cache: Path) -> None:
    found = load(cache)
    trained = {canvas.tobytes() for canvas in found.pools[SYNTHETIC].canvases}
    assert not trained & {canvas.tobytes() for canvas in found.validation.canvases}


def test_too_few_synthetic_signers_to_hold_some_out(cache: Path) -> None:
    with pytest.raises(RecipeError, match=r"6 synthetic signers cannot spare 5.*data\.synthetic\.signers"):
        load(cache, validation=5)


def test_a_recipe_without_data_sets_is_refused(cache: Path) -> None:
    with pytest.raises(RecipeError, match="names no data set"):
        load(cache, signers_per_batch={})


def test_fewer_training_signers_are_part_of_more(cache: Path) -> None:
    pools = [load(cache, training_signers={SYNTHETIC: count}).pools[SYNTHETIC] for count in (2, 3, 99)]
    assert [len(pool) for pool in pools] == [2, 3, 4]
    seen = [{canvas.tobytes() for canvas in pool.canvases} for pool in pools]
    assert seen[0] < seen[1] < seen[2]


def test_fewer_training_signers_leave_validation_alone(cache: Path) -> None:
    everyone, few = load(cache), load(cache, training_signers={SYNTHETIC: 2})
    assert np.array_equal(everyone.validation.canvases, few.validation.canvases)
