"""Training and validation canvases of a recipe: real data sets and synthetic signers, test signers never."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigedge.data import (
    CanvasCache,
    CanvasSet,
    load_splits,
    read_folders,
    read_index,
    signers_of,
    training_records,
)
from sigedge.synthesis import write_dataset
from sigedge.training.batches import Pool, make_pool
from sigedge.training.recipe import Recipe, SyntheticSigners

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class TrainingData:
    """What a training run reads.

    Attributes:
        pools: training canvases by data set.
        validation: canvases of the validation signers of all real data sets.
        summary: counts and signers by data set, for the checkpoint's header and the card.
    """

    pools: dict[str, Pool]
    validation: CanvasSet
    summary: dict[str, Any]


def load_training_data(recipe: Recipe, data: Path, cache: Path, *, fold: int = 0) -> TrainingData:
    """Canvases for training and validation.

    Args:
        recipe: which data sets, and how many synthetic signers.
        data: folder with index.csv and splits.json.
        cache: folder for canvases and synthetic signers.
        fold: test fold of data sets that are split by folds.

    Raises:
        DataError: a data set of the recipe is not there or has no training part.
    """
    names = [name for name in recipe.data.signers_per_batch if name != SYNTHETIC]
    parts = training_records(read_index(data / "index.csv"), names, load_splits(data / "splits.json"), fold=fold)
    canvases = CanvasCache(cache / "canvases")
    train = canvases.canvases(parts.train).unique()
    validation = canvases.canvases(parts.validation).unique().usable()
    pools, summary = {}, {}
    for name in names:
        chosen = train.select([record.dataset == name for record in train.records])
        held_out = [record for record in validation.records if record.dataset == name]
        pools[name] = _pool(chosen)
        summary[name] = _summary(chosen) | {"validation_signers": signers_of(held_out), "test_fold": fold}
    if SYNTHETIC in recipe.data.signers_per_batch:
        synthetic = _synthetic(recipe.data.synthetic, cache, canvases)
        pools[SYNTHETIC], summary[SYNTHETIC] = _pool(synthetic), recipe.data.synthetic.model_dump()
    return TrainingData(pools, validation, summary)


def _synthetic(wanted: SyntheticSigners, cache: Path, canvases: CanvasCache) -> CanvasSet:
    name = f"synthetic-{wanted.seed}-{wanted.signers}x{wanted.genuine}+{wanted.forged}"
    folder = write_dataset(
        cache / name, signers=wanted.signers, genuine=wanted.genuine, forged=wanted.forged, seed=wanted.seed
    )
    return canvases.canvases(read_folders(folder)).usable()


def _pool(chosen: CanvasSet) -> Pool:
    return make_pool(chosen.canvases, [r.signer for r in chosen.records], [r.genuine for r in chosen.records])


def _summary(chosen: CanvasSet) -> dict[str, Any]:
    return {"images": len(chosen), "training_signers": signers_of(chosen.records)}
