"""Batches of known people and of nobody known."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sigedge.systems.signauth.recipe import ClassifierRecipe
from sigedge.systems.signauth.samples import Part
from sigedge.training.augmentation import augment, imagine_hand, warp

Canvas = NDArray[np.uint8]


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """The batches of one epoch; batch i of epoch e is a function of (seed, e, i) alone, so resuming repeats nothing.

    An item is one batch: canvases float32 [B, 1, H, W] of 0 to 255, and targets int64 [B], the number of the class or,
    for nobody known, the number of classes.

    Args:
        part: the training canvases.
        classes: number of classes of the network; those without an image are left out.
        recipe: batch composition, augmentation and seed.
        steps: batches of the epoch.
        epoch: number of the epoch.
    """

    def __init__(self, part: Part, classes: int, recipe: ClassifierRecipe, steps: int, epoch: int) -> None:
        self._part, self._recipe, self._steps, self._epoch = part, recipe, steps, epoch
        self._nobody = classes
        own = (np.flatnonzero(part.targets == number) for number in range(classes))
        self._people = [rows for rows in own if len(rows) > 0]

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index >= len(self):
            raise IndexError(index)
        random = np.random.default_rng([self._recipe.seed, self._epoch, index])
        rows = self._known(self._recipe.batch.known, random)
        canvases, targets = self._varied(rows, random), list(self._part.targets[rows])
        if self._recipe.rejects:
            nobody = self._of_nobody(random)
            canvases, targets = canvases + nobody, targets + [self._nobody] * len(nobody)
        stacked = torch.from_numpy(np.stack(canvases)[:, None].astype(np.float32))
        return stacked, torch.tensor(np.array(targets, np.int64))

    def _known(self, count: int, random: np.random.Generator) -> list[int]:
        """Rows of known people, every person as probable as any other."""
        people = random.permutation(np.resize(random.permutation(len(self._people)), count))
        return [int(random.choice(self._people[person])) for person in people]

    def _of_nobody(self, random: np.random.Generator) -> list[Canvas]:
        wanted = self._recipe.batch
        rows: list[int] = []
        for kind, count in (("forged", wanted.forged), ("stranger", wanted.strangers)):
            own = self._part.rows(kind)  # type: ignore[arg-type]
            rows += [int(row) for row in random.choice(own, count)] if len(own) else []
        return self._varied(rows, random) + [self._imagined(random) for _ in range(wanted.imagined)]

    def _imagined(self, random: np.random.Generator) -> Canvas:
        """A known person's signature in a hand that nobody has."""
        (row,) = self._known(1, random)
        canvas = self._part.canvases[row]
        hand = imagine_hand(canvas.shape, self._recipe.imagined, random)
        return self._vary(canvas if hand is None else warp(canvas, hand), random)

    def _varied(self, rows: list[int], random: np.random.Generator) -> list[Canvas]:
        return [self._vary(self._part.canvases[row], random) for row in rows]

    def _vary(self, canvas: Canvas, random: np.random.Generator) -> Canvas:
        settings = self._recipe.augmentation
        return canvas if settings is None else augment(canvas, settings, random)
