"""The experiment of cgan: can a network tell generated signatures, and does storing them change that?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sigedge.evaluation.results import provenance
from sigedge.systems import Progress
from sigedge.systems.cgan import distribution
from sigedge.systems.cgan.data import Labelled, Signatures, load_signatures
from sigedge.systems.cgan.drawing import balanced, generate, run
from sigedge.systems.cgan.measures import class_of, figures_of_classes, figures_of_judge, figures_of_rule, share
from sigedge.systems.cgan.recipe import CganRecipe
from sigedge.systems.cgan.storage import STORAGES, Storage, has_fractions, has_other_levels, stored
from sigedge.systems.cgan.train import (
    GENERATED,
    NETWORKS,
    checkpoint_name,
    drawing_seed,
    mixed,
    train_classifier,
    train_judge,
)
from sigedge_models import CheckpointInfo, folder, load_checkpoint
from sigedge_runtime.errors import CheckpointError

DEPLOYED: Storage = "two-level"
"""How a device keeps an image, and so what the checkpoint's judge was trained on."""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """What the experiment is about: the trained networks, and the signatures they were trained on.

    Attributes:
        networks: by name, in evaluation mode.
        infos: what their checkpoints say.
        hashes: SHA-256 of the checkpoints.
        recipe: by which all of them were trained.
        signatures: genuine ones by part.
        drawn: float32 [N, H, W], generated ones as the generator returned them.
        labels: int64 [N], whose they are.
        workshop: folder for the networks that only the experiment needs.
    """

    networks: Mapping[str, nn.Module]
    infos: Mapping[str, CheckpointInfo]
    hashes: Mapping[str, str]
    recipe: CganRecipe
    signatures: Signatures
    drawn: NDArray[np.float32]
    labels: NDArray[np.int64]
    workshop: Path

    @property
    def names(self) -> tuple[str, ...]:
        """Of the signers."""
        return self.signatures.names


def evaluate(models: Path, data: Path, *, cache: Path, progress: Progress = lambda _: None) -> Figures:
    """All figures of the system; see `sigedge.systems.System`.

    The judges that other ways of storing ask for, and a classifier that never saw the test part, are trained on the
    way: minutes, once for each generator.

    Args:
        models: folder of the three checkpoints.
        data: not read: every signer is synthetic.
        cache: folder for canvases, synthetic signers and the networks trained on the way.
        progress: told each part before it runs.

    Raises:
        CheckpointError: a checkpoint is missing, or they are of different runs.
        DataError: the signatures cannot be drawn again.
    """
    subject = open_subject(models, cache)
    judges = _judges(subject, progress)
    classifiers = _classifiers(subject, progress)
    progress("distances between generated and genuine signatures")
    distances = _distances(subject)
    return {
        "meta": provenance(
            model={"name": "cgan", "version": subject.recipe.version},
            seed=subject.recipe.seed,
            checkpoints=dict(subject.hashes),
        ),
        "signers": subject.recipe.signers.model_dump() | {"names": list(subject.names)},
        "networks": _networks(subject, judges, classifiers, distances),
        "judges": judges,
        "rules": _rules(subject),
        "classifiers": classifiers,
        "distances": distances,
        "history": {name: info.training["history"] for name, info in subject.infos.items()},
    }


def open_subject(models: Path, cache: Path) -> Subject:
    """Load the networks, draw the genuine signatures again, and generated ones.

    Raises:
        CheckpointError: a checkpoint is missing, or they are of different runs.
    """
    paths = {name: models / checkpoint_name(name) for name in NETWORKS}
    loaded = {name: load_checkpoint(path) for name, path in paths.items()}
    networks = {name: network for name, (network, _) in loaded.items()}
    infos = {name: info for name, (_, info) in loaded.items()}
    recipe = _common_recipe(models, infos)
    labels = balanced(recipe.signers.count, recipe.drawn)
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}
    return Subject(
        networks,
        infos,
        hashes,
        recipe,
        load_signatures(recipe, cache),
        generate(networks["generator"], labels, drawing_seed(recipe, GENERATED)),
        labels,
        cache / f"cgan-{hashes['generator'][:12]}",
    )


def _common_recipe(models: Path, infos: Mapping[str, CheckpointInfo]) -> CganRecipe:
    recipes = [info.training.get("recipe") for info in infos.values()]
    if any(recipe != recipes[0] for recipe in recipes) or recipes[0] is None:
        raise CheckpointError(
            f"The networks of cgan in {models} were not trained together; train them again, or copy all of one run."
        )
    return CganRecipe.model_validate(recipes[0])


def _judges(subject: Subject, progress: Progress) -> Figures:
    """A judge for each way of storing, tested on all of them."""
    found: Figures = {}
    for storage in STORAGES:
        progress(f"the judge of images stored as {storage}")
        found[storage] = _judge_figures(subject, _judge(subject, storage), storage)
    return found


def _judge(subject: Subject, storage: Storage) -> nn.Module:
    if storage == DEPLOYED:
        return subject.networks["judge"]
    generator = subject.networks["generator"]
    return train_judge(subject.recipe, subject.signatures, generator, storage, subject.workshop / f"judge-{storage}")[0]


def _judge_figures(subject: Subject, judge: nn.Module, storage: Storage) -> Figures:
    def figures(part: str, how: Storage) -> Figures:
        generator = subject.networks["generator"]
        samples = mixed(getattr(subject.signatures, part), generator, how, drawing_seed(subject.recipe, part))
        return figures_of_judge(run(judge, samples.images), samples, subject.names)

    elsewhere = {how: _short(figures("test", how)) for how in STORAGES}
    return {"validation": figures("validation", storage), "test": figures("test", storage), "stored_as": elsewhere}


def _short(figures: Figures) -> Figures:
    return {
        "signers": figures["signers"]["accuracy"],
        "kinds": figures["kinds"]["accuracy"],
        "kinds_auc": figures["kinds"]["auc"],
    }


def _rules(subject: Subject) -> Figures:
    """What tells generated from genuine without any network, by way of storing: bytes alone give much away."""
    generator, genuine = subject.networks["generator"], subject.signatures
    found: Figures = {"fractions": {}, "grey_levels": {}}
    for storage in STORAGES:
        test = mixed(genuine.test, generator, storage, drawing_seed(subject.recipe, "test"))
        known = stored(genuine.train.images, storage)
        found["fractions"][storage] = figures_of_rule(has_fractions(test.images), test)
        found["grey_levels"][storage] = figures_of_rule(has_other_levels(test.images, known), test)
    return found


def _classifiers(subject: Subject, progress: Progress) -> Figures:
    """The classifier of all samples, and one that holds out the test part."""
    genuine = subject.signatures
    progress("the classifier that holds out the test part")
    path = subject.workshop / "classifier-held-out"
    held_out, _ = train_classifier(subject.recipe, genuine.train, genuine.validation, path)
    progress(f"{len(subject.labels)} generated signatures")
    return {
        "all": _classifier_figures(subject, subject.networks["classifier"], genuine.fresh),
        "held_out": _classifier_figures(subject, held_out, genuine.test),
    }


def _classifier_figures(subject: Subject, classifier: nn.Module, unseen: Labelled) -> Figures:
    by_storage = {
        storage: figures_of_classes(subject.labels, class_of(classifier, stored(subject.drawn, storage)), subject.names)
        for storage in STORAGES
    }
    genuine = {how: share(class_of(classifier, stored(unseen.images, how)) == unseen.labels) for how in STORAGES}
    return {
        "genuine": genuine,
        "generated": {how: figures["accuracy"] for how, figures in by_storage.items()},
        "generated_grey": by_storage["grey"],
    }


def _distances(subject: Subject) -> Figures:
    """FID and KID, and the nearest training neighbour, of generated and of unseen genuine signatures."""
    verifier, _ = load_checkpoint(verifier_checkpoint())
    genuine, drawn = subject.signatures, stored(subject.drawn, "grey").astype(np.uint8)
    images = {"train": genuine.train.images, "seen": genuine.original().images, "unseen": genuine.fresh.images}
    images[GENERATED] = drawn
    embedded = {name: distribution.embeddings(verifier, each) for name, each in images.items()}
    return {
        "sets": {
            GENERATED: distribution.set_distances(embedded["unseen"], embedded[GENERATED]),
            "genuine": distribution.set_distances(embedded["unseen"], embedded["seen"]),
        },
        "nearest_embedding": distribution.memorisation(
            distribution.cosine_distances(embedded[GENERATED], embedded["train"]),
            distribution.cosine_distances(embedded["unseen"], embedded["train"]),
        ),
        "nearest_ink": distribution.memorisation(
            distribution.ink_distances(drawn, images["train"]),
            distribution.ink_distances(images["unseen"], images["train"]),
        ),
        "variety": {
            GENERATED: _variety(drawn, subject.labels),
            "genuine": _variety(images["unseen"], genuine.fresh.labels),
        },
    }


def _variety(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    return distribution.variety(distribution.ink_distances(images, images), labels)


def verifier_checkpoint() -> Path:
    """The flagship's weights, whose embedding measures distances."""
    return folder("edgesig").parents[1] / "weights" / "edgesig.safetensors"


def _networks(subject: Subject, judges: Figures, classifiers: Figures, distances: Figures) -> list[Figures]:
    """The rows of the table of all systems."""
    sets = distances["sets"]
    judge = judges[DEPLOYED]["test"]["signers"]["accuracy"]
    classifier = classifiers["all"]["generated"][DEPLOYED]
    floor = sets["genuine"]["fid"]["value"]
    rows = {
        "generator": (
            f"FID on edgesig embeddings to unseen genuine signatures (genuine ones: {floor:.2f})",
            "none given",
            sets[GENERATED]["fid"],
        ),
        "judge": (
            f"signer accuracy on {judge['images']} genuine and generated signatures",
            "99.8 %, own set of 10 signers",
            judge,
        ),
        "classifier": (
            f"signer accuracy on {classifier['images']} generated signatures",
            "99.97 %, own set of 10 signers",
            classifier,
        ),
    }
    return [_row(subject, name, *row) for name, row in rows.items()]


def _row(subject: Subject, name: str, metric: str, reference: str, figure: Figures) -> Figures:
    exported: Any = subject.networks[name].export_module()  # type: ignore[operator]
    return {
        "network": name,
        "task": subject.infos[name].task,
        "metric": metric,
        "reference_metric": reference,
        "value": figure["value"],
        "ci95": figure["ci95"],
        "parameters": sum(parameter.numel() for parameter in exported.parameters()),
        "checkpoint_sha256": subject.hashes[name],
    }
