"""Canvases that a classifier may meet, drawn anew: for calibration and parity, never those it is judged on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sigedge.synthesis import Synthesiser
from sigedge.systems.signauth.prepare import SPEC
from sigedge.systems.signauth.recipe import ClassifierRecipe
from sigedge.systems.signauth.samples import SYNTHETIC
from sigedge_models import CheckpointInfo
from sigedge_runtime.preprocessing import harmonise

_UNSEEN = 1_000_000
"""Samples and signers from here on are part of no training, validation or test set."""


def draw_examples(info: CheckpointInfo, count: int, seed: int) -> NDArray[np.uint8]:
    """Genuine samples of the known people and signatures of strangers in turn, by a seed.

    Where the known people are real they are not at hand, and all are strangers.

    Args:
        info: of a checkpoint that `training.train_classifier` wrote.
        count: number of canvases.
        seed: other seeds draw other samples.

    Returns:
        uint8 [count, 256, 256], 0 or 255.
    """
    recipe = ClassifierRecipe.model_validate(info.training["recipe"])
    known, strangers = Synthesiser(recipe.known.seed), Synthesiser(recipe.strangers.seed)
    people = info.config["classes"] if info.training["data"]["source"] == SYNTHETIC else 0
    random = np.random.default_rng(seed)
    canvases: list[NDArray[np.uint8]] = []
    while len(canvases) < count:
        drawn = int(random.integers(_UNSEEN, 2 * _UNSEEN))
        if people and len(canvases) % 2 == 0:
            image = known.signer(len(canvases) // 2 % people).genuine(drawn).image
        else:
            image = strangers.signer(drawn).genuine(0).image
        canvas, quality = harmonise(image, SPEC)
        if quality.usable:
            canvases.append(canvas)
    return np.stack(canvases)
