"""The networks of the forger by name."""

from __future__ import annotations

from typing import Any

from torch import nn

from sigedge_models.forger.detector import Detector
from sigedge_models.forger.generator import Generator

GENERATORS = {"generator": "nearest", "transposed": "transposed"}
"""The forger, and a second one that differs in how it enlarges: two species of generated signatures."""


def forger_network(network: str = "generator", **config: Any) -> nn.Module:
    """A freshly initialised network.

    Args:
        network: ``generator``, ``transposed`` (the same, but enlarging by transposed convolutions) or ``detector``.
        config: arguments of `Generator` or `Detector`.

    Raises:
        ValueError: there is no such network.
    """
    if network in GENERATORS:
        return Generator(upsampling=GENERATORS[network], **config)
    if network == "detector":
        return Detector(**config)
    raise ValueError(f"there is no network {network!r}; choose generator, transposed or detector")
