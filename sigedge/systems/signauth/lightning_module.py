"""The training loop of the classifier, for Lightning."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from sigedge.systems.signauth.batches import Batches
from sigedge.systems.signauth.recipe import ClassifierRecipe
from sigedge.systems.signauth.samples import Part
from sigedge_models.signauth.model import SignAuth
from sigedge_runtime.errors import CheckpointError

Validate = Callable[[SignAuth], dict[str, float]]

_LABELS, _CANVASES = "sigedge_labels", "sigedge_canvases"


class ClassifierTraining(lightning.LightningModule):
    """Trains a classifier of known people by cross-entropy, with nobody known as one more class of logit 0.

    A class without an image, whose pictures are gone since it was learned, must not be forgotten. Where there is one,
    the features stay as they are, as do the outputs of all such classes, and the other outputs learn beside features
    drawn around its mean (F. Zhu et al., "Prototype augmentation and self-supervision for incremental learning",
    CVPR 2021, section 3.2).

    Args:
        model: the network.
        recipe: batches, loss and optimisation.
        part: training canvases.
        labels: names of the classes, which a run that is resumed must share.
        validate: figures of a model on the validation canvases.

    Attributes:
        absent: numbers of the classes without an image.
    """

    def __init__(
        self, model: SignAuth, recipe: ClassifierRecipe, part: Part, labels: Sequence[str], validate: Validate
    ) -> None:
        super().__init__()
        self.model = model
        self._recipe, self._part, self._labels, self._validate = recipe, part, list(labels), validate
        present = set(part.targets.tolist())
        self.absent = [number for number in range(len(labels)) if number not in present]

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the current epoch; Lightning asks again for every epoch."""
        per_epoch = self._recipe.optimisation.steps_per_epoch
        # From the steps done: while a run is being resumed Lightning's own count still lags by one.
        epoch = int(self.global_step) // per_epoch
        batches = Batches(self._part, len(self._labels), self._recipe, per_epoch, epoch)
        return DataLoader(batches, batch_size=None, shuffle=False)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Loss of one batch."""
        # Randomness inside the network follows the step, so that a resumed run draws what it would have drawn.
        torch.manual_seed(self._recipe.seed + self.global_step)
        canvases, targets = batch
        canvases = canvases.contiguous(memory_format=torch.channels_last)
        if self.absent:
            logits, targets = self._beside_the_absent(canvases, targets)
        else:
            logits = self.model(canvases)
        if self._recipe.rejects:
            logits = functional.pad(logits, (0, 1))
        loss = functional.cross_entropy(logits, targets)
        accuracy = (logits.argmax(dim=1) == targets).float().mean()
        self.log_dict({"loss": loss, "accuracy": accuracy}, prog_bar=True, on_step=False, on_epoch=True)
        return loss

    def _beside_the_absent(self, canvases: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and targets of a batch and of as many drawn features of each absent class as a present one has."""
        model = self.model
        model.eval()  # Lightning puts it into training mode at every epoch; the features' statistics shall stay.
        with torch.no_grad():
            seen = model.features(canvases)
        each = max(1, self._recipe.batch.known // max(1, len(self._labels) - len(self.absent)))
        absent = torch.tensor(self.absent, device=seen.device).repeat_interleave(each)
        means = model.class_means[absent]
        drawn = functional.relu(means + model.spread * torch.randn_like(means))
        kept = torch.zeros(len(self._labels), dtype=torch.bool, device=seen.device)
        kept[self.absent] = True
        head = model.head
        weight = torch.where(kept[:, None], head.weight.detach(), head.weight)
        bias = torch.where(kept, head.bias.detach(), head.bias)
        logits = functional.linear(torch.cat([seen, drawn]), weight, bias)
        return logits, torch.cat([targets, absent])

    def val_dataloader(self) -> DataLoader[Any]:
        """One empty batch: validation looks at all canvases at once, not at batches."""
        return DataLoader([torch.zeros(0)], batch_size=None)  # type: ignore[arg-type]

    def validation_step(self, batch: Tensor, index: int) -> None:
        """Figures on the validation canvases."""
        self.log_dict(self._validate(self.model), prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        """AdamW with one-cycle learning rate; no decay on norms and biases; the outputs alone beside absent classes."""
        settings = self._recipe.optimisation
        trained: nn.Module = self.model.head if self.absent else self.model
        decayed = [p for p in trained.parameters() if p.ndim > 1]
        others = [p for p in trained.parameters() if p.ndim <= 1]
        groups = [
            # Decay would move the outputs that shall stay.
            {"params": decayed, "weight_decay": 0.0 if self.absent else settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.learning_rate, total_steps=settings.steps, pct_start=0.15
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say which classes and canvases the run is about."""
        checkpoint[_LABELS], checkpoint[_CANVASES] = self._labels, _digest(self._part)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with a run about others.

        Raises:
            CheckpointError: it is.
        """
        there = checkpoint.get(_LABELS, [])
        if there != self._labels:
            raise CheckpointError(
                f"The interrupted or finished run in this folder knows {len(there)} classes, the data have "
                f"{len(self._labels)} or others; grow its checkpoint with --update, or name another folder with --out."
            )
        if checkpoint.get(_CANVASES) != _digest(self._part):
            raise CheckpointError(
                "The interrupted or finished run in this folder learned from other images than there are now; go on "
                "from its checkpoint with --update, or name another folder with --out."
            )


def _digest(part: Part) -> str:
    """Names the canvases of a part and their classes."""
    return hashlib.sha256(part.canvases.tobytes() + part.targets.tobytes()).hexdigest()
