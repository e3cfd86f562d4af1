"""Batches of dirty and clean pieces, each a function of (seed, epoch, index) alone."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sigedge.systems.cleaner.documents import Documents
from sigedge.systems.cleaner.noise import NoisyDocument, noisy_document
from sigedge.systems.cleaner.recipe import CleanerRecipe
from sigedge.systems.cleaner.regions import HEIGHT, WIDTH, Image, on_white, place
from sigedge.systems.cleaner.signatures import TrainingInks

_DRAWN = Documents()


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """The batches of one epoch.

    An item is one batch: dirty pieces and clean pieces, float32 [B, 1, h, w] each, of darkness: 0 is white, 1 black.
    Unpaired, the clean ones are signatures of other signers; paired, piece i of the one is the truth of piece i of the
    other.

    Args:
        inks: signatures and documents.
        recipe: composition of a batch, noise and seed.
        epoch: number of the epoch.
    """

    def __init__(self, inks: TrainingInks, recipe: CleanerRecipe, epoch: int) -> None:
        self._inks, self._recipe, self._epoch = inks, recipe, epoch

    def __len__(self) -> int:
        return self._recipe.optimisation.steps_per_epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index >= len(self):
            raise IndexError(index)
        rng = np.random.default_rng([self._recipe.seed, self._epoch, index])
        pairs = [self._pair(rng) for _ in range(self._recipe.data.batch)]
        return as_darkness([dirty for dirty, _ in pairs]), as_darkness([clean for _, clean in pairs])

    def _pair(self, rng: np.random.Generator) -> tuple[Image, Image]:
        recipe = self._recipe
        documents = _DRAWN if rng.random() < recipe.data.drawn_documents else self._inks.documents
        made = make_document(self._inks.dirty.inks, documents, rng, recipe)
        rows, columns = _piece(made.clean, recipe.data.crop, rng)
        if recipe.supervision == "paired":
            return made.dirty[rows, columns], made.clean[rows, columns]
        clean = on_white(place_somewhere(self._inks.clean.inks, rng, recipe), rng.uniform(*recipe.noise.ink))
        return made.dirty[rows, columns], clean[_piece(clean, recipe.data.crop, rng)]


def make_document(
    inks: tuple[Image, ...], documents: Documents, rng: np.random.Generator, recipe: CleanerRecipe
) -> NoisyDocument:
    """One of the signatures on a noisy document, as the recipe says."""
    return noisy_document(place_somewhere(inks, rng, recipe), documents, rng, recipe.noise)


def place_somewhere(inks: tuple[Image, ...], rng: np.random.Generator, recipe: CleanerRecipe) -> Image:
    """One of the signatures in a region, at random size and place: ink uint8 [128, 256]."""
    ink = inks[int(rng.integers(len(inks)))]
    return place(ink, rng.uniform(*recipe.data.fill), (rng.uniform(), rng.uniform()), HEIGHT, WIDTH)


def as_darkness(images: list[Image] | NDArray[np.uint8]) -> Tensor:
    """Images uint8 [N, H, W] as darkness float32 [N, 1, H, W]: 0 is white, 1 black."""
    return torch.from_numpy((255 - np.stack(list(images))[:, None]).astype(np.float32) / 255)


def _piece(clean: Image, crop: tuple[int, int], rng: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a piece around some pixel of ink."""
    inked = np.argwhere(clean < 128)
    middle = inked[int(rng.integers(len(inked)))] if len(inked) else np.array(clean.shape) // 2
    starts = (
        int(np.clip(at - rng.integers(side), 0, whole - side))
        for at, side, whole in zip(middle, crop, clean.shape, strict=True)
    )
    rows, columns = (slice(start, start + side) for start, side in zip(starts, crop, strict=True))
    return rows, columns
