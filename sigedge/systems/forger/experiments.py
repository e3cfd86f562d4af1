"""What a detector owes to the processing and to the species of generators it learned from."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from sigedge.systems.forger.detection import detector_scores
from sigedge.systems.forger.measures import detection_figures
from sigedge.systems.forger.processing import PROCESSINGS, processed
from sigedge.systems.forger.recipe import ForgerRecipe
from sigedge.systems.forger.specimens import BONA_FIDE, Specimens
from sigedge.systems.forger.train import threshold_for, train_detector

_STEPS = 1000


@dataclass(frozen=True)
class Setting:
    """Specimens of three parts without a common signer, and what to call them."""

    name: str
    train: Specimens
    validation: Specimens
    test: Specimens


def processing_rows(detector: nn.Module, threshold: float, specimens: Specimens, **facts: str) -> list[dict[str, Any]]:
    """A row of figures for each of `PROCESSINGS`, all with the same threshold; `facts` stand in every row."""
    rows = []
    for name in PROCESSINGS:
        scores = detector_scores(detector, processed(specimens.images, name))
        rows.append({**facts, "processing": name, **detection_figures(scores, specimens, threshold)})
    return rows


def unprocessed_detector(recipe: ForgerRecipe, setting: Setting) -> tuple[nn.Module, float]:
    """A detector that learns from images as they are, and its threshold."""
    steps = min(_STEPS, recipe.detection.steps)
    changes = {"steps": steps, "steps_per_epoch": min(steps, recipe.detection.steps_per_epoch), "processed": 0.0}
    plain = recipe.model_copy(update={"detection": recipe.detection.model_copy(update=changes)})
    with tempfile.TemporaryDirectory() as folder:
        detector = train_detector(plain, setting.train, setting.validation, Path(folder))
    return detector, threshold_for(detector, setting.validation)


def left_out_rows(recipe: ForgerRecipe, setting: Setting) -> list[dict[str, Any]]:
    """How each species is found by a detector that learned from all of them, and by one that never saw it.

    With one species alone there is nothing left to learn from without it; then only the first row is there.
    """
    species = sorted({name for name in setting.train.species if name != BONA_FIDE})
    rows = _species_rows(recipe, setting, species, seen=True)
    for name in species if len(species) > 1 else []:
        known = Setting(setting.name, _without(setting.train, name), _without(setting.validation, name), setting.test)
        rows += _species_rows(recipe, known, [name], seen=False)
    return rows


def _species_rows(recipe: ForgerRecipe, setting: Setting, species: list[str], *, seen: bool) -> list[dict[str, Any]]:
    detector, threshold = unprocessed_detector(recipe, setting)
    rows = []
    for name in species:
        judged = setting.test.of(BONA_FIDE, name)
        figures = detection_figures(detector_scores(detector, judged.images), judged, threshold)
        rows.append({"setting": setting.name, "species": name, "seen": seen, **figures})
    return rows


def _without(specimens: Specimens, species: str) -> Specimens:
    return specimens.select(np.asarray(specimens.species) != species)
