"""Training recipes: YAML files, checked before any work is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_serializer,
)

from sigedge_runtime.errors import RecipeError


class Section(BaseModel):
    """A part of a recipe: what it does not know, it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SyntheticSigners(Section):
    """Signers drawn by `sigedge.synthesis`; the batch weight stands in `DataRecipe.signers_per_batch`.

    Attributes:
        signers: in all.
        genuine: genuine samples of each.
        forged: skilled forgeries of each.
        seed: of the population.
        validation: how many of the signers are held out where no real data set brings validation signers.
    """

    signers: PositiveInt = 400
    genuine: int = Field(default=8, ge=2)
    forged: int = Field(default=8, ge=0)
    seed: int = 1
    validation: PositiveInt = 40


class DataRecipe(Section):
    """What a batch is made of.

    Attributes:
        signers_per_batch: number of signers out of each data set; ``"synthetic"`` names the synthesiser.
        genuine: genuine samples of each signer in a batch.
        forged: skilled forgeries of each signer in a batch.
        synthetic: the synthetic signers, used when ``signers_per_batch`` names them.
        training_signers: at most so many training signers of a data set, for learning curves; all without an entry.
    """

    signers_per_batch: dict[str, PositiveInt]
    genuine: int = Field(default=4, ge=2)
    forged: int = Field(default=4, ge=0)
    synthetic: SyntheticSigners = SyntheticSigners()
    training_signers: dict[str, PositiveInt] = {}


class Augmentation(Section):
    """Label-blind geometric variation of a canvas.

    Attributes:
        rotation: degrees, the largest turn either way.
        scale: share, the largest change of size either way.
        aspect: share, the largest change of the ratio of width to height.
        shear: the largest horizontal shear, pixels to a pixel.
        shift: pixels, the largest shift either way.
        elastic: pixels, standard deviation of the smooth displacement field.
        erase: probability that a rectangle of the canvas is emptied.
        smooth: pixels, the largest standard deviation (0.5 at least) of a Gaussian after which the ink gets its edge
            back; it rounds off what a scanner does to edges. 0 leaves them.
        width: share of the ink by which strokes become wider or narrower at most, where edges are smoothed.
    """

    rotation: float = Field(default=6.0, ge=0, le=45)
    scale: float = Field(default=0.12, ge=0, lt=1)
    aspect: float = Field(default=0.08, ge=0, lt=1)
    shear: float = Field(default=0.12, ge=0, lt=1)
    shift: float = Field(default=8.0, ge=0)
    elastic: float = Field(default=1.5, ge=0)
    erase: float = Field(default=0.2, ge=0, le=1)
    smooth: float = Field(default=0.0, ge=0, le=4)
    width: float = Field(default=0.0, ge=0, lt=1)


class SignerVariation(Section):
    """Label-blind variation that all samples of a signer in a batch share: it makes other signers of the few there are.

    Attributes:
        probability: that a signer is varied at all.
        mirror: probability that left and right change places.
        flip: probability that top and bottom do.
        rotation: degrees, the largest turn either way.
        aspect: natural logarithm of the largest change of the ratio of width to height.
        shear: the largest horizontal shear, pixels to a pixel.
        warp: pixels, standard deviation of the smooth displacement field.
    """

    probability: float = Field(default=0.0, ge=0, le=1)
    mirror: float = Field(default=0.5, ge=0, le=1)
    flip: float = Field(default=0.3, ge=0, le=1)
    rotation: float = Field(default=12.0, ge=0, le=45)
    aspect: float = Field(default=0.35, ge=0, le=1)
    shear: float = Field(default=0.4, ge=0)
    warp: float = Field(default=5.0, ge=0)


class Optimisation(Section):
    """How the weights are found.

    Attributes:
        steps: batches in all.
        steps_per_epoch: batches of an epoch, the unit of the log.
        validate_every: epochs between validations, each followed by a checkpoint.
        learning_rate: peak of a one-cycle schedule.
        weight_decay: of AdamW, on convolution kernels alone.
        average_decay: decay of the exponential moving average of the weights that is validated and kept.
    """

    steps: PositiveInt = 4000
    steps_per_epoch: PositiveInt = 100
    validate_every: PositiveInt = 2
    learning_rate: PositiveFloat = 2e-3
    weight_decay: float = Field(default=5e-4, ge=0)
    average_decay: float = Field(default=0.998, ge=0, lt=1)


class SupervisedContrastive(Section):
    """`sigedge.training.losses.VerificationLoss`, the default.

    Attributes:
        temperature: of the contrast.
        pair_weight: weight of the term over pairs.
        stranger_weight: weight of what the references of strangers must not tell, `sigedge.training.strangers`.
    """

    name: Literal["supervised_contrastive"] = "supervised_contrastive"
    temperature: PositiveFloat = 0.1
    pair_weight: float = Field(default=1.0, ge=0)
    stranger_weight: float = Field(default=0.0, ge=0)


class Contrastive(Section):
    """`sigedge.training.losses.ContrastivePairLoss`.

    Attributes:
        margin: distance of unit embeddings up to which unlike pairs are pushed apart.
        stranger_weight: weight of pairs of two signers' genuine samples; the paper of SigNet has none of them.
    """

    name: Literal["contrastive"]
    margin: float = Field(default=1.0, gt=0, le=2)
    stranger_weight: float = Field(default=1.0, ge=0)


class Triplet(Section):
    """`sigedge.training.losses.MinedTripletLoss`.

    Attributes:
        margin: by which a negative shall be farther than a positive, in distances of unit embeddings.
        miner: which triplets of a batch count: ``"hard"``, the farthest positive and the nearest negative of each
            anchor; ``"semihard"``, those whose negative is farther than the positive by less than the margin;
            ``"all"``, those whose negative is not farther by the margin.
    """

    name: Literal["triplet"]
    margin: float = Field(default=0.2, gt=0, le=2)
    miner: Literal["hard", "semihard", "all"] = "all"


_LOSSES: dict[str, type[Section]] = {
    "supervised_contrastive": SupervisedContrastive,
    "contrastive": Contrastive,
    "triplet": Triplet,
}


def _loss_by_name(values: Any) -> Any:
    """The section that the entry ``name`` asks for; pydantic's own choice would demand a name of everybody."""
    if not isinstance(values, Mapping):
        return values
    name = values.get("name", "supervised_contrastive")
    if name not in _LOSSES:
        raise ValueError(f"unknown name {name!r}, use one of {', '.join(_LOSSES)}")
    return _LOSSES[name].model_validate(values)


Loss = Annotated[SupervisedContrastive | Contrastive | Triplet, BeforeValidator(_loss_by_name)]
"""What training lessens, chosen by its ``name``."""


class QuantizationAware(Section):
    """Fine-tuning of a trained checkpoint as its int8 files will compute it; see `sigedge.training.quantisation`.

    Attributes:
        steps: batches in all, in place of the optimisation's.
        learning_rate: peak, likewise: the weights are found, they only have to move off the rounding.
        range_decay: decay of the moving average of the ranges of activations.
    """

    steps: PositiveInt = 300
    learning_rate: PositiveFloat = 1e-4
    range_decay: float = Field(default=0.99, ge=0, lt=1)


class Distillation(Section):
    """Trained networks whose similarities the network is to reproduce beside its own loss.

    Attributes:
        teachers: checkpoints, paths from where the training is started.
        weight: of the squared difference from the teachers' mean similarities.
    """

    teachers: list[Path] = Field(min_length=1)
    weight: PositiveFloat = 10.0

    @field_serializer("teachers")
    def _as_text(self, teachers: list[Path]) -> list[str]:
        return [str(teacher) for teacher in teachers]


class Recipe(Section):
    """One model, ready to train.

    With `quantization_aware` the run is a fine-tuning for int8 and starts from a checkpoint.
    """

    architecture: str
    name: str
    version: str
    licence: str
    config: dict[str, Any] = {}
    seed: int = 0
    data: DataRecipe
    augmentation: Augmentation = Augmentation()
    signer_variation: SignerVariation = SignerVariation()
    optimisation: Optimisation = Optimisation()
    loss: Loss = SupervisedContrastive()
    distillation: Distillation | None = None
    quantization_aware: QuantizationAware | None = None


Kind = TypeVar("Kind", bound=BaseModel)


def load_recipe(path: Path) -> Recipe:
    """Read and check the recipe of a verifier; see `read_recipe`."""
    return read_recipe(path, Recipe)


def read_recipe(path: Path, kind: type[Kind]) -> Kind:
    """Read and check a recipe.

    Args:
        path: a YAML file.
        kind: the model of its entries.

    Raises:
        RecipeError: the file is missing, is no YAML, or an entry is unknown or out of range.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"The recipe {path} cannot be read ({error}); give a YAML file of a recipe.") from error
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise RecipeError(f"The recipe {path} is invalid ({faults}); correct these entries.") from error
