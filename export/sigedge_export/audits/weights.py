"""Is a file of the precision it is said to be? Told by the types its constants are stored in, not by its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sigedge_export.audits.facts import FileFacts, Finding, Weight
from sigedge_runtime.manifest import Artifact

LARGE = 1024
"""Elements; TensorFlow's converter leaves smaller constants in float32 where it may."""

QUANTISED = frozenset({"int8", "uint8", "int4"})


@dataclass(frozen=True)
class Expectation:
    """What a precision implies.

    Attributes:
        dtypes: of its large constants.
        share: of their elements, at least, that must be stored so.
        lowest: bytes a parameter, biases and scales included.
        highest: likewise.
    """

    dtypes: frozenset[str]
    share: float
    lowest: float
    highest: float


EXPECTED = {
    "float32": Expectation(frozenset({"float32"}), 0.9, 3.2, 4.8),
    "float16": Expectation(frozenset({"float16"}), 0.9, 1.6, 2.6),
    # The converter quantises the weights only of operators that have a hybrid kernel.
    "dynamic_range": Expectation(QUANTISED, 0.5, 0.8, 2.5),
    "int8": Expectation(QUANTISED, 0.9, 0.8, 1.6),
    "int16_activations": Expectation(QUANTISED, 0.9, 0.8, 1.6),
    # How many layers stay in float is the model's business; none quantised is a float file.
    "mixed": Expectation(QUANTISED, 1e-9, 0.8, 4.8),
}


def facts_of(artifact: Artifact, parameters: int, weights: Sequence[Weight] | None = None, **told: Any) -> FileFacts:
    """What an artefact's file says of itself.

    Args:
        artifact: what the manifest says of it.
        parameters: of the network.
        weights: all constants of the file; None where the format does not tell.
        told: fields of `FileFacts` that only files of this format have.
    """
    return FileFacts(
        artifact.name,
        artifact.format,
        artifact.precision,
        artifact.size,
        artifact.size / parameters if weights is None else bytes_per_parameter(weights, parameters),
        by_dtype(weights or ()),
        **told,
    )


def judge(artifact: Artifact, weights: Sequence[Weight], parameters: int) -> list[Finding]:
    """Hold a file's constants against its precision.

    Args:
        artifact: says the precision.
        weights: all constants of the file.
        parameters: of the network.
    """
    expected = EXPECTED[artifact.precision]
    name, rate = artifact.name, bytes_per_parameter(weights, parameters)
    large = _large(weights)
    total = sum(one.elements for one in large)
    share = sum(one.elements for one in large if one.dtype in expected.dtypes) / total if total else 0.0
    if share < expected.share:
        return [
            Finding(
                name,
                f"Artefact {name} is declared {artifact.precision}, but its weights are {_describe(large)}, {rate:.1f} "
                f"bytes a parameter: a file of another precision. Read the logs of the export and report it as a bug, "
                "or leave this precision out.",
                grave=True,
            )
        ]
    if not expected.lowest <= rate <= expected.highest:
        return [
            Finding(
                name,
                f"Artefact {name} holds {rate:.2f} bytes a parameter, outside {expected.lowest:g} to "
                f"{expected.highest:g} for {artifact.precision}; see whether weights are lost or stored twice.",
                grave=False,
            )
        ]
    return []


def bytes_per_parameter(weights: Sequence[Weight], parameters: int) -> float:
    """Bytes of all constants over the number of parameters of the network."""
    return sum(one.size for one in weights) / parameters


def by_dtype(weights: Sequence[Weight]) -> dict[str, int]:
    """Bytes of all constants by dtype."""
    sizes: Counter[str] = Counter()
    for one in weights:
        sizes[one.dtype] += one.size
    return dict(sorted(sizes.items()))


def _large(weights: Sequence[Weight]) -> list[Weight]:
    """The kernels: what is large, or largest in a network that has nothing large."""
    limit = min(LARGE, max((one.elements for one in weights), default=0))
    return [one for one in weights if one.elements >= limit]


def _describe(large: Sequence[Weight]) -> str:
    total = sum(one.elements for one in large)
    elements: Counter[str] = Counter()
    for one in large:
        elements[one.dtype] += one.elements
    return " and ".join(f"{count / total:.0%} {dtype}" for dtype, count in elements.most_common()) or "missing"
