"""The training of a generator against its discriminator, for Lightning."""

from __future__ import annotations

from typing import Any, cast

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from sigedge.systems.forger.pairs import Pairs
from sigedge.systems.forger.recipe import ForgerRecipe
from sigedge_models.forger import PatchDiscriminator
from sigedge_models.forger.generator import HALF, Generator

Batch = tuple[Tensor, Tensor, Tensor]
_OPTIMISERS = 2
_FORGE_BATCH = 32


class PairBatches(Dataset[Batch]):
    """The batches of one epoch; batch i of epoch e is a function of (seed, e, i) alone, so resuming repeats nothing.

    An item is one batch: lines, masks and targets, float32 [B, 1, H, W] of 0 to 255 each, shifted by whole pixels as
    pix2pix's jitter does; anything finer would blur the very grain that is to be learned.
    """

    def __init__(self, pairs: Pairs, recipe: ForgerRecipe, epoch: int) -> None:
        self._pairs, self._recipe, self._epoch = pairs, recipe, epoch

    def __len__(self) -> int:
        return self._recipe.optimisation.steps_per_epoch

    def __getitem__(self, index: int) -> Batch:
        if index >= len(self):
            raise IndexError(index)
        settings = self._recipe.optimisation
        random = np.random.default_rng([self._recipe.seed, self._epoch, index])
        rows = random.integers(len(self._pairs), size=settings.batch)
        shift = random.integers(-settings.shift, settings.shift + 1, size=2)
        chosen = self._pairs.select(rows)
        lines, masks, targets = (
            torch.from_numpy(np.roll(images, shift, axis=(1, 2))[:, None].astype(np.float32))
            for images in (chosen.lines, chosen.masks, chosen.targets)
        )
        return lines, masks, targets


class DrawingTraining(lightning.LightningModule):
    """Generator and discriminator take one step each for every batch, by the hinge loss.

    J. H. Lim and J. C. Ye, "Geometric GAN", 2017, equations 8 and 9, for the loss; Adam as pix2pix sets it.

    Args:
        generator: learns to draw.
        recipe: optimisation, discriminator and seed.
        train: pairs to learn from.
        validation: pairs to measure by.
        steps: batches in all.
    """

    def __init__(self, generator: Generator, recipe: ForgerRecipe, train: Pairs, validation: Pairs, steps: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = generator
        self.discriminator = PatchDiscriminator(**recipe.discriminator)
        self._recipe, self._train, self._validation, self._steps = recipe, train, validation, steps

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the current epoch; Lightning asks again for every epoch."""
        epoch = self._done() // self._recipe.optimisation.steps_per_epoch
        return DataLoader(PairBatches(self._train, self._recipe, epoch), batch_size=None, shuffle=False)

    def _done(self) -> int:
        return int(self.global_step) // _OPTIMISERS

    def training_step(self, batch: Batch, index: int) -> None:
        """One step of each."""
        first, second = cast(list[Any], self.optimizers())
        self._settle([first, second])
        lines, masks, targets = batch
        drawn = self.generator.draw(lines, masks)
        scene = (lines / HALF - 1, masks / HALF - 1)
        real = targets / HALF - 1
        judged = self._judge(scene, torch.cat([real, drawn.detach()]))
        loss = functional.relu(1 - judged[: len(real)]).mean() + functional.relu(1 + judged[len(real) :]).mean()
        self._step(second, loss)
        self.discriminator.requires_grad_(False)
        adversarial = -self._judge(scene, drawn).mean()
        difference = (drawn - real).abs().mean()
        self._step(first, adversarial + self._recipe.optimisation.reconstruction * difference)
        self.discriminator.requires_grad_(True)
        figures = {"discriminator": loss, "adversarial": adversarial, "difference": difference}
        self.log_dict(figures, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(real))

    def _settle(self, optimisers: list[Any]) -> None:
        """In the last part the norms keep their statistics, and the learning rate falls to nothing, as pix2pix's."""
        settings = self._recipe.optimisation
        last_part = self._steps * (1 - settings.frozen_norms)
        remaining = self._steps - self._done()
        if remaining <= last_part:
            self.generator.freeze_norms()
            for group in (group for optimiser in optimisers for group in optimiser.param_groups):
                group["lr"] = settings.learning_rate * remaining / last_part

    def _judge(self, scene: tuple[Tensor, Tensor], images: Tensor) -> Tensor:
        times = len(images) // len(scene[0])
        return cast(Tensor, self.discriminator(*(part.repeat(times, 1, 1, 1) for part in scene), images))

    def _step(self, optimiser: Any, loss: Tensor) -> None:
        optimiser.zero_grad()
        self.manual_backward(loss)
        optimiser.step()

    def val_dataloader(self) -> DataLoader[Any]:
        """One empty batch: validation draws all pairs at once."""
        return DataLoader([torch.zeros(0)], batch_size=None)  # type: ignore[arg-type]

    def validation_step(self, batch: Tensor, index: int) -> None:
        """How far the drawings of validation pairs are from what was written, in decibels."""
        drawn = forge(self.generator, self._validation)
        ratio = float(np.mean(signal_to_noise(drawn, self._validation.targets)))
        self.log("psnr", ratio, prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        """Adam for each of the two."""
        settings = self._recipe.optimisation
        betas = (settings.beta1, 0.999)
        return [
            torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=betas)
            for network in (self.generator, self.discriminator)
        ]


def forge(generator: nn.Module, pairs: Pairs) -> NDArray[np.uint8]:
    """Drawings uint8 [N, H, W] of the lines and masks of pairs, in evaluation mode; the mode is put back."""
    training = {name: module.training for name, module in generator.named_modules()}
    generator.eval()
    canvases = pairs.canvases()
    with torch.inference_mode():
        rows = [
            generator(torch.from_numpy(canvases[start : start + _FORGE_BATCH, None].astype(np.float32)))
            for start in range(0, len(canvases), _FORGE_BATCH)
        ]
    for name, module in generator.named_modules():
        module.training = training[name]
    return np.asarray(np.clip(np.rint(torch.cat(rows).numpy()), 0, 255), np.uint8).reshape(pairs.targets.shape)


def signal_to_noise(drawn: NDArray[np.uint8], targets: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of each image uint8 [N, H, W] against its target, decibels; equal images give 60."""
    difference = drawn.astype(np.float64) - targets
    error = np.square(difference).mean(axis=(1, 2))
    return np.asarray(np.minimum(60.0, 10 * np.log10(255.0**2 / np.maximum(error, 1e-9))))
