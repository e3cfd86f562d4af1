"""The training loop of the generator and its discriminator, for Lightning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from sigedge.systems.cgan.data import Labelled
from sigedge.systems.cgan.drawing import draw_latents
from sigedge.systems.cgan.recipe import GeneratorRecipe
from sigedge_models.cgan.generator import HALF

OPTIMISERS = 2
Validate = Callable[[nn.Module], dict[str, float]]


class GanBatches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """The batches of one epoch; batch i of epoch e is a function of (seed, e, i) alone, so resuming repeats nothing.

    An item is one batch: genuine images float32 [B, 1, H, W] of 0 to 255, their signers int64 [B], and latents
    float32 [B, 1, rows, columns] of the same signers. Images of a pack are neighbours.
    """

    def __init__(
        self, samples: Labelled, recipe: GeneratorRecipe, latent_size: tuple[int, int], seed: int, epoch: int
    ) -> None:
        self._samples, self._recipe, self._latent_size = samples, recipe, latent_size
        self._seed, self._epoch = seed, epoch
        self._rows = [np.flatnonzero(samples.labels == signer) for signer in range(samples.labels.max() + 1)]

    def __len__(self) -> int:
        return self._recipe.steps_per_epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        if index >= len(self):
            raise IndexError(index)
        recipe, random = self._recipe, np.random.default_rng([self._seed, self._epoch, index])
        labels = np.repeat(random.integers(0, len(self._rows), recipe.batch // recipe.pack), recipe.pack)
        rows = np.array([random.choice(self._rows[label]) for label in labels])
        latents = draw_latents(labels, self._latent_size, random)
        images = torch.from_numpy(self._samples.images[rows, None].astype(np.float32))
        return images, torch.from_numpy(labels), torch.from_numpy(latents[:, None].astype(np.float32))


class GanTraining(lightning.LightningModule):
    """Trains a generator against a discriminator, with the hinge loss, one step each in turn.

    Args:
        generator: see `sigedge_models.cgan.generator.Generator`.
        discriminator: see `sigedge_models.cgan.discriminator.Discriminator`.
        samples: genuine training images.
        recipe: how they learn.
        seed: of batches and of randomness in a step.
        validate: figures of the averaged generator.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        samples: Labelled,
        recipe: GeneratorRecipe,
        seed: int,
        validate: Validate,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        # On a CPU transposed convolutions take half the time in this layout.
        self.generator = generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.discriminator = discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Buffers too: the statistics of the normalisations belong to the weights that made them.
        averaging = get_ema_multi_avg_fn(recipe.average_decay)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(generator, multi_avg_fn=averaging, use_buffers=True)
        self._samples, self._recipe, self._seed, self._validate = samples, recipe, seed, validate

    @property
    def averaged(self) -> nn.Module:
        """The generator with averaged weights, the one to keep."""
        return self.average.module

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the current epoch; Lightning asks again for every epoch."""
        size = cast(tuple[int, int], self.generator.latent_size)
        epoch = self._step() // self._recipe.steps_per_epoch
        return DataLoader(GanBatches(self._samples, self._recipe, size, self._seed, epoch), batch_size=None)

    def _step(self) -> int:
        """Batches done: Lightning counts the steps of both optimisers."""
        return int(self.global_step) // OPTIMISERS

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], index: int) -> None:
        """One step of the discriminator, then one of the generator on the same drawings."""
        torch.manual_seed(self._seed + self._step())
        genuine, signers, latents = batch
        drawn = self.generator(latents).reshape(genuine.shape)
        losses = {"discriminator_loss": self._judge_better(genuine, drawn.detach(), signers)}
        losses["generator_loss"] = self._draw_better(drawn, signers)
        self.average.update_parameters(self.generator)
        self.log_dict(losses, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(signers))

    def _judge_better(self, genuine: Tensor, drawn: Tensor, signers: Tensor) -> Tensor:
        """Hinge loss after J. H. Lim and J. C. Ye, "Geometric GAN", arXiv 1705.02894, equation 20."""
        loss = (
            torch.relu(1 - self._judged(genuine, signers)).mean() + torch.relu(1 + self._judged(drawn, signers)).mean()
        )
        self._descend(0, loss)
        return loss.detach()

    def _draw_better(self, drawn: Tensor, signers: Tensor) -> Tensor:
        self.discriminator.requires_grad_(False)
        loss = -self._judged(drawn, signers).mean()
        self._descend(1, loss)
        self.discriminator.requires_grad_(True)
        return loss.detach()

    def _judged(self, images: Tensor, signers: Tensor) -> Tensor:
        pack = self._recipe.pack
        packs = self._seen(images).reshape(-1, pack, *images.shape[2:])
        return cast(Tensor, self.discriminator(packs, signers[::pack]))

    def _descend(self, number: int, loss: Tensor) -> None:
        optimiser = cast(list[Any], self.optimizers())[number]
        for group in optimiser.param_groups:
            group["lr"] = self._recipe.rates[number] * falling(self._step() / self._recipe.steps)
        optimiser.zero_grad()
        self.manual_backward(loss)
        optimiser.step()

    def _seen(self, images: Tensor) -> Tensor:
        """Images as -1 to 1, moved by chance: S. Zhao et al., "Differentiable Augmentation", NeurIPS 2020, section 3.2.

        Genuine and drawn ones are moved alike, so that the generator does not learn to move.
        """
        reach = self._recipe.shift
        down, right = (int(torch.randint(0, 2 * reach + 1, ())) for _ in range(2))
        padded = functional.pad(images / HALF - 1.0, (reach, reach, reach, reach), value=-1.0)
        return padded[:, :, down : down + images.shape[2], right : right + images.shape[3]]

    def val_dataloader(self) -> DataLoader[Any]:
        """One empty batch: the generator is its own data."""
        return DataLoader([torch.zeros(0)], batch_size=None)  # type: ignore[arg-type]

    def validation_step(self, batch: Tensor, index: int) -> None:
        """Figures of the averaged generator."""
        self.log_dict(self._validate(self.averaged), prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        """Adam for each."""
        betas, networks = (self._recipe.momentum, 0.99), (self.discriminator, self.generator)
        return [
            torch.optim.Adam(network.parameters(), rate, betas)
            for network, rate in zip(networks, self._recipe.rates, strict=True)
        ]


def falling(done: float) -> float:
    """Share of the learning rate after a share of the steps: all of it for half of them, then evenly down to none."""
    return min(1.0, 2 * (1 - done))
