"""The training loops of the cleaner, for Lightning: as a CycleGAN from unpaired images, or from pairs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from sigedge.systems.cleaner.adversaries import Critic, ImagePool, Painter
from sigedge.systems.cleaner.batches import Batches
from sigedge.systems.cleaner.recipe import CleanerRecipe
from sigedge.systems.cleaner.signatures import TrainingInks
from sigedge_models.cleaner.model import Cleaner

_SATURATED = 4.0  # the logistic function there is within 2 % of its end

Validate = Callable[[Cleaner], Mapping[str, float]]


class CleanerTraining(lightning.LightningModule):
    """What both ways of training share: batches, step size, the moving average of the weights, validation.

    Args:
        cleaner: the network, trained in place; `average` holds what is to be kept.
        recipe: everything else.
        inks: signatures and documents.
        validate: figures of a cleaner on validation signers.
    """

    optimisers = 1

    def __init__(self, cleaner: Cleaner, recipe: CleanerRecipe, inks: TrainingInks, validate: Validate) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.cleaner = cleaner
        self.average = copy.deepcopy(cleaner).requires_grad_(False)
        self._recipe, self._inks, self._validate = recipe, inks, validate

    @property
    def steps_done(self) -> int:
        """Batches trained on; Lightning counts the steps of every optimiser."""
        return int(self.global_step) // self.optimisers

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the current epoch; Lightning asks again for every epoch."""
        epoch = self.steps_done // self._recipe.optimisation.steps_per_epoch
        return DataLoader(Batches(self._inks, self._recipe, epoch), batch_size=None, shuffle=False)

    def val_dataloader(self) -> DataLoader[Any]:
        """One empty batch: validation looks at a fixed set of its own."""
        return DataLoader([torch.zeros(0)], batch_size=None)  # type: ignore[arg-type]

    def validation_step(self, batch: Tensor, index: int) -> None:
        """Figures on the validation signers."""
        self.log_dict(dict(self._validate(self.average)), prog_bar=True, batch_size=1)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """One step of every optimiser."""
        # Randomness inside the networks follows the step, so that a resumed run draws what it would have drawn.
        step = self.steps_done
        torch.manual_seed(self._recipe.seed + step)
        dirty, clean = (images.contiguous(memory_format=torch.channels_last) for images in batch)
        self.log_dict(self._learn(dirty, clean, step), prog_bar=True, on_step=False, on_epoch=True)
        decay = min(self._recipe.optimisation.average_decay, (1 + step) / (10 + step))
        for kept, latest in zip(self.average.parameters(), self.cleaner.parameters(), strict=True):
            kept.lerp_(latest.detach(), 1 - decay)

    def _learn(self, dirty: Tensor, clean: Tensor, step: int) -> dict[str, Tensor]:
        raise NotImplementedError

    def _difference(self, made: Tensor, wanted: Tensor) -> Tensor:
        """Mean absolute difference of darkness, weighted by the ink that is wanted."""
        return ((made - wanted).abs() * (1 + self._recipe.loss.ink_weight * wanted)).mean()

    def _saturation(self, share: Tensor) -> Tensor:
        return self._recipe.loss.saturation * functional.relu(share.abs() - _SATURATED).mean()

    def _optimisers(self) -> list[LightningOptimizer]:
        found = self.optimizers()
        return cast(list[LightningOptimizer], found if isinstance(found, list) else [found])

    def _step(self, optimiser: LightningOptimizer, loss: Tensor, rate: float, step: int) -> None:
        """Follow the gradient of a loss, at a rate that falls to 0 in the second half."""
        total = self._recipe.optimisation.steps
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, 2.0 * (total - step) / total)
        optimiser.zero_grad()
        self.manual_backward(loss)
        optimiser.step()


class PairedTraining(CleanerTraining):
    """Learns from documents whose clean truth is known: the weighted absolute difference of each pair."""

    def _learn(self, dirty: Tensor, clean: Tensor, step: int) -> dict[str, Tensor]:
        cleaned, share = self.cleaner.lighten(dirty)
        loss = self._difference(cleaned, clean) + self._saturation(share)
        self._step(self._optimisers()[0], loss, self._recipe.optimisation.learning_rate, step)
        return {"loss": loss.detach()}

    def configure_optimizers(self) -> Any:
        """Adam."""
        return torch.optim.Adam(self.cleaner.parameters(), self._recipe.optimisation.learning_rate)


class CycleTraining(CleanerTraining):
    """The CycleGAN of J.-Y. Zhu et al., ICCV 2017: two generators, two discriminators, no pairs.

    Least-squares adversarial losses, cycle and identity losses and the pool of past images are the paper's. The two
    cycles have weights of their own (the dirt of one document cannot be told from its clean image), and the painter of
    dirt draws from noise.
    """

    optimisers = 2

    def __init__(self, cleaner: Cleaner, recipe: CleanerRecipe, inks: TrainingInks, validate: Validate) -> None:
        super().__init__(cleaner, recipe, inks, validate)
        config, noise = recipe.config, recipe.loss.critic_noise
        self.painter = Painter(config.get("width", 16), config.get("blocks", 4), recipe.painter_noise)
        self.clean_critic, self.dirty_critic = (Critic(recipe.critic_width, noise) for _ in range(2))
        self.clean_pool, self.dirty_pool = (ImagePool(recipe.loss.pool, recipe.data.crop) for _ in range(2))
        self.to(memory_format=torch.channels_last)

    def _learn(self, dirty: Tensor, clean: Tensor, step: int) -> dict[str, Tensor]:
        generators, critics = self._optimisers()
        rates = self._recipe.optimisation
        for critic in (self.clean_critic, self.dirty_critic):
            critic.requires_grad_(False)
        (cleaned, kept), (dirtied, painted) = self.cleaner.lighten(dirty), self.painter(clean)
        losses = self._round_trip_losses(dirty, clean, cleaned, dirtied) | {
            "fools_clean": _distance(self.clean_critic(cleaned), 1.0),
            "fools_dirty": _distance(self.dirty_critic(dirtied), 1.0),
            "saturation": self._saturation(kept) + self._saturation(painted),
        }
        self._step(generators, torch.stack(list(losses.values())).sum(), rates.learning_rate, step)
        for critic in (self.clean_critic, self.dirty_critic):
            critic.requires_grad_(True)
        judged = self._critic_losses(dirty, clean, cleaned, dirtied)
        self._step(critics, torch.stack(list(judged.values())).sum(), rates.critic_rate, step)
        return {name: loss.detach() for name, loss in {**losses, **judged}.items()}

    def _round_trip_losses(self, dirty: Tensor, clean: Tensor, cleaned: Tensor, dirtied: Tensor) -> dict[str, Tensor]:
        weights = self._recipe.loss
        return {
            "cycle_clean": weights.cycle_clean * self._difference(self.cleaner.lighten(dirtied)[0], clean),
            "cycle_dirty": weights.cycle_dirty * self._difference(self.painter(cleaned)[0], dirty),
            "identity": weights.identity * self._difference(self.cleaner.lighten(clean)[0], clean),
        }

    def _critic_losses(self, dirty: Tensor, clean: Tensor, cleaned: Tensor, dirtied: Tensor) -> dict[str, Tensor]:
        past_cleaned, past_dirtied = self.clean_pool.exchange(cleaned), self.dirty_pool.exchange(dirtied)
        return {
            "critic_clean": _told_apart(self.clean_critic, clean, past_cleaned),
            "critic_dirty": _told_apart(self.dirty_critic, dirty, past_dirtied),
        }

    def configure_optimizers(self) -> Any:
        """Adam with the first moment of the paper, one for the generators and one for the critics."""
        rates = self._recipe.optimisation
        generators = [*self.cleaner.parameters(), *self.painter.parameters()]
        critics = [*self.clean_critic.parameters(), *self.dirty_critic.parameters()]
        return [
            torch.optim.Adam(generators, rates.learning_rate, betas=(0.5, 0.999)),
            torch.optim.Adam(critics, rates.critic_rate, betas=(0.5, 0.999)),
        ]


def _distance(judged: Tensor, wanted: float) -> Tensor:
    """Least-squares adversarial loss (X. Mao et al., ICCV 2017)."""
    return functional.mse_loss(judged, torch.full_like(judged, wanted))


def _told_apart(critic: nn.Module, real: Tensor, made: Tensor) -> Tensor:
    return 0.5 * (_distance(critic(real), 1.0) + _distance(critic(made), 0.0))
