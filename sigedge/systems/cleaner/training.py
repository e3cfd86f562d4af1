"""Training the cleaner from a recipe to a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import lightning
import numpy as np
import torch

import sigedge
from sigedge.systems.cleaner.batches import make_document
from sigedge.systems.cleaner.cyclegan import CycleTraining, PairedTraining
from sigedge.systems.cleaner.documents import Documents
from sigedge.systems.cleaner.metrics import likeness
from sigedge.systems.cleaner.noise import NoisyDocument
from sigedge.systems.cleaner.recipe import CleanerRecipe
from sigedge.systems.cleaner.regions import HEIGHT, WIDTH
from sigedge.systems.cleaner.signatures import Inks, TrainingInks, load_training_inks
from sigedge.systems.cleaner.use import clean_regions
from sigedge.training.recipe import read_recipe
from sigedge.training.runs import fit
from sigedge_models import CheckpointInfo, create, folder, load_checkpoint, load_weights, save_checkpoint
from sigedge_models.cleaner.model import Cleaner
from sigedge_runtime.errors import CheckpointError

NETWORK = "generator"


def train(
    data: Path,
    out: Path,
    *,
    recipe: Path | None = None,
    cache: Path = Path(".cache"),
    steps: int | None = None,
    initial: Path | None = None,
) -> Mapping[str, Path]:
    """Train the cleaner; a run that was interrupted goes on after its last validation.

    Args:
        data: folder with index.csv and splits.json; a recipe without data sets does not look for them. Cheques of SSBI
            and pages of Tobacco-800 are taken where it holds them, and drawn otherwise.
        out: folder of the run: logs, Lightning's last.ckpt, and at the end cleaner-generator.safetensors.
        recipe: a recipe file; the system's own when None.
        cache: folder for synthetic signers.
        steps: batches in all, in place of the recipe's.
        initial: checkpoint whose weights the cleaner starts from; random weights when None.

    Returns:
        The checkpoint by network: ``{"generator": path}``.

    Raises:
        RecipeError: the recipe is invalid.
        DataError: the data sets cannot be used.
        CheckpointError: `initial` is no cleaner of this size, or the weights became NaN.
        KeyboardInterrupt: Ctrl-C; the same call goes on after the last validation.
    """
    settings = _with_steps(read_recipe(recipe or folder("cleaner") / "recipe.yaml", CleanerRecipe), steps)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    inks = load_training_inks(settings.data, data, cache)
    documents = validation_documents(inks.validation, inks.validation_documents, settings)
    kind = CycleTraining if settings.supervision == "unpaired" else PairedTraining
    module = kind(_start(settings, initial), settings, inks, lambda cleaner: figures(cleaner, documents))
    rhythm = settings.optimisation
    fit(
        module,
        out,
        steps=rhythm.steps,
        steps_per_epoch=rhythm.steps_per_epoch,
        validate_every=rhythm.validate_every,
        optimisers=module.optimisers,
    )
    return {NETWORK: _save(module.average.cpu(), settings, inks, documents, out)}


def validation_documents(inks: Inks, documents: Documents, recipe: CleanerRecipe) -> list[NoisyDocument]:
    """Noisy documents of validation signers, the same ones whenever they are asked for."""
    rngs = (np.random.default_rng([recipe.seed, 1, number]) for number in range(recipe.data.validation_documents))
    return [make_document(inks.inks, documents, rng, recipe) for rng in rngs]


def figures(cleaner: torch.nn.Module, documents: list[NoisyDocument]) -> dict[str, float]:
    """`likeness` of cleaned documents to their truth, and the ink overlap of cleaned clean images with themselves."""
    truths = [document.clean for document in documents]
    kept = likeness(truths, clean_regions(cleaner, truths))
    return {
        **likeness(truths, clean_regions(cleaner, [document.dirty for document in documents])),
        "ink_iou_of_clean": kept["ink_iou"],
    }


def _with_steps(recipe: CleanerRecipe, steps: int | None) -> CleanerRecipe:
    if steps is None:
        return recipe
    per_epoch = min(steps, recipe.optimisation.steps_per_epoch)
    optimisation = recipe.optimisation.model_copy(update={"steps": steps, "steps_per_epoch": per_epoch})
    return recipe.model_copy(update={"optimisation": optimisation})


def _start(recipe: CleanerRecipe, initial: Path | None) -> Cleaner:
    cleaner = create(recipe.architecture, **{"network": NETWORK, **recipe.config})
    if initial is not None:
        trained, info = load_checkpoint(initial)
        if info.architecture != recipe.architecture:
            raise CheckpointError(
                f"{initial} holds a {info.architecture}, the recipe trains a cleaner; give a checkpoint of a cleaner."
            )
        load_weights(cleaner, trained.state_dict(), initial, recipe.architecture)
    return cast(Cleaner, cleaner)


def _save(
    cleaner: Cleaner, recipe: CleanerRecipe, inks: TrainingInks, documents: list[NoisyDocument], out: Path
) -> Path:
    info = CheckpointInfo(
        architecture=recipe.architecture,
        config={"network": NETWORK, **recipe.config},
        name=f"{recipe.architecture}-{NETWORK}",
        version=recipe.version,
        preprocess={"canvas_height": HEIGHT, "canvas_width": WIDTH},
        decision={},
        training={
            "data": inks.summary,
            "recipe": recipe.model_dump(mode="json"),
            "validation": figures(cleaner, documents),
            "versions": {"sigedge": sigedge.__version__, "torch": torch.__version__},
        },
        licence=recipe.licence,
        seed=recipe.seed,
        task="image",
    )
    return save_checkpoint(out / f"{info.name}.safetensors", cleaner, info, half=True)
