"""What a recipe of cgan holds; see the recipes beside the networks in `sigedge_models.cgan`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from sigedge.training.recipe import Section


class Signers(Section):
    """The synthetic signers, and how each one's samples are divided.

    Attributes:
        seed: of the population, as in `sigedge.synthesis.Synthesiser`.
        count: signers.
        train: samples of each for the generator, the judge and the classifier that holds out the others.
        validation: samples of each for validation.
        test: samples of each for the judge's test. These three are the set proper.
        fresh: further samples of each, which nothing is ever trained on.
    """

    seed: int = 2019
    count: PositiveInt = 10
    train: PositiveInt = 40
    validation: PositiveInt = 10
    test: PositiveInt = 50
    fresh: PositiveInt = 100


class Canvas(Section):
    """Size of every image, pixels; see `sigedge_runtime.preprocessing.PreprocessSpec`."""

    height: PositiveInt = 64
    width: PositiveInt = 128
    margin: PositiveInt = 2
    stroke_width: PositiveInt = 3


class NetworkRecipe(Section):
    """A network, and how long it learns.

    Attributes:
        config: arguments of its class in `sigedge_models.cgan` beside classes and canvas.
        steps: batches in all.
        steps_per_epoch: batches of an epoch, the unit of the log.
        validate_every: epochs between validations, each followed by a checkpoint.
        batch: images of a batch.
    """

    config: dict[str, Any] = Field(default_factory=dict)
    steps: PositiveInt
    steps_per_epoch: PositiveInt
    validate_every: PositiveInt = 1
    batch: PositiveInt = 32

    def shortened(self, steps: int | None) -> dict[str, int]:
        """What changes where `steps` batches replace the recipe's."""
        if steps is None:
            return {}
        return {"steps": steps, "steps_per_epoch": min(steps, self.steps_per_epoch)}


class GeneratorRecipe(NetworkRecipe):
    """The generator, its opponent and how they learn.

    Attributes:
        discriminator_channels: of every halving of the image.
        pack: images of one signer that the discriminator sees at once; divides the batch.
        learning_rate: of the generator's Adam, for half of the steps; then it falls to nothing.
        discriminator_learning_rate: of the discriminator's, likewise.
        momentum: first beta of both.
        shift: pixels by which what the discriminator sees is moved, at most, either way.
        average_decay: decay of the moving average of the generator's weights that is kept.
    """

    discriminator_channels: tuple[PositiveInt, ...] = (16, 32, 64, 128)
    pack: PositiveInt = 2
    learning_rate: PositiveFloat = 5e-4
    discriminator_learning_rate: PositiveFloat = 5e-4
    momentum: float = Field(default=0.5, ge=0, lt=1)
    shift: int = Field(default=4, ge=0)
    average_decay: float = Field(default=0.995, ge=0, lt=1)

    @property
    def rates(self) -> tuple[float, float]:
        """Learning rates of the discriminator and of the generator."""
        return self.discriminator_learning_rate, self.learning_rate


class ClassifierRecipe(NetworkRecipe):
    """A classifier, or the judge, and how it learns.

    Attributes:
        learning_rate: peak of a one-cycle schedule of AdamW.
        weight_decay: of AdamW.
    """

    learning_rate: PositiveFloat = 2e-3
    weight_decay: float = Field(default=1e-2, ge=0)


class CganRecipe(Section):
    """All networks of the system, ready to train.

    Beside them stands how many generated signatures of each signer are evaluated: `drawn`.
    """

    architecture: str = "cgan"
    name: str
    version: str
    licence: str
    seed: int = 0
    signers: Signers = Signers()
    canvas: Canvas = Canvas()
    generator: GeneratorRecipe
    judge: ClassifierRecipe
    classifier: ClassifierRecipe
    drawn: PositiveInt = 300

    @model_validator(mode="after")
    def _packs_fill_a_batch(self) -> CganRecipe:
        if self.generator.batch % self.generator.pack:
            raise ValueError(f"packs of {self.generator.pack} do not fill a batch of {self.generator.batch}")
        return self

    @model_validator(mode="after")
    def _sizes_are_free(self) -> CganRecipe:
        for section in (self.generator, self.judge, self.classifier):
            taken = {"classes", "canvas_height", "canvas_width"} & set(section.config)
            if taken:
                raise ValueError(f"{', '.join(sorted(taken))} follow from signers and canvas; leave them out of config")
        return self

    def shortened(self, steps: int | None) -> CganRecipe:
        """With `steps` batches for every network; unchanged where None."""
        parts = {
            name: section.model_copy(update=section.shortened(steps))
            for name, section in (("generator", self.generator), ("judge", self.judge), ("classifier", self.classifier))
        }
        return self.model_copy(update=parts)
