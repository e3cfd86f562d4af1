"""Recipe of a classifier of known people."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt

from sigedge.training.recipe import Augmentation, Optimisation, Section, SignerVariation


class KnownPeople(Section):
    """Who the classes are, where the data folder brings no folder of labels of its own.

    Attributes:
        source: ``synthetic``, or a data set of the index; of one that is split by signers its training signers alone
            are taken, in natural order.
        classes: number of people; the other signers of a data set are strangers.
        every_signer: take test signers of the split, too; for an experiment whose weights nobody uses.
        genuine: genuine samples of each synthetic signer.
        forged: skilled forgeries of each synthetic signer.
        seed: of the synthetic population.
    """

    source: str = "synthetic"
    classes: PositiveInt = 10
    every_signer: bool = False
    genuine: PositiveInt = 96
    forged: int = Field(default=36, ge=0)
    seed: int = Field(default=1, ge=0)


class Strangers(Section):
    """Synthetic signers whom nobody knows: a third each for training, validation and test.

    Attributes:
        signers: how many.
        samples: genuine samples of each.
        seed: of their population.
    """

    signers: int = Field(default=300, ge=3)
    samples: PositiveInt = 2
    seed: int = Field(default=2, ge=0)


class BatchShares(Section):
    """Canvases of each kind in a batch.

    Attributes:
        known: genuine samples of the classes, each class as often as the others.
        forged: skilled forgeries of the classes.
        strangers: signatures of other people.
        imagined: signatures of known people, turned into the hand of nobody (`training.augmentation.imagine_hand`).
    """

    known: PositiveInt = 32
    forged: int = Field(default=6, ge=0)
    strangers: int = Field(default=6, ge=0)
    imagined: int = Field(default=4, ge=0)


class Update(Section):
    """Going on from a trained checkpoint, with as many classes or more.

    Attributes:
        steps: batches in all, in place of the optimisation's.
        learning_rate: peak, likewise.
    """

    steps: PositiveInt = 200
    learning_rate: PositiveFloat = 5e-4


class ClassifierRecipe(Section):
    """One classifier, ready to train.

    Attributes:
        architecture: of `sigedge_models`.
        name: of the trained model and its file.
        version: of the trained model.
        licence: of the weights, one sentence.
        config: arguments of the architecture, without the number of classes.
        seed: of weights and batches.
        known: who the classes are.
        strangers: synthetic signers whom nobody knows.
        batch: canvases of each kind in a batch.
        augmentation: variation of every canvas; None varies nothing.
        imagined: how a known hand becomes nobody's.
        rejects: learn nobody known as a class of its own; without it every signature is somebody's.
        optimisation: how the weights are found.
        update: how they are found when the run goes on from a checkpoint.
    """

    architecture: str = "signauth"
    name: str
    version: str
    licence: str
    config: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    known: KnownPeople = KnownPeople()
    strangers: Strangers = Strangers()
    batch: BatchShares = BatchShares()
    augmentation: Augmentation | None = Augmentation()
    imagined: SignerVariation = SignerVariation(probability=1.0, mirror=1.0)
    rejects: bool = True
    optimisation: Optimisation = Optimisation()
    update: Update = Update()
