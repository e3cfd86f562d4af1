"""The forger's recipe: what is drawn, how the generators learn from it, and how the detector does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt

from sigedge.training.recipe import Section, read_recipe


class Signers(Section):
    """Synthetic signers; no number of one part is a number of another.

    Attributes:
        train: signers to learn from.
        validation: signers to watch the training by and to fix the detector's threshold.
        test: signers of whom the figures are made.
        samples: genuine samples of each, at least 2: a mask averages the others.
        variants: new attempts at each validation pair.
        seed: of the population.
    """

    train: PositiveInt = 160
    validation: PositiveInt = 24
    test: int = Field(default=60, ge=2)
    samples: int = Field(default=8, ge=2)
    variants: int = Field(default=1, ge=0)
    seed: int = Field(default=4101, ge=0)


class Optimisation(Section):
    """How both generators learn; the values of pix2pix where it names one.

    Attributes:
        steps: batches in all of each generator, by the name of the network.
        steps_per_epoch: batches of an epoch, the unit of the log and of the checkpoints.
        learning_rate: of Adam, for generator and discriminator, which take one step each in turn.
        beta1: of Adam, the decay of the gradient's average.
        batch: pairs of a batch.
        reconstruction: weight of the mean absolute difference, on the scale -1 to 1, beside the hinge loss.
        frozen_norms: share of the steps after which norms keep their statistics (see `Generator.freeze_norms`) and the
            learning rate falls linearly to nothing.
        shift: pixels, the largest whole shift of a pair either way.
    """

    steps: dict[str, PositiveInt] = Field(default={"generator": 4000, "transposed": 3000})
    steps_per_epoch: PositiveInt = 250
    learning_rate: PositiveFloat = 2e-4
    beta1: float = Field(default=0.5, ge=0, lt=1)
    batch: PositiveInt = 1
    reconstruction: float = Field(default=10.0, ge=0)
    frozen_norms: float = Field(default=0.6, ge=0, le=1)
    shift: int = Field(default=3, ge=0)


class Detection(Section):
    """How the detector learns.

    Attributes:
        datasets: real data sets whose training signers are bona fide beside the synthetic scans.
        unseen: further real data sets, whose test signers only judge it.
        per_signer: images of a signer.
        steps: batches in all.
        steps_per_epoch: batches of an epoch.
        batch: images of a batch, half of them generated.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        processed: share of the training images that are compressed, resized or binarised first.
    """

    datasets: list[str] = Field(default=["cedar-half", "bhsig260-hindi"])
    unseen: list[str] = Field(default=["sigcomp2009-nfi"])
    per_signer: int = Field(default=8, ge=2)
    steps: PositiveInt = 2000
    steps_per_epoch: PositiveInt = 200
    batch: int = Field(default=64, ge=2)
    learning_rate: PositiveFloat = 1e-3
    weight_decay: float = Field(default=0.05, ge=0)
    processed: float = Field(default=0.5, ge=0, le=1)


class ForgerRecipe(Section):
    """The networks of the forger, ready to train."""

    architecture: str
    name: str
    version: str
    licence: dict[str, str]
    seed: int = 0
    signers: Signers = Signers()
    generator: dict[str, Any] = Field(default={})
    discriminator: dict[str, Any] = Field(default={})
    optimisation: Optimisation = Optimisation()
    detection: Detection = Detection()


def load_forger_recipe(path: Path, steps: int | None = None) -> ForgerRecipe:
    """Read and check a recipe; `steps`, where given, are the batches of each network in place of the recipe's.

    Raises:
        RecipeError: the file is missing, is no YAML, or an entry is unknown or out of range.
    """
    recipe = read_recipe(path, ForgerRecipe)
    return recipe if steps is None else _shortened(recipe, steps)


def _shortened(recipe: ForgerRecipe, steps: int) -> ForgerRecipe:
    drawing, detecting = recipe.optimisation, recipe.detection
    changes = {
        "optimisation": drawing.model_copy(
            update={
                "steps": dict.fromkeys(drawing.steps, steps),
                "steps_per_epoch": min(steps, drawing.steps_per_epoch),
            }
        ),
        "detection": detecting.model_copy(
            update={"steps": steps, "steps_per_epoch": min(steps, detecting.steps_per_epoch)}
        ),
    }
    return recipe.model_copy(update=changes)
