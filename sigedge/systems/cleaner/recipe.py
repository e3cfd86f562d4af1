"""Recipes of the cleaner: YAML files, checked before any work is done."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from sigedge.systems.cleaner.noise import NoiseSettings
from sigedge.training.recipe import Section, SyntheticSigners


class DataRecipe(Section):
    """Whose signatures are learned from, and what they are laid on.

    Attributes:
        datasets: data sets of the index whose training signers are used; none where all shall be synthetic.
        synthetic: synthetic signers, of whom every eighth is for validation.
        drawn_documents: probability that a document is drawn although there are scanned ones.
        fill: share of a region that a signature takes, (least, most), above 0 and up to 1.
        crop: rows and columns of the pieces that are learned from, each divisible by 8.
        batch: pieces of each kind in a batch.
        validation_documents: documents of validation signers that each validation looks at.
    """

    datasets: tuple[str, ...] = ("cedar-half",)
    synthetic: SyntheticSigners = SyntheticSigners(signers=150, genuine=4, forged=2, seed=41)
    drawn_documents: float = Field(default=0.5, ge=0, le=1)
    fill: tuple[float, float] = (0.7, 0.95)
    crop: tuple[PositiveInt, PositiveInt] = (64, 128)
    batch: PositiveInt = 2
    validation_documents: PositiveInt = 32


class Optimisation(Section):
    """How the weights are found.

    Attributes:
        steps: batches in all.
        steps_per_epoch: batches of an epoch, the unit of the log.
        validate_every: epochs between validations, each followed by a checkpoint.
        learning_rate: of Adam for the generators, for the first half; it then falls to 0 in a straight line.
        critic_rate: the same for the discriminators.
        average_decay: decay of the moving average of the generator's weights that is validated and kept.
    """

    steps: PositiveInt = 2200
    steps_per_epoch: PositiveInt = 100
    validate_every: PositiveInt = 2
    learning_rate: PositiveFloat = 5e-4
    critic_rate: PositiveFloat = 4e-4
    average_decay: float = Field(default=0.995, ge=0, lt=1)


class Losses(Section):
    """Weights beside the adversarial losses, and what steadies these; see `sigedge.systems.cleaner.cyclegan`.

    Attributes:
        cycle_clean: of clean, made dirty, cleaned: it must come back.
        cycle_dirty: of dirty, cleaned, made dirty. The dirt is not in the clean image, so this weight is small.
        identity: of cleaning what is clean.
        ink_weight: how much more than paper full ink counts in these and in paired training. Most of an image is paper:
            without it, removing everything is nearly right, and nothing leads back from there.
        saturation: of shares, before the logistic function, beyond 4 either way. Without it the networks find that to
            change nothing or everything is nearly right, and that function has no gradient to lead back from there.
        pool: images that the discriminators' memory holds.
        critic_noise: standard deviation of the noise on what discriminators see, share of black.
    """

    cycle_clean: float = Field(default=10.0, ge=0)
    cycle_dirty: float = Field(default=0.5, ge=0)
    identity: float = Field(default=5.0, ge=0)
    ink_weight: float = Field(default=8.0, ge=0)
    saturation: float = Field(default=0.1, ge=0)
    pool: PositiveInt = 50
    critic_noise: float = Field(default=0.05, ge=0)


class CleanerRecipe(Section):
    """A cleaner, ready to train.

    Attributes:
        architecture: ``cleaner``.
        version: of the trained network.
        licence: of the weights, one sentence.
        config: arguments of `sigedge_models.cleaner.Model`.
        seed: of everything random.
        supervision: ``unpaired``, as a CycleGAN, from dirty documents of some signers and clean signatures of others;
            ``paired``, from documents whose clean truth is known, to see what that would give.
        painter_noise: channels of noise from which the other generator draws dirt.
        critic_width: channels of the discriminators' first layer.
    """

    architecture: Literal["cleaner"] = "cleaner"
    version: str
    licence: str
    config: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    supervision: Literal["unpaired", "paired"] = "unpaired"
    painter_noise: PositiveInt = 8
    critic_width: PositiveInt = 32
    data: DataRecipe = DataRecipe()
    noise: NoiseSettings = NoiseSettings()
    optimisation: Optimisation = Optimisation()
    loss: Losses = Losses()
