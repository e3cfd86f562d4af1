"""The networks of cgan by name: a generator, and classifiers of two kinds that share a shape."""

from __future__ import annotations

from typing import Any

from torch import nn

from sigedge_models.cgan.classifier import Classifier, Judge
from sigedge_models.cgan.generator import Generator

NETWORKS: dict[str, type[nn.Module]] = {"generator": Generator, "judge": Judge, "classifier": Classifier}


def Model(network: str = "generator", **config: Any) -> nn.Module:
    """One network of the system.

    Args:
        network: ``generator``, ``judge`` (whose, and genuine or generated) or ``classifier``.
        config: arguments of its class.

    Raises:
        ValueError: there is no such network.
    """
    if network not in NETWORKS:
        raise ValueError(f"network {network!r} is none of {', '.join(NETWORKS)}")
    return NETWORKS[network](**config)
