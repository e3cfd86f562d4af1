"""Inputs of the forger's networks, drawn from synthetic signers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge.systems.forger.drawing import forge
from sigedge.systems.forger.pairs import make_pairs, new_attempts
from sigedge.systems.forger.preprocessing import draw_signatures
from sigedge.systems.forger.spectra import spectrum_canvases
from sigedge_models import CheckpointInfo, load_checkpoint

_SAMPLES = 4  # of a signer
_WEIGHTS = Path("models") / "weights" / "forger-generator.safetensors"


def examples(info: CheckpointInfo, count: int, seed: int) -> NDArray[np.uint8]:
    """Inputs uint8 [count, H, W] of a network; see `sigedge.systems.System`.

    A generator gets new attempts at signatures. The detector gets spectra of scans in turn with spectra of what the
    committed generator draws; without those weights, of the lines it would draw from.
    """
    signers = range(-(-count // _SAMPLES))
    pairs = make_pairs(draw_signatures(seed, signers, _SAMPLES)).select(range(count))
    attempts = new_attempts(pairs, np.random.default_rng(seed))
    if info.config["network"] != "detector":
        return attempts.canvases()
    drawn = forge(load_checkpoint(_WEIGHTS)[0], attempts) if _WEIGHTS.is_file() else attempts.lines
    scanned = np.arange(count) % 2 == 0
    return spectrum_canvases(np.where(scanned[:, None, None], pairs.targets, drawn))
