"""Whether the shipped verifier takes the forger's drawings for the signer's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from torch import nn

from sigedge.synthesis import Synthesiser
from sigedge.systems.forger.drawing import forge
from sigedge.systems.forger.measures import mean_figure
from sigedge.systems.forger.pairs import make_pairs, new_attempts
from sigedge.systems.forger.preprocessing import Image, Signatures, draw_signatures, ink_image, session_scan
from sigedge_runtime import Verifier
from sigedge_runtime.errors import QualityError

REFERENCES = 5
QUERIES = 3
_ENLARGED = 4  # the verifier wants pictures of the size of a scan


def deception(generators: Mapping[str, nn.Module], seed: int, signers: Sequence[int]) -> dict[str, Any]:
    """Shares of queries that the shipped bundle accepts, by who made them.

    A forger has the references of a signer: the centre line of each, bent to a new attempt, and their average as the
    mask. Beside its drawings stand further genuine samples and skilled forgeries by the synthesiser's human model.
    Everything passes at the size of the forger's images, so that size explains nothing.

    Args:
        generators: networks by name.
        seed: of the population.
        signers: numbers of the synthetic signers.

    Returns:
        In ``accepted`` a share by kind of query, with its interval as ``NAME_ci95``; and what was asked of whom.

    Raises:
        BundleError, EngineError: the shipped bundle cannot be run here.
    """
    accepted: dict[str, list[bool]] = {}
    owners: list[int] = []
    with Verifier.open() as verifier:
        for signer in signers:
            references, queries = _queries(generators, seed, signer)
            owners += [signer] * QUERIES
            for kind, images in queries.items():
                accepted.setdefault(kind, []).extend(_accepts(verifier, references, image) for image in images)
        bundle = verifier.identity
    figures: dict[str, Any] = {}
    for kind, answers in accepted.items():
        figures |= mean_figure(kind, np.asarray(answers), np.asarray(owners))
    return {"bundle": bundle, "references": REFERENCES, "signers": len(signers), "accepted": figures}


def _queries(generators: Mapping[str, nn.Module], seed: int, number: int) -> tuple[Image, dict[str, Image]]:
    """References of a signer [5, H, W], and queries [3, H, W] by kind."""
    written = draw_signatures(seed, [number], REFERENCES + QUERIES)
    known = Signatures(written.images[:REFERENCES], written.signers[:REFERENCES], written.report)
    stolen = make_pairs(known).select(range(QUERIES))
    signer = Synthesiser(seed).signer(number)
    copied = [signer.skilled_forgery(i, session_scan(signer, REFERENCES + i)).image for i in range(QUERIES)]
    queries = {"genuine": written.images[REFERENCES:], "skilled": np.stack([ink_image(image) for image in copied])}
    for place, (name, network) in enumerate(generators.items()):
        queries[name] = forge(network, new_attempts(stolen, np.random.default_rng([seed, number, place])))
    return known.images, queries


def _accepts(verifier: Verifier, references: Image, query: Image) -> bool:
    try:
        return verifier.compare([_scan(image) for image in references], _scan(query)).accepted
    except QualityError:
        return False


def _scan(ink: Image) -> Image:
    height, width = ink.shape
    size = (width * _ENLARGED, height * _ENLARGED)
    return np.asarray(255 - cv2.resize(ink, size, interpolation=cv2.INTER_LINEAR_EXACT), np.uint8)
