"""What the forger learns from: the centre line of a signature, the mask of its signer, and the signature itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sigedge.systems.forger.preprocessing import Image, Signatures, centre_lines
from sigedge.training.augmentation import imagine_hand, warp
from sigedge.training.recipe import SignerVariation
from sigedge_runtime.errors import DataError

NEW_ATTEMPT = SignerVariation(probability=1.0, mirror=0.0, flip=0.0, rotation=4.0, aspect=0.12, shear=0.15, warp=1.5)
"""How far another attempt of the same signer strays; in pixels of `preprocessing.SIZE`."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of input and target with the mask of the signer; row i of everything belongs together.

    Attributes:
        lines: uint8 [N, H, W], centre lines, 0 or 255: the input.
        masks: uint8 [N, H, W], the average of the signer's other samples.
        targets: uint8 [N, H, W], the ink to be drawn.
        signers: N names.
    """

    lines: Image
    masks: Image
    targets: Image
    signers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.signers)

    def canvases(self) -> Image:
        """What a generator reads: uint8 [N, 2H, W], the lines above the mask."""
        return np.concatenate([self.lines, self.masks], axis=1)

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> Pairs:
        """The pairs of some rows, in their order."""
        chosen = np.asarray(rows, np.int64)
        names = tuple(self.signers[row] for row in chosen)
        return Pairs(self.lines[chosen], self.masks[chosen], self.targets[chosen], names)


def signature_mask(images: Image) -> Image:
    """Where a signer's ink lies and how heavy it is: the average of ink images uint8 [K, H, W], as uint8 [H, W]."""
    return np.asarray(np.rint(images.mean(axis=0)), np.uint8)


def make_pairs(signatures: Signatures) -> Pairs:
    """Pairs of all signers who have two samples or more; a mask averages the others, never the target itself.

    Raises:
        DataError: no signer has two samples.
    """
    names = np.asarray(signatures.signers)
    rows = [np.flatnonzero(names == name) for name in dict.fromkeys(signatures.signers)]
    kept = [own for own in rows if len(own) >= 2]
    if not kept:
        raise DataError(
            f"None of the {len(rows)} signers has two samples, of which one could be the target and the others its "
            "mask; give at least two images of a signer."
        )
    order = np.concatenate(kept)
    masks = np.stack([signature_mask(signatures.images[own[own != row]]) for own in kept for row in own])
    targets = signatures.images[order]
    lines = np.stack([centre_lines(image) for image in targets])
    return Pairs(lines, masks, targets, tuple(names[order].tolist()))


def left_out(signatures: Signatures) -> list[str]:
    """Names of the signers whom `make_pairs` leaves out, for having one sample only."""
    return [name for name in dict.fromkeys(signatures.signers) if signatures.signers.count(name) < 2]


def new_attempts(pairs: Pairs, random: np.random.Generator, settings: SignerVariation = NEW_ATTEMPT) -> Pairs:
    """Pairs as the same signers might have written them on another occasion: nobody ever wrote these.

    Ink and mask pass through one smooth warp, and the centre line is taken anew, so that it stays one pixel wide.

    Args:
        pairs: to vary.
        random: source of randomness; the result is a function of its state.
        settings: the largest variation of each kind.
    """
    lines, masks, targets = [], [], []
    for mask, target in zip(pairs.masks, pairs.targets, strict=True):
        grid = imagine_hand(target.shape, settings, random)
        bent = target if grid is None else warp(target, grid)
        targets.append(bent)
        masks.append(mask if grid is None else warp(mask, grid))
        lines.append(centre_lines(bent))
    return Pairs(np.stack(lines), np.stack(masks), np.stack(targets), pairs.signers)


def augmented(pairs: Pairs, variants: int, seed: int) -> Pairs:
    """Pairs followed by `variants` new attempts at each of them: the validation set.

    Args:
        pairs: of validation signers.
        variants: new attempts at each pair, 0 or more.
        seed: of the variation.
    """
    sets = [pairs, *(new_attempts(pairs, np.random.default_rng([seed, number])) for number in range(variants))]
    return Pairs(
        np.concatenate([part.lines for part in sets]),
        np.concatenate([part.masks for part in sets]),
        np.concatenate([part.targets for part in sets]),
        tuple(name for part in sets for name in part.signers),
    )
