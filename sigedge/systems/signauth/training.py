"""From a recipe or a folder of labelled images to a classifier, and from one that knows some people to one of more."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import sigedge
from sigedge.systems.signauth.figures import KNOWN_ACCEPTED
from sigedge.systems.signauth.labels import has_labels
from sigedge.systems.signauth.lightning_module import ClassifierTraining
from sigedge.systems.signauth.prepare import SPEC
from sigedge.systems.signauth.recipe import ClassifierRecipe
from sigedge.systems.signauth.rejection import energy, threshold_accepting
from sigedge.systems.signauth.samples import KINDS, LABELLED, Collection, Part, collect
from sigedge.training import embed
from sigedge.training.recipe import read_recipe
from sigedge.training.runs import fit
from sigedge_models import CheckpointInfo, create, folder, load_checkpoint, save_checkpoint
from sigedge_models.signauth.model import SignAuth
from sigedge_runtime.errors import CheckpointError, DataError

ARCHITECTURE = "signauth"


def train_classifier(
    data: Path,
    out: Path,
    *,
    recipe: Path | None = None,
    cache: Path = Path(".cache"),
    steps: int | None = None,
    initial: Path | None = None,
    classes: int | None = None,
    update: Path | None = None,
) -> Path:
    """Train a classifier, or go on from one; an interrupted run goes on after its last checkpoint.

    Args:
        data: folder with ``train/`` and maybe ``test/``, images by label; or the research folder with index.csv and
            splits.json, whose people the recipe names. Synthetic people need neither.
        out: folder of the run; the checkpoint is ``out/NAME.safetensors`` by the recipe's name.
        recipe: a recipe file; the system's own when None.
        cache: folder for canvases and synthetic signers.
        steps: batches in all, in place of the recipe's.
        initial: checkpoint to start from; it must know the very same people.
        classes: number of people that there must be afterwards; None takes what the data or the recipe say.
        update: checkpoint to start from; people it does not know become further classes behind its own, and those of
            whom there is no image any more are kept.

    Returns:
        The checkpoint's path.

    Raises:
        RecipeError: the recipe is invalid.
        DataError: the data cannot be used, or the number of classes is not what was asked for.
        CheckpointError: the checkpoint is of another kind or knows other people.
        KeyboardInterrupt: Ctrl-C; the same call goes on after the last checkpoint.
    """
    own = folder(ARCHITECTURE) / "recipe.yaml"
    start = update or initial
    settings = _settings(read_recipe(recipe or own, ClassifierRecipe), steps, going_on=start is not None)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    model, info = (None, None) if start is None else load_classifier(start)
    known = [] if info is None else info.labels
    if data.is_dir() and not has_labels(data) and not (data / "index.csv").is_file():
        raise DataError(
            f"{data} holds neither a folder train with labelled images nor index.csv; put them there, or leave the "
            "folder out and synthetic people are learned."
        )
    collection = collect(settings, data, cache, classes=classes, known=known)
    if info is not None and update is None and len(collection.labels) != len(known):
        raise CheckpointError(
            f"{start} knows {len(known)} classes and the data have {len(collection.labels)}; let it grow with "
            "--update, or train anew without a checkpoint."
        )
    network = _network(model, info, settings, len(collection.labels))
    # A run of its own for each beginning: the logs and checkpoints of another must not be taken for this one's.
    run = out / (settings.name if start is None else f"{settings.name}-from-{_digest(start)}")
    _fit(network, settings, collection, run)
    return _save(out / f"{settings.name}.safetensors", network, settings, collection, info)


def load_classifier(path: Path) -> tuple[SignAuth, CheckpointInfo]:
    """The classifier in evaluation mode, and what its checkpoint says of itself.

    Raises:
        CheckpointError: the file is missing, damaged, or holds another kind of network.
    """
    model, info = load_checkpoint(path)
    if not isinstance(model, SignAuth):
        raise CheckpointError(
            f"{path} holds a {info.architecture}, not a {ARCHITECTURE}; give one that it can grow from."
        )
    return model, info


def features_of(model: SignAuth, canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features before the last layer, float32 [N, F], of canvases uint8 [N, H, W], in evaluation mode."""
    return embed(_Features(model), canvases)


def validation_figures(model: torch.nn.Module, part: Part) -> dict[str, float]:
    """Accuracy on known people and AUROC of known people against everybody else, for the training log."""
    logits, known = embed(model, part.canvases), part.kinds == "known"
    right = logits[known].argmax(axis=1) == part.targets[known]
    figures = {"validation_accuracy": float(right.mean())}
    if not known.all():
        figures["validation_auroc"] = float(roc_auc_score(known, energy(logits)))
    return figures


class _Features(torch.nn.Module):
    """A classifier without its last layer."""

    def __init__(self, model: SignAuth) -> None:
        super().__init__()
        self.model = model

    def forward(self, canvas: torch.Tensor) -> torch.Tensor:
        return self.model.features(canvas)


def _settings(recipe: ClassifierRecipe, steps: int | None, *, going_on: bool) -> ClassifierRecipe:
    changes: dict[str, Any] = {}
    if going_on:
        changes = {"steps": recipe.update.steps, "learning_rate": recipe.update.learning_rate}
    if steps is not None:
        changes["steps"] = steps
    wanted = recipe.optimisation.model_copy(update=changes)
    per_epoch = min(wanted.steps, wanted.steps_per_epoch)
    return recipe.model_copy(update={"optimisation": wanted.model_copy(update={"steps_per_epoch": per_epoch})})


def _network(model: SignAuth | None, info: CheckpointInfo | None, recipe: ClassifierRecipe, classes: int) -> SignAuth:
    fresh = create(recipe.architecture, **_config(recipe, info, classes))
    if not isinstance(fresh, SignAuth):
        raise CheckpointError(f"The recipe's architecture {recipe.architecture} is no {ARCHITECTURE}; correct it.")
    network = fresh if model is None else model.grow(fresh)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _config(recipe: ClassifierRecipe, before: CheckpointInfo | None, classes: int) -> dict[str, Any]:
    """The recipe's shape, or that of the checkpoint that is gone on from."""
    return {"network": "classifier", **(recipe.config if before is None else before.config), "classes": classes}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def _fit(network: SignAuth, recipe: ClassifierRecipe, collection: Collection, run: Path) -> None:
    parts, optimisation = collection.parts, recipe.optimisation

    def validate(model: SignAuth) -> dict[str, float]:
        return validation_figures(model, parts["validation"])

    module = ClassifierTraining(network, recipe, parts["train"], collection.labels, validate)
    averaged = EMAWeightAveraging(decay=optimisation.average_decay, update_starting_at_step=0)
    fit(
        module,
        run,
        steps=optimisation.steps,
        steps_per_epoch=optimisation.steps_per_epoch,
        validate_every=optimisation.validate_every,
        clip=5.0,
        # Averaging would round weights that shall stay as they are.
        callbacks=[] if module.absent else [averaged],
    )


def _save(
    path: Path, network: SignAuth, recipe: ClassifierRecipe, collection: Collection, before: CheckpointInfo | None
) -> Path:
    network = network.cpu().eval()
    _remember(network, collection.parts["train"])
    info = CheckpointInfo(
        architecture=recipe.architecture,
        config=_config(recipe, before, len(collection.labels)),
        name=recipe.name,
        version=recipe.version,
        preprocess=SPEC.to_dict(),
        decision=_decision(network, recipe, collection.parts["validation"], before),
        training={
            "data": collection.summary,
            "recipe": recipe.model_dump(),
            "grown_from": None if before is None else {"labels": before.labels, "training": before.training},
            "validation": validation_figures(network, collection.parts["validation"]),
            "versions": {"sigedge": sigedge.__version__, "torch": torch.__version__},
        },
        licence=_licence(recipe, collection),
        seed=recipe.seed,
        task="classification",
        labels=list(collection.labels),
    )
    return save_checkpoint(path, network, info)


def _remember(network: SignAuth, part: Part) -> None:
    """Keep the features of every class that has images, as means and common spread, for when the images are gone."""
    features = features_of(network, part.canvases)
    squares, count = np.zeros(features.shape[1]), 0
    for number in np.unique(part.targets[part.kinds == "known"]):
        own = features[part.targets == number]
        network.class_means[number] = torch.from_numpy(own.mean(axis=0))
        squares, count = squares + ((own - own.mean(axis=0)) ** 2).sum(axis=0), count + len(own)
    network.spread.copy_(torch.from_numpy(np.sqrt(squares / count)))


def _decision(network: SignAuth, recipe: ClassifierRecipe, part: Part, before: CheckpointInfo | None) -> dict[str, Any]:
    """The threshold of rejection, fixed on the validation canvases, and what it does to them; nothing without one."""
    if not recipe.rejects:
        return {}
    scores = energy(embed(network, part.canvases))
    threshold = threshold_accepting(scores[part.rows("known")], KNOWN_ACCEPTED)
    if before is not None and len(np.unique(part.targets[part.rows("known")])) < network.head.out_features:
        # It was right for the people without an image here, whose scores can only have grown with the classes.
        threshold = min(threshold, before.decision.get("rejection", {}).get("threshold", threshold))
    shares = {f"{kind}_accepted": part.rows(kind) for kind in KINDS}
    measured = {name: float((scores[rows] >= threshold).mean()) for name, rows in shares.items() if len(rows)}
    return {"rejection": {"measure": "energy", "threshold": threshold}, "validation": measured}


def _licence(recipe: ClassifierRecipe, collection: Collection) -> str:
    if collection.summary["source"] == LABELLED:
        return "Weights trained on the images of a user's folder; their owner's terms apply."
    return recipe.licence
