"""The training loop of a verifier, for Lightning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sigedge.training.batches import Batches, Pool
from sigedge.training.distillation import Teachers
from sigedge.training.losses import make_loss
from sigedge.training.recipe import Recipe
from sigedge.training.similarity import matching_of

Validate = Callable[[nn.Module], dict[str, float]]


class VerifierTraining(lightning.LightningModule):
    """Trains an embedding network on batches of signers.

    Args:
        model: float [B, 1, H, W] of canvas values 0 to 255, to float [B, D].
        recipe: optimisation and loss.
        pools: training canvases by data set.
        validate: figures of a model on the validation signers, e.g. ``eer``.
        teachers: what the recipe's distillation asks for.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        pools: Mapping[str, Pool],
        validate: Validate,
        teachers: Teachers | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        populations = [min(count, len(pools[name])) for name, count in recipe.data.signers_per_batch.items()]
        self.loss = make_loss(recipe.loss, matching_of(model), populations)
        self._recipe, self._pools, self._validate = recipe, pools, validate
        self._teachers = teachers

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the current epoch; Lightning asks again for every epoch."""
        return DataLoader(Batches(self._pools, self._recipe, self._epoch()), batch_size=None, shuffle=False)

    def _epoch(self) -> int:
        # From the steps done: while a run is being resumed Lightning's own count still lags by one.
        return int(self.global_step) // self._recipe.optimisation.steps_per_epoch

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], index: int) -> Tensor:
        """Loss of one batch."""
        # Randomness inside the network follows the step, so that a resumed run draws what it would have drawn.
        torch.manual_seed(self._recipe.seed + self.global_step)
        canvases, signers, genuine = batch
        embeddings = self.model(canvases)
        terms = self.loss(embeddings, signers, genuine)
        named = dict(zip(self.loss.terms, terms, strict=True))
        if self._teachers is not None:
            named["distillation"] = self._teachers(canvases, embeddings)
        total = torch.stack(list(named.values())).sum()
        self.log_dict({"loss": total, **named}, prog_bar=True, on_step=False, on_epoch=True)
        return total

    def val_dataloader(self) -> DataLoader[Any]:
        """One empty batch: validation looks at all signers at once, not at batches."""
        return DataLoader([torch.zeros(0)], batch_size=None)  # type: ignore[arg-type]

    def validation_step(self, batch: Tensor, index: int) -> None:
        """Figures on the validation signers."""
        self.log_dict(self._validate(self.model), prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        """AdamW with one-cycle learning rate; no decay on norms, biases and the loss's own parameters."""
        settings = self._recipe.optimisation
        decayed = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.learning_rate, total_steps=settings.steps, pct_start=0.15
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
