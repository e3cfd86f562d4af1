"""Documents made of nothing but seeds: synthetic signatures on drawn paper, under drawn marks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sigedge.data.images import to_grey
from sigedge.synthesis import Synthesiser
from sigedge.systems.cleaner.documents import Documents
from sigedge.systems.cleaner.noise import NoiseSettings, NoisyDocument, noisy_document
from sigedge.systems.cleaner.regions import ink_of, place
from sigedge_models import CheckpointInfo

_DOCUMENTS_A_SIGNER = 4
_FILL = (0.7, 0.95)


def examples(info: CheckpointInfo, count: int, seed: int) -> NDArray[np.uint8]:
    """Regions uint8 [count, H, W] as the network meets them: mostly dirty, every fifth clean.

    Args:
        info: says the size of a region.
        count: how many.
        seed: of the signers and of all that is laid over them.
    """
    size = info.preprocess["canvas_height"], info.preprocess["canvas_width"]
    made = drawn_documents(count, seed, *size)
    return np.stack([document.clean if row % 5 == 4 else document.dirty for row, document in enumerate(made)])


def drawn_documents(
    count: int, seed: int, height: int = 128, width: int = 256, settings: NoiseSettings | None = None
) -> list[NoisyDocument]:
    """Noisy documents of synthetic signers.

    Args:
        count: how many; four of each signer.
        seed: of the population and of the noise.
        height: rows of a region, pixels.
        width: columns of a region, pixels.
        settings: of the noise; the defaults when None.
    """
    people, made = Synthesiser(seed), []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        signature = people.signer(number // _DOCUMENTS_A_SIGNER).genuine(number % _DOCUMENTS_A_SIGNER)
        ink = ink_of(to_grey(signature.image))
        region = place(ink, rng.uniform(*_FILL), (rng.uniform(), rng.uniform()), height, width)
        made.append(noisy_document(region, Documents(), rng, settings))
    return made
