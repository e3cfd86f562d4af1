"""Images for the detector to learn from and be judged on: bona fide ones, and those of every species of generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from sigedge.data import Record, load_splits, read_index, split_records
from sigedge.systems.forger.drawing import forge
from sigedge.systems.forger.pairs import Pairs, make_pairs, new_attempts
from sigedge.systems.forger.preprocessing import SIZE, Image, Signatures, draw_signatures, read_signatures
from sigedge.systems.forger.recipe import ForgerRecipe

BONA_FIDE = "bona fide"
SYNTHETIC = "synthetic"
CGAN = "cgan"
KINEMATIC = "kinematic"

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Specimens:
    """Images and where they came from; row i of everything belongs together.

    Attributes:
        images: uint8 [N, H, W].
        signers: whose signature each shows or claims to show.
        species: `BONA_FIDE`, or the name of the generator that drew it.
    """

    images: Image
    signers: tuple[str, ...]
    species: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.signers)

    @property
    def generated(self) -> NDArray[np.bool_]:
        """Which ones no hand and no scanner made: bool [N]."""
        return np.array([name != BONA_FIDE for name in self.species], dtype=bool)

    def select(self, keep: NDArray[np.bool_]) -> Specimens:
        """Those for which `keep`, bool [N], is true."""
        rows = np.flatnonzero(keep)
        return Specimens(self.images[rows], tuple(self.signers[r] for r in rows), tuple(self.species[r] for r in rows))

    def of(self, *species: str) -> Specimens:
        """Those of some species."""
        return self.select(np.isin(np.asarray(self.species), species))


def joined(parts: Sequence[Specimens]) -> Specimens:
    """All specimens of some parts, in their order."""
    return Specimens(
        np.concatenate([part.images for part in parts]),
        tuple(name for part in parts for name in part.signers),
        tuple(name for part in parts for name in part.species),
    )


def named(images: Image, signers: Sequence[str], species: str) -> Specimens:
    """Images uint8 [N, H, W] of one species."""
    return Specimens(images, tuple(signers), (species,) * len(signers))


def forged_and_real(pairs: Pairs, generators: Mapping[str, nn.Module], seed: int) -> Specimens:
    """The targets of pairs as bona fide, and what every generator makes of new attempts at them.

    Args:
        pairs: of any signers.
        generators: networks by the name of their species.
        seed: of the attempts; each generator draws attempts of its own.
    """
    parts = [named(pairs.targets, pairs.signers, BONA_FIDE)]
    for number, (name, network) in enumerate(generators.items()):
        attempts = new_attempts(pairs, np.random.default_rng([seed, number]))
        parts.append(named(forge(network, attempts), pairs.signers, name))
    return joined(parts)


def drawn_by_cgan(generator: nn.Module, signers: int, each: int, seed: int) -> Specimens:
    """Drawings of the system cgan, brought to `SIZE`.

    Args:
        generator: network of that system.
        signers: how many it knows.
        each: drawings of every signer.
        seed: of the noise.
    """
    from sigedge.systems.cgan.drawing import balanced, generate

    labels = balanced(signers, each)
    drawn = np.asarray(np.clip(np.rint(generate(generator, labels, seed)), 0, 255), np.uint8)
    size = (SIZE[1], SIZE[0])
    images = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in drawn])
    return named(images.astype(np.uint8), [f"{CGAN}/{label}" for label in labels], CGAN)


def synthetic_pairs(recipe: ForgerRecipe, part: Part, signers: int | None = None) -> Pairs:
    """Pairs of the synthetic signers of a part: all of them, or the first `signers`."""
    settings = recipe.signers
    starts: dict[Part, int] = {"train": 0, "validation": settings.train, "test": settings.train + settings.validation}
    count = signers or int(getattr(settings, part))
    numbers = range(starts[part], starts[part] + count)
    return make_pairs(draw_signatures(settings.seed, numbers, settings.samples))


def real_pairs(data: Path, dataset: str, part: Part, per_signer: int) -> Pairs:
    """Pairs of the genuine signatures of a data set's signers of a part; see `real_signatures`."""
    return make_pairs(real_signatures(data, dataset, part, per_signer))


def real_signatures(data: Path, dataset: str, part: Part, per_signer: int) -> Signatures:
    """Ink images of genuine signatures of a part, signer-disjoint from every other part.

    Args:
        data: folder with index.csv and splits.json.
        dataset: name of the data set.
        part: which signers.
        per_signer: images of each, the first by sample number.

    Raises:
        DataError: the data set or its part is not there, or not one image could be read.
    """
    records = read_index(data / "index.csv", dataset)
    chosen = split_records(records, dataset, part, load_splits(data / "splits.json"))
    return read_signatures(_first_genuine(chosen, per_signer))


def _first_genuine(records: Sequence[Record], per_signer: int) -> list[Record]:
    taken: dict[str, int] = {}
    found = []
    for record in records:
        if record.genuine and taken.setdefault(record.identity, 0) < per_signer:
            taken[record.identity] += 1
            found.append(record)
    return found
