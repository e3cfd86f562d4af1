"""Training all networks of the forger from one recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import nn

import sigedge
from sigedge.systems.forger.detection import DetectorTraining, detector_scores
from sigedge.systems.forger.drawing import DrawingTraining, forge, signal_to_noise
from sigedge.systems.forger.frame import FRAME, read_pairs, write_pairs
from sigedge.systems.forger.pairs import Pairs, augmented
from sigedge.systems.forger.preprocessing import SIZE
from sigedge.systems.forger.recipe import ForgerRecipe, load_forger_recipe
from sigedge.systems.forger.specimens import (
    SYNTHETIC,
    Part,
    Specimens,
    forged_and_real,
    joined,
    real_pairs,
    synthetic_pairs,
)
from sigedge.training.runs import fit
from sigedge_models import CheckpointInfo, create, folder, load_checkpoint, save_checkpoint
from sigedge_models.forger.detector import LABELS
from sigedge_runtime.errors import RecipeError
from sigedge_runtime.preprocessing import PreprocessSpec

DETECTOR = "detector"
REFUSED_BONA_FIDE = 0.05
"""Share of the validation signers' bona fide images that the detector's threshold calls generated."""

_ATTEMPTS: dict[Part, int] = {"train": 1, "validation": 2, "test": 3}  # seeds of the attempts that generators draw


def train(
    data: Path,
    out: Path,
    *,
    recipe: Path | None = None,
    cache: Path = Path(".cache"),
    steps: int | None = None,
    initial: Path | None = None,
) -> dict[str, Path]:
    """Train both generators on synthetic signers, then the detector on what they draw; see `sigedge.systems.System`.

    Args:
        data: folder with index.csv and splits.json; read when the recipe names data sets for the detector.
        out: folder of the run.
        recipe: a recipe file; the system's own when None.
        cache: folder for the pairs.
        steps: batches of each network, in place of the recipe's.
        initial: not offered.

    Raises:
        RecipeError: the recipe is invalid, or a checkpoint to start from was given.
        DataError: a data set of the recipe is not there or has no training part.
        KeyboardInterrupt: Ctrl-C; the same call goes on after the last checkpoint.
    """
    if initial is not None:
        raise RecipeError(f"The forger trains from the start; leave out the checkpoint {initial}.")
    settings = load_forger_recipe(recipe or folder("forger") / "recipe.yaml", steps)
    parts: tuple[Part, ...] = ("train", "validation")
    pairs = {part: cached_pairs(settings, part, cache) for part in parts}
    made = {network: _train_generator(network, settings, pairs, out) for network in settings.optimisation.steps}
    return made | {DETECTOR: _train_detector(settings, made, data, out)}


def cached_pairs(recipe: ForgerRecipe, part: Part, cache: Path) -> Pairs:
    """Pairs of synthetic signers as files in the cache, those of the validation augmented; drawn when missing."""
    key = hashlib.sha256(recipe.signers.model_dump_json().encode()).hexdigest()[:12]
    home = cache / f"forger-{part}-{key}"
    if not (home / FRAME).is_file():
        pairs = synthetic_pairs(recipe, part)
        write_pairs(home, pairs if part == "train" else augmented(pairs, recipe.signers.variants, recipe.seed))
    return read_pairs(home)[0]


def detector_specimens(recipe: ForgerRecipe, generators: Mapping[str, nn.Module], data: Path, part: Part) -> Specimens:
    """Bona fide images of synthetic signers and of the recipe's data sets, and forgeries of the same signers."""
    return joined(list(specimens_by_source(recipe, generators, data, part).values()))


def specimens_by_source(
    recipe: ForgerRecipe, generators: Mapping[str, nn.Module], data: Path, part: Part
) -> dict[str, Specimens]:
    """The same, by the name of the data set whose signers they show; the test part has the unseen ones too."""
    names = [*recipe.detection.datasets, *(recipe.detection.unseen if part == "test" else [])]
    sources = {SYNTHETIC: synthetic_pairs(recipe, part)}
    sources |= {name: real_pairs(data, name, part, recipe.detection.per_signer) for name in names}
    seed = recipe.seed + _ATTEMPTS[part]
    return {name: forged_and_real(pairs, generators, seed) for name, pairs in sources.items()}


def train_detector(recipe: ForgerRecipe, train: Specimens, validation: Specimens, out: Path) -> nn.Module:
    """A detector trained on some specimens; `out` is the folder of its run."""
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    detector = create("forger", network=DETECTOR, height=SIZE[0], width=SIZE[1])
    settings = recipe.detection
    module = DetectorTraining(detector, settings, recipe.seed, train, validation)  # type: ignore[arg-type]
    fit(module, out, steps=settings.steps, steps_per_epoch=settings.steps_per_epoch)
    return detector.eval()


def threshold_for(detector: nn.Module, validation: Specimens) -> float:
    """The score above which `REFUSED_BONA_FIDE` of the validation signers' bona fide images lie."""
    scores = detector_scores(detector, validation.select(~validation.generated).images)
    return float(np.quantile(scores, 1 - REFUSED_BONA_FIDE))


def _train_generator(network: str, recipe: ForgerRecipe, pairs: Mapping[Part, Pairs], out: Path) -> Path:
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    config = {"network": network, **recipe.generator, "height": SIZE[0], "width": SIZE[1]}
    generator = create(recipe.architecture, **config)
    steps = recipe.optimisation.steps[network]
    module = DrawingTraining(generator, recipe, pairs["train"], pairs["validation"], steps)  # type: ignore[arg-type]
    fit(
        module,
        out / network,
        steps=steps,
        steps_per_epoch=recipe.optimisation.steps_per_epoch,
        optimisers=2,
    )
    generator = generator.cpu().eval()
    written = pairs["validation"]
    figures = {"psnr": float(np.mean(signal_to_noise(forge(generator, written), written.targets)))}
    info = _info(recipe, network, config, figures) | {
        "task": "image",
        "preprocess": {"canvas_height": 2 * SIZE[0], "canvas_width": SIZE[1]},
    }
    return _save(generator, info, out)


def _train_detector(recipe: ForgerRecipe, generators: Mapping[str, Path], data: Path, out: Path) -> Path:
    networks = {name: load_checkpoint(path)[0] for name, path in generators.items()}
    train, validation = (detector_specimens(recipe, networks, data, part) for part in ("train", "validation"))
    detector = train_detector(recipe, train, validation, out / DETECTOR)
    config = {"network": DETECTOR, "height": SIZE[0], "width": SIZE[1]}
    figures = {"bona_fide": int((~train.generated).sum()), "generated": int(train.generated.sum())}
    info = _info(recipe, DETECTOR, config, figures) | {
        "task": "classification",
        "labels": list(LABELS),
        # Its size alone is true of a spectrum; a classifier's bundle must hold the rest.
        "preprocess": PreprocessSpec(canvas_height=SIZE[0], canvas_width=SIZE[1]).to_dict(),
        "decision": {"threshold": threshold_for(detector, validation)},
    }
    return _save(detector, info, out)


def _info(recipe: ForgerRecipe, network: str, config: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
    """What the header of each network says in the same way."""
    return {
        "architecture": recipe.architecture,
        "config": config,
        "name": f"{recipe.name}-{network}",
        "version": recipe.version,
        "decision": {},
        "training": {
            "recipe": recipe.model_dump(),
            "validation": figures,
            "versions": {"sigedge": sigedge.__version__, "torch": torch.__version__},
        },
        "licence": recipe.licence[network],
        "seed": recipe.seed,
    }


def _save(model: nn.Module, info: dict[str, Any], out: Path) -> Path:
    return save_checkpoint(out / f"{info['name']}.safetensors", model, CheckpointInfo(**info), half=True)
