"""Training of all networks of cgan, from a recipe to checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import nn

import sigedge
from sigedge.systems.cgan.classification import ClassificationTraining, Targeted, judged, targeted
from sigedge.systems.cgan.data import Labelled, Signatures, load_signatures, preprocessing, summary
from sigedge.systems.cgan.drawing import balanced, generate, run
from sigedge.systems.cgan.gan import OPTIMISERS, GanTraining
from sigedge.systems.cgan.history import History, read_history
from sigedge.systems.cgan.recipe import CganRecipe, ClassifierRecipe, NetworkRecipe
from sigedge.systems.cgan.storage import Storage, stored
from sigedge.training.recipe import read_recipe
from sigedge.training.runs import fit
from sigedge_models import CheckpointInfo, create, folder, load_checkpoint, save_checkpoint
from sigedge_models.cgan import Discriminator
from sigedge_runtime.errors import RecipeError

GENERATED = "generated"
NETWORKS = ("classifier", "generator", "judge")
"""In the order of training: the classifier watches the generator, and the judge learns from what that draws."""

_WATCHED = 5  # drawings of each signer that the classifier looks at after an epoch


def train(
    data: Path,
    out: Path,
    *,
    recipe: Path | None = None,
    cache: Path = Path(".cache"),
    steps: int | None = None,
    initial: Path | None = None,
) -> Mapping[str, Path]:
    """Train classifier, generator and judge; see `sigedge.systems.System`.

    Args:
        data: not read: every signer is synthetic.
        out: folder of the run; every network has its logs in a folder of its own below.
        recipe: a recipe file; the one beside the networks when None.
        cache: folder for canvases and synthetic signers.
        steps: batches of each network, in place of the recipe's.
        initial: must be None.

    Returns:
        The checkpoints by network.

    Raises:
        RecipeError: the recipe is invalid, or a checkpoint to start from was given.
        DataError: a signer has too few usable samples, or a file cannot be written.
        KeyboardInterrupt: Ctrl-C; the same call goes on after the last validation.
    """
    if initial is not None:
        raise RecipeError(f"cgan learns all its networks together from the start; leave out {initial}.")
    settings = load_recipe(recipe).shortened(steps)
    signatures = load_signatures(settings, cache)
    paths = {network: out / checkpoint_name(network) for network in NETWORKS}
    _train_classifier(settings, signatures, out / "classifier", paths["classifier"])
    _train_generator(settings, signatures, out / "generator", paths)
    generator, _ = load_checkpoint(paths["generator"])
    model, history = train_judge(settings, signatures, generator, "two-level", out / "judge")
    _save(settings, signatures, "judge", model, history, paths["judge"])
    return paths


def checkpoint_name(network: str) -> str:
    """File name of a network's checkpoint."""
    return f"cgan-{network}.safetensors"


def load_recipe(path: Path | None = None) -> CganRecipe:
    """A recipe of cgan; the one beside the networks when None."""
    return read_recipe(path or folder("cgan") / "recipe.yaml", CganRecipe)


def train_judge(
    recipe: CganRecipe, signatures: Signatures, generator: nn.Module, storage: Storage, out: Path
) -> tuple[nn.Module, History]:
    """Train a judge on genuine and generated images that were stored in one way.

    Args:
        recipe: the judge's and the numbers of images.
        signatures: genuine ones.
        generator: draws as many images of each part as there are genuine ones.
        storage: how all of them were kept.
        out: folder of the run.

    Returns:
        The judge in evaluation mode, and its training curves.
    """
    parts = [
        mixed(getattr(signatures, part), generator, storage, drawing_seed(recipe, part))
        for part in ("train", "validation")
    ]
    return _train_scores(recipe, recipe.judge, "judge", parts[0], parts[1], out)


def mixed(genuine: Labelled, generator: nn.Module, storage: Storage, seed: int) -> Targeted:
    """Genuine images and as many generated ones of the same signers, stored in one way, with the judge's targets."""
    drawn = generate(generator, genuine.labels, seed)
    classes = int(genuine.labels.max()) + 1
    return judged(stored(genuine.images, storage), genuine.labels, stored(drawn, storage), genuine.labels, classes)


def drawing_seed(recipe: CganRecipe, part: str) -> int:
    """Seed of the noise from which the generated images of a part are drawn; no two parts share drawings."""
    return 1000 * (recipe.seed + 1) + ("train", "validation", "test", GENERATED).index(part)


def train_classifier(
    recipe: CganRecipe, samples: Labelled, validation: Labelled, out: Path
) -> tuple[nn.Module, History]:
    """Train a classifier on genuine images, as antialiased pictures and as two-level canvases alike.

    Args:
        recipe: the classifier's.
        samples: what it learns from.
        validation: what it is watched on.
        out: folder of the run.

    Returns:
        The classifier in evaluation mode, and its training curves.
    """
    classes = recipe.signers.count
    return _train_scores(
        recipe, recipe.classifier, "classifier", _both_ways(samples, classes), _both_ways(validation, classes), out
    )


def _both_ways(samples: Labelled, classes: int) -> Targeted:
    images = np.concatenate([stored(samples.images, "grey"), stored(samples.images, "two-level")])
    return targeted(images, np.tile(samples.labels, 2), classes)


def _train_scores(
    recipe: CganRecipe, section: ClassifierRecipe, network: str, training: Targeted, validation: Targeted, out: Path
) -> tuple[nn.Module, History]:
    seed = _seed(recipe, network)
    lightning.seed_everything(seed, workers=True, verbose=False)
    model = create("cgan", **_config(recipe, network))
    module = ClassificationTraining(model, training, validation, section, seed, recipe.signers.count)
    _fit(module, section, out)
    return model.cpu().eval(), read_history(out)


def _train_classifier(recipe: CganRecipe, signatures: Signatures, out: Path, path: Path) -> None:
    model, history = train_classifier(recipe, signatures.original(), signatures.fresh, out)
    _save(recipe, signatures, "classifier", model, history, path)


def _train_generator(recipe: CganRecipe, signatures: Signatures, out: Path, paths: Mapping[str, Path]) -> None:
    seed = _seed(recipe, "generator")
    lightning.seed_everything(seed, workers=True, verbose=False)
    generator = create("cgan", **_config(recipe, "generator"))
    section = recipe.generator
    discriminator = Discriminator(recipe.signers.count, section.pack, section.discriminator_channels, **_size(recipe))
    watch = _watcher(load_checkpoint(paths["classifier"])[0], recipe.signers.count, seed)
    module = GanTraining(generator, discriminator, signatures.train, section, seed, watch)
    _fit(module, section, out, OPTIMISERS)
    _save(recipe, signatures, "generator", module.averaged.cpu().eval(), read_history(out), paths["generator"])


def _watcher(classifier: nn.Module, classes: int, seed: int) -> Callable[[nn.Module], dict[str, float]]:
    """How often the classifier takes a drawing for the wanted signer's, and how much ink drawings have."""
    labels = balanced(classes, _WATCHED)

    def watch(generator: nn.Module) -> dict[str, float]:
        drawn = generate(generator, labels, seed)
        scores = run(classifier.to(next(generator.parameters()).device), stored(drawn, "grey"))
        return {"signer_accuracy": float((scores.argmax(1) == labels).mean()), "ink": float(drawn.mean() / 255)}

    return watch


def _fit(module: lightning.LightningModule, section: NetworkRecipe, out: Path, optimisers: int = 1) -> None:
    fit(
        module,
        out,
        steps=section.steps,
        steps_per_epoch=section.steps_per_epoch,
        validate_every=section.validate_every,
        optimisers=optimisers,
    )


def _seed(recipe: CganRecipe, network: str) -> int:
    return recipe.seed + 1_000_000 * NETWORKS.index(network)


def _size(recipe: CganRecipe) -> dict[str, int]:
    return {"canvas_height": recipe.canvas.height, "canvas_width": recipe.canvas.width}


def _config(recipe: CganRecipe, network: str) -> dict[str, Any]:
    section: NetworkRecipe = getattr(recipe, network)
    return {"network": network, "classes": recipe.signers.count, **_size(recipe), **section.config}


def _save(
    recipe: CganRecipe, signatures: Signatures, network: str, model: nn.Module, history: History, path: Path
) -> None:
    draws = network == "generator"
    labels = [*signatures.names, *(f"{name} {GENERATED}" for name in signatures.names if network == "judge")]
    height, width = model.latent_size if draws else (0, 0)  # type: ignore[misc]
    latent = {"canvas_height": height, "canvas_width": width}
    info = CheckpointInfo(
        architecture="cgan",
        config=_config(recipe, network),
        name=f"{recipe.name}-{network}",
        version=recipe.version,
        preprocess=latent if draws else preprocessing(recipe.canvas).to_dict(),
        decision={},
        training={
            "data": summary(recipe, signatures),
            "recipe": recipe.model_dump(),
            "history": history,
            "versions": {"sigedge": sigedge.__version__, "torch": torch.__version__},
        },
        licence=recipe.licence,
        seed=_seed(recipe, network),
        task="image" if draws else "classification",
        labels=[] if draws else labels,
    )
    save_checkpoint(path, model, info, half=True)
