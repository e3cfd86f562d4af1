"""The figures of the shipped classifier, and of the experiments whose checkpoints lie beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sigedge.evaluation.results import provenance
from sigedge.systems.signauth.figures import Scored, closed_figures, decided_figures, open_figures
from sigedge.systems.signauth.recipe import ClassifierRecipe
from sigedge.systems.signauth.rejection import SCORES, class_distance
from sigedge.systems.signauth.samples import Part, collect
from sigedge.systems.signauth.training import ARCHITECTURE, features_of, load_classifier
from sigedge.training import embed
from sigedge_models import CheckpointInfo
from sigedge_models.signauth.model import SignAuth
from sigedge_runtime.bundle import hash_file
from sigedge_runtime.errors import CheckpointError, DataError

SHIPPED = f"{ARCHITECTURE}-classifier"
REFERENCE_METRIC = "98.90 % accuracy on test images"


def evaluate_models(
    models: Path, data: Path, *, cache: Path, progress: Callable[[str], None] = lambda step: None
) -> dict[str, Any]:
    """Judge ``signauth-classifier.safetensors`` and every other ``signauth-*.safetensors`` of a folder.

    Args:
        models: folder of checkpoints.
        data: folder with index.csv and splits.json for experiments on real signatures, or with ``test/`` by label.
        cache: folder for canvases and synthetic signers.
        progress: told each part before it runs.

    Returns:
        Plain values: ``networks`` for the table of all systems, ``experiments`` by checkpoint, the classifier first.

    Raises:
        CheckpointError: there is no classifier.
        DataError: an experiment's data are not there, or do not fit its checkpoint.
    """
    shipped = models / f"{SHIPPED}.safetensors"
    if not shipped.is_file():
        raise CheckpointError(f"There is no {shipped}; train it with `sigedge train {ARCHITECTURE}`.")
    others = sorted(path for path in models.glob(f"{ARCHITECTURE}-*.safetensors") if path != shipped)
    experiments = []
    for path in (shipped, *others):
        progress(f"judging {path.stem}")
        experiments.append(judge(path, data, cache))
    model, info = load_classifier(shipped)
    return {
        **provenance(seed=info.seed, model={"name": info.name, "checkpoint_sha256": hash_file(shipped)}),
        "networks": [_network(experiments[0], model)],
        "experiments": experiments,
    }


def judge(checkpoint: Path, data: Path, cache: Path) -> dict[str, Any]:
    """Figures of one classifier on the test part of the data that its header names."""
    model, info = load_classifier(checkpoint)
    recipe = ClassifierRecipe.model_validate(info.training["recipe"])
    collection = collect(recipe, data, cache, classes=len(info.labels), known=info.labels)
    if not len(collection.parts["test"].rows("known")):
        raise DataError(f"There is no signature of the people of {checkpoint} to test on; put some into {data}/test/.")
    test, validation = (score_part(model, info, collection.parts[name]) for name in ("test", "validation"))
    classes = len(info.labels)
    return {
        "name": info.name,
        "checkpoint_sha256": hash_file(checkpoint),
        "data": collection.summary,
        "classes": classes,
        "rejects": recipe.rejects,
        "closed": closed_figures(test, classes),
        "never_rejecting": decided_figures(test, classes, None, None),
        "open": open_figures(test, validation, classes),
    }


def score_part(model: SignAuth, info: CheckpointInfo, part: Part) -> Scored:
    """All that a classifier says of a part."""
    logits = embed(model, part.canvases)
    scores = {name: score(logits) for name, score in SCORES.items()}
    features = features_of(model, part.canvases)
    scores["class distance"] = class_distance(features, model.class_means.numpy(), model.spread.numpy())
    return Scored(part, logits.argmax(axis=1).astype(np.int64), scores)


def _network(figures: dict[str, Any], model: SignAuth) -> dict[str, Any]:
    people = f"{figures['classes']} known people, synthetic"
    return {
        "network": "classifier",
        "task": "classification",
        "metric": f"accuracy on genuine test signatures of {people}",
        "reference_metric": REFERENCE_METRIC,
        "value": figures["closed"]["accuracy"],
        "ci95": figures["closed"]["accuracy_ci95"],
        "parameters": sum(parameter.numel() for parameter in model.export_module().parameters()),
        "checkpoint_sha256": figures["checkpoint_sha256"],
    }
