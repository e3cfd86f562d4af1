"""Training a verifier from a recipe to a checkpoint."""

from __future__ import annotations

from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from numpy.typing import NDArray
from torch import nn

import sigedge
from sigedge.data import CanvasSet
from sigedge.training.batches import Batches
from sigedge.training.data import TrainingData, load_training_data
from sigedge.training.decision import fit_decision, validation_figures
from sigedge.training.distillation import Teachers
from sigedge.training.lightning_module import VerifierTraining
from sigedge.training.quantisation import QuantisedDeployment
from sigedge.training.recipe import QuantizationAware, Recipe, load_recipe
from sigedge.training.runs import fit
from sigedge.training.similarity import matching_of
from sigedge_models import CheckpointInfo, create, folder, load_checkpoint, load_weights, save_checkpoint
from sigedge_runtime.errors import CheckpointError, RecipeError
from sigedge_runtime.preprocessing import PreprocessSpec

_EMBED_BATCH = 128


def train(
    name: str,
    data: Path,
    out: Path,
    *,
    recipe: Path | None = None,
    initial: Path | None = None,
    cache: Path = Path(".cache"),
    steps: int | None = None,
    fold: int = 0,
    quantization_aware: bool = False,
) -> Path:
    """Train a model; a run that was interrupted goes on after its last validation.

    Args:
        name: an architecture of `sigedge_models`.
        data: folder with index.csv and splits.json.
        out: folder of the run: logs, Lightning's last.ckpt, and at the end NAME.safetensors.
        recipe: a recipe file; the model's own when None.
        initial: checkpoint whose weights the run starts from, for fine-tuning; random weights when None. Layers of this
            network that the checkpoint's lacks, such as another head, start from random weights.
        cache: folder for canvases and synthetic signers.
        steps: batches in all, in place of the recipe's.
        fold: test fold of data sets that are split by folds; its signers are never read.
        quantization_aware: fine-tune `initial` for int8, as the recipe's `quantization_aware` says.

    Returns:
        The checkpoint's path.

    Raises:
        RecipeError: the recipe is invalid, or asks for quantization without a checkpoint to start from.
        DataError: the data sets cannot be used.
        CheckpointError: the network does not fit, or its weights became NaN.
        KeyboardInterrupt: Ctrl-C; the same call goes on after the last validation.
    """
    written = load_recipe(recipe or folder(name) / "recipe.yaml")
    settings = _with_steps(_for_quantization(written, quantization_aware, initial), steps)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    loaded = load_training_data(settings, data, cache, fold=fold)
    model = _start(settings, initial)
    network = _network(model, settings, loaded)
    module = VerifierTraining(
        network,
        settings,
        loaded.pools,
        lambda m: _figures(m, loaded.validation, settings),
        _teachers(network, settings),
    )
    optimisation = settings.optimisation
    fit(
        module,
        out,
        steps=optimisation.steps,
        steps_per_epoch=optimisation.steps_per_epoch,
        validate_every=optimisation.validate_every,
        # bfloat16 rounds as coarsely as the quantization that is to be learned.
        bfloat16=settings.quantization_aware is None,
        clip=5.0,
        callbacks=[EMAWeightAveraging(decay=optimisation.average_decay, update_starting_at_step=0)],
    )
    return _save(model, settings, loaded, out, initial)


def embed(model: nn.Module, canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeddings float32 [N, D] of canvases uint8 [N, H, W], in evaluation mode; the mode is put back."""
    was_training = model.training
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        parts = [
            model(torch.from_numpy(canvases[i : i + _EMBED_BATCH, None].astype(np.float32)).to(device)).float().cpu()
            for i in range(0, len(canvases), _EMBED_BATCH)
        ]
    model.train(was_training)
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def _with_steps(recipe: Recipe, steps: int | None) -> Recipe:
    if steps is None:
        return recipe
    per_epoch = min(steps, recipe.optimisation.steps_per_epoch)
    optimisation = recipe.optimisation.model_copy(update={"steps": steps, "steps_per_epoch": per_epoch})
    return recipe.model_copy(update={"optimisation": optimisation})


def _for_quantization(recipe: Recipe, wanted: bool, initial: Path | None) -> Recipe:
    section = recipe.quantization_aware or (QuantizationAware() if wanted else None)
    if section is None:
        return recipe
    if initial is None:
        raise RecipeError(
            "Quantization-aware training fine-tunes a trained model; name its checkpoint with --initial, or train "
            "without quantization first."
        )
    changes = {"steps": section.steps, "learning_rate": section.learning_rate}
    optimisation = recipe.optimisation.model_copy(update=changes)
    return recipe.model_copy(update={"optimisation": optimisation, "quantization_aware": section})


def _network(model: nn.Module, recipe: Recipe, data: TrainingData) -> nn.Module:
    """What the loss sees: the model itself, or its deployed graph with fake quantization."""
    if recipe.quantization_aware is None:
        return model
    network = QuantisedDeployment(model, recipe.quantization_aware.range_decay)
    network.start_ranges(Batches(data.pools, recipe, 0)[0][0])
    return network


def _start(recipe: Recipe, initial: Path | None) -> nn.Module:
    model = create(recipe.architecture, **recipe.config)
    if initial is not None:
        trained, info = load_checkpoint(initial)
        if info.architecture != recipe.architecture:
            raise CheckpointError(
                f"{initial} holds a {info.architecture}, the recipe trains a {recipe.architecture}; give a checkpoint "
                "of the same architecture."
            )
        load_weights(model, trained.state_dict(), initial, recipe.architecture, parts=info.config != recipe.config)
    # The faster of two layouts on a CPU, for bfloat16 and for float32.
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _teachers(student: nn.Module, recipe: Recipe) -> Teachers | None:
    if recipe.distillation is None:
        return None
    networks = [load_checkpoint(path)[0] for path in recipe.distillation.teachers]
    return Teachers(networks, student, recipe.distillation.weight)


def _figures(model: nn.Module, validation: CanvasSet, recipe: Recipe) -> dict[str, float]:
    embeddings = embed(model, validation.canvases)
    return validation_figures(validation.records, embeddings, seed=recipe.seed, matching=matching_of(model))


def _save(model: nn.Module, recipe: Recipe, data: TrainingData, out: Path, initial: Path | None) -> Path:
    model = model.cpu().eval()
    embeddings = embed(model, data.validation.canvases)
    matching = matching_of(model)
    decision = fit_decision(data.validation.records, embeddings, seed=recipe.seed, matching=matching)
    figures = validation_figures(data.validation.records, embeddings, seed=recipe.seed, matching=matching)
    info = CheckpointInfo(
        architecture=recipe.architecture,
        config=recipe.config,
        name=recipe.name,
        version=recipe.version,
        preprocess=PreprocessSpec().to_dict(),
        decision=decision.to_dict(),
        training={
            "data": data.summary,
            "recipe": recipe.model_dump(),
            "initial": None if initial is None else load_checkpoint(initial)[1].training,
            "validation": figures,
            "versions": {"sigedge": sigedge.__version__, "torch": torch.__version__},
        },
        licence=recipe.licence,
        seed=recipe.seed,
    )
    return save_checkpoint(out / f"{recipe.name}.safetensors", model, info)
