"""Inputs of the networks for calibration and parity."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sigedge.synthesis import Synthesiser, SyntheticSigner
from sigedge.systems.cgan.drawing import draw_latents
from sigedge_models import CheckpointInfo
from sigedge_runtime.errors import DataError
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise

_FIRST, _LAST = 10_000, 1_000_000_000
"""Numbers of samples that no recipe reaches: no example was trained on."""
_ATTEMPTS = 50


def examples(info: CheckpointInfo, count: int, seed: int) -> NDArray[np.uint8]:
    """Inputs of a network of cgan, the signers in turn; see `sigedge.systems.System`.

    Args:
        info: of the network: a generator reads latents, the others canvases of its signers.
        count: how many.
        seed: equal seeds give equal examples.

    Returns:
        uint8 [count, H, W].

    Raises:
        DataError: a signer gives no usable sample.
    """
    random = np.random.default_rng(seed)
    signers = info.training["recipe"]["signers"]
    labels = np.arange(count) % signers["count"]
    if info.task == "image":
        size = (info.preprocess["canvas_height"], info.preprocess["canvas_width"])
        return draw_latents(labels, size, random)
    spec, people = PreprocessSpec.from_dict(info.preprocess), Synthesiser(signers["seed"])
    return np.stack([_canvas(people.signer(int(label)), spec, random) for label in labels])


def _canvas(signer: SyntheticSigner, spec: PreprocessSpec, random: np.random.Generator) -> NDArray[np.uint8]:
    for number in _numbers(random):
        harmonised = harmonise(signer.genuine(number).image, spec)
        if harmonised.quality.usable:
            return harmonised.canvas
    raise DataError(f"Signer {signer.index} gave no usable sample in {_ATTEMPTS}; choose another seed of signers.")


def _numbers(random: np.random.Generator) -> Iterator[int]:
    return (int(number) for number in random.integers(_FIRST, _LAST, _ATTEMPTS))
