"""The training loop of the judge and of the classifier, for Lightning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from sigedge.systems.cgan.recipe import ClassifierRecipe


@dataclass(frozen=True)
class Targeted:
    """Images and what a network shall answer.

    Attributes:
        images: float32 [N, H, W], 0 to 255.
        targets: float32 [N, D]: 1 in the signer's column; the judge's last is 1 for genuine.
    """

    images: NDArray[np.float32]
    targets: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)


def targeted(images: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> Targeted:
    """Images with their signers alone as targets, for the classifier."""
    return Targeted(images, np.eye(classes, dtype=np.float32)[labels])


def judged(
    genuine: NDArray[np.float32],
    genuine_labels: NDArray[np.int64],
    generated: NDArray[np.float32],
    generated_labels: NDArray[np.int64],
    classes: int,
) -> Targeted:
    """Genuine images, then generated ones, with their signers and a last column that is 1 for genuine ones."""
    signers = np.eye(classes, dtype=np.float32)[np.concatenate([genuine_labels, generated_labels])]
    real = np.repeat(np.array([1, 0], np.float32), [len(genuine), len(generated)])
    return Targeted(np.concatenate([genuine, generated]), np.column_stack([signers, real]))


class ImageBatches(Dataset[tuple[Tensor, Tensor]]):
    """The batches of one epoch; batch i of epoch e is a function of (seed, e, i) alone, so resuming repeats nothing.

    An item is one batch: images float32 [B, 1, H, W] of 0 to 255 and targets float32 [B, D].
    """

    def __init__(self, samples: Targeted, recipe: ClassifierRecipe, seed: int, epoch: int) -> None:
        self._samples, self._recipe, self._seed, self._epoch = samples, recipe, seed, epoch

    def __len__(self) -> int:
        return self._recipe.steps_per_epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index >= len(self):
            raise IndexError(index)
        random = np.random.default_rng([self._seed, self._epoch, index])
        rows = random.integers(0, len(self._samples), self._recipe.batch)
        images = torch.from_numpy(self._samples.images[rows, None])
        return images, torch.from_numpy(self._samples.targets[rows])


class ClassificationTraining(lightning.LightningModule):
    """Trains a network whose outputs are scores of classes.

    Args:
        model: its method `scores` takes float [B, 1, H, W] of 0 to 255 to float [B, D].
        training: what it learns from.
        validation: what it is watched on.
        recipe: how it learns.
        seed: of batches and dropout.
        classes: signers; an output beyond them makes it a judge.
    """

    def __init__(
        self,
        model: nn.Module,
        training: Targeted,
        validation: Targeted,
        recipe: ClassifierRecipe,
        seed: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.model = model
        self._training, self._validation, self._recipe = training, validation, recipe
        self._seed, self._classes = seed, classes

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the current epoch; Lightning asks again for every epoch."""
        epoch = int(self.global_step) // self._recipe.steps_per_epoch
        return DataLoader(ImageBatches(self._training, self._recipe, self._seed, epoch), batch_size=None)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Loss of one batch."""
        torch.manual_seed(self._seed + self.global_step)
        return self._logged("", *batch)

    def val_dataloader(self) -> DataLoader[Any]:
        """All validation images as one batch."""
        images = torch.from_numpy(self._validation.images[:, None])
        return DataLoader([(images, torch.from_numpy(self._validation.targets))], batch_size=None)  # type: ignore[arg-type]

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Figures on the validation images."""
        self._logged("validation_", *batch)

    def _logged(self, prefix: str, images: Tensor, targets: Tensor) -> Tensor:
        scores = self.model.scores(images)  # type: ignore[operator]
        is_judge = scores.shape[1] > self._classes
        loss = independent_sigmoids(scores, targets) if is_judge else functional.cross_entropy(scores, targets)
        figures = {"loss": loss, "signer_accuracy": signers_right(scores, targets, self._classes)}
        if is_judge:
            figures["all_outputs_right"] = all_outputs_right(scores, targets)
        named = {prefix + name: figure for name, figure in figures.items()}
        self.log_dict(named, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(images))
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW with one-cycle learning rate."""
        recipe = self._recipe
        optimiser = torch.optim.AdamW(self.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total_steps=recipe.steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def independent_sigmoids(scores: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of every output for itself: scores float [B, D], targets float [B, D] of 0 or 1."""
    return functional.binary_cross_entropy_with_logits(scores, targets)


def signers_right(scores: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Share of images [B] whose most probable signer, by softmax over the first `classes` outputs, is the right one."""
    return (scores[:, :classes].argmax(1) == targets[:, :classes].argmax(1)).float().mean()


def all_outputs_right(scores: Tensor, targets: Tensor) -> Tensor:
    """Share of images [B] whose every output lies on its target's side of one half, after a sigmoid."""
    return ((scores > 0) == (targets > 0.5)).all(1).float().mean()
