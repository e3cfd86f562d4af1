"""Training and validation canvases of a recipe: real data sets and synthetic signers, test signers never."""

from __future__ import annotations

import hashlib
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
from sigedge.synthesis import cached_dataset
from sigedge.training.batches import Pool, make_pool
from sigedge.training.recipe import Recipe, SyntheticSigners
from sigedge_runtime.errors import RecipeError

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class TrainingData:
    """What a training run reads.

    Attributes:
        pools: training canvases by data set.
        validation: canvases of the validation signers of all real data sets; of synthetic ones where there is none.
        summary: counts and signers by data set, for the checkpoint's header and the card.
    """

    pools: dict[str, Pool]
    validation: CanvasSet
    summary: dict[str, Any]


def load_training_data(recipe: Recipe, data: Path, cache: Path, *, fold: int = 0) -> TrainingData:
    """Canvases for training and validation.

    Args:
        recipe: which data sets, and how many synthetic signers.
        data: folder with index.csv and splits.json; not read for a recipe of synthetic signers alone.
        cache: folder for canvases and synthetic signers.
        fold: test fold of data sets that are split by folds.

    Raises:
        DataError: a data set of the recipe is not there or has no training part.
        RecipeError: the recipe names no data set, or too few synthetic signers to hold some out.
    """
    names = [name for name in recipe.data.signers_per_batch if name != SYNTHETIC]
    canvases = CanvasCache(cache / "canvases")
    pools, summary = {}, {}
    validation: CanvasSet | None = None
    if names:
        parts = training_records(read_index(data / "index.csv"), names, load_splits(data / "splits.json"), fold=fold)
        train = canvases.canvases(parts.train).unique()
        validation = canvases.canvases(parts.validation).unique().usable()
        for name in names:
            chosen = _some(train.select([record.dataset == name for record in train.records]), recipe, name)
            held_out = [record for record in validation.records if record.dataset == name]
            pools[name] = _pool(chosen)
            summary[name] = _summary(chosen) | {"validation_signers": signers_of(held_out), "test_fold": fold}
    if SYNTHETIC in recipe.data.signers_per_batch:
        drawn = _synthetic(recipe.data.synthetic, cache, canvases)
        summary[SYNTHETIC] = recipe.data.synthetic.model_dump()
        if validation is None:
            drawn, validation = _held_out(drawn, recipe.data.synthetic.validation)
        pools[SYNTHETIC] = _pool(_some(drawn, recipe, SYNTHETIC))
    if validation is None:
        raise RecipeError("The recipe's data.signers_per_batch names no data set; name one, or synthetic.")
    return TrainingData(pools, validation, summary)


def _some(chosen: CanvasSet, recipe: Recipe, dataset: str) -> CanvasSet:
    """At most as many signers as the recipe wants of a data set; more of them always include fewer."""
    count = recipe.data.training_signers.get(dataset)
    signers = set(sorted({record.signer for record in chosen.records}, key=_shuffled)[:count])
    return chosen.select([record.signer in signers for record in chosen.records])


def _shuffled(signer: str) -> str:
    """A key that orders signers by chance, and always the same way."""
    return hashlib.sha256(signer.encode()).hexdigest()


def _held_out(drawn: CanvasSet, count: int) -> tuple[CanvasSet, CanvasSet]:
    """Training and validation part of synthetic signers: the last ones validate."""
    signers = sorted({record.signer for record in drawn.records})
    if len(signers) < count + 2:
        raise RecipeError(
            f"{len(signers)} synthetic signers cannot spare {count} for validation; raise data.synthetic.signers, or "
            "lower data.synthetic.validation."
        )
    last = set(signers[-count:])
    return (
        drawn.select([record.signer not in last for record in drawn.records]),
        drawn.select([record.signer in last for record in drawn.records]),
    )


def _synthetic(wanted: SyntheticSigners, cache: Path, canvases: CanvasCache) -> CanvasSet:
    folder = cached_dataset(
        cache, signers=wanted.signers, genuine=wanted.genuine, forged=wanted.forged, seed=wanted.seed
    )
    return canvases.canvases(read_folders(folder)).usable()


def _pool(chosen: CanvasSet) -> Pool:
    return make_pool(chosen.canvases, [r.signer for r in chosen.records], [r.genuine for r in chosen.records])


def _summary(chosen: CanvasSet) -> dict[str, Any]:
    return {"images": len(chosen), "training_signers": signers_of(chosen.records)}
