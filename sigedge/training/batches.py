"""Batches of several signers, each with own genuine samples and own skilled forgeries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sigedge.training.augmentation import augment, imagine_hand, warp
from sigedge.training.recipe import Recipe
from sigedge_runtime.errors import DataError


@dataclass(frozen=True)
class Pool:
    """Canvases of one data set, by signer.

    Attributes:
        canvases: uint8 [N, H, W].
        genuine: rows of each signer's genuine samples, at least 2.
        forged: rows of the skilled forgeries of the same signers; may be empty.
    """

    canvases: NDArray[np.uint8]
    genuine: tuple[NDArray[np.int64], ...]
    forged: tuple[NDArray[np.int64], ...]

    def __len__(self) -> int:
        return len(self.genuine)


def make_pool(canvases: NDArray[np.uint8], signers: Sequence[str], genuine: Sequence[bool]) -> Pool:
    """Group canvases by signer; signers with fewer than two genuine samples are left out.

    Args:
        canvases: uint8 [N, H, W].
        signers: N names.
        genuine: N labels, True for genuine samples and False for skilled forgeries.

    Raises:
        DataError: no signer is left.
    """
    names, is_genuine = np.asarray(signers), np.asarray(genuine, dtype=bool)
    rows = [
        (np.flatnonzero((names == n) & is_genuine), np.flatnonzero((names == n) & ~is_genuine))
        for n in sorted(set(signers))
    ]
    kept = [(own, forged) for own, forged in rows if len(own) >= 2]
    if not kept:
        raise DataError("No signer has two genuine samples; a verifier learns from pairs of genuine samples.")
    return Pool(canvases, tuple(own for own, _ in kept), tuple(forged for _, forged in kept))


class Batches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """The batches of one epoch; batch i of epoch e is a function of (seed, e, i) alone, so resuming repeats nothing.

    An item is one batch: canvases float32 [B, 1, H, W] of 0 to 255, signer labels int64 [B], genuine bool [B].

    Args:
        pools: data sets by name; `recipe.data.signers_per_batch` says how many signers of each.
        recipe: batch composition, augmentation and seed.
        epoch: number of the epoch.
    """

    def __init__(self, pools: Mapping[str, Pool], recipe: Recipe, epoch: int) -> None:
        self._pools, self._recipe, self._epoch = pools, recipe, epoch

    def __len__(self) -> int:
        return self._recipe.optimisation.steps_per_epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        if index >= len(self):
            raise IndexError(index)
        random = np.random.default_rng([self._recipe.seed, self._epoch, index])
        canvases: list[NDArray[np.uint8]] = []
        labels: list[int] = []
        genuine: list[bool] = []
        signer = 0
        for name, count in self._recipe.data.signers_per_batch.items():
            pool = self._pools[name]
            for chosen in random.choice(len(pool), size=min(count, len(pool)), replace=False):
                rows, flags = self._draw(pool, int(chosen), random)
                canvases += self._varied(pool.canvases[rows], random)
                labels += [signer] * len(rows)
                genuine += flags
                signer += 1
        stacked = torch.from_numpy(np.stack(canvases)[:, None].astype(np.float32))
        return stacked, torch.tensor(labels), torch.tensor(genuine)

    def _varied(self, own: NDArray[np.uint8], random: np.random.Generator) -> list[NDArray[np.uint8]]:
        """One signer's canvases [K, H, W] as another signer's, each varied on top as people vary."""
        hand = imagine_hand(own.shape[1:], self._recipe.signer_variation, random)
        seen = own if hand is None else [warp(canvas, hand) for canvas in own]
        return [augment(canvas, self._recipe.augmentation, random) for canvas in seen]

    def _draw(self, pool: Pool, signer: int, random: np.random.Generator) -> tuple[list[int], list[bool]]:
        wanted = self._recipe.data
        own, forged = pool.genuine[signer], pool.forged[signer]
        rows = [int(row) for row in random.choice(own, min(wanted.genuine, len(own)), replace=False)]
        forgeries = [int(row) for row in random.choice(forged, min(wanted.forged, len(forged)), replace=False)]
        return rows + forgeries, [True] * len(rows) + [False] * len(forgeries)
