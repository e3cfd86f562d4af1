"""What an audit finds out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sigedge_runtime.errors import ExportError

REMEDY = "read the logs of the export and report it as a bug"
"""What to do where only a defect of the chain explains what was found."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        artifact: which.
        sentence: what is wrong and what to do.
        grave: whether a bundle with it must not ship.
    """

    artifact: str
    sentence: str
    grave: bool

    def __str__(self) -> str:
        """Return the sentence."""
        return self.sentence


@dataclass(frozen=True)
class Placement:
    """Where an engine computes a file.

    Attributes:
        delegate: ``XNNPACK``, an ONNX Runtime provider, ``none`` for the engine's own kernels, or ``unknown``.
        delegated: nodes of the file that it computes.
        nodes: nodes of the file.
    """

    delegate: str
    delegated: int
    nodes: int

    def __str__(self) -> str:
        """Return e.g. ``XNNPACK, 17 of 18 nodes``."""
        return f"{self.delegate}, {self.delegated} of {self.nodes} nodes"


@dataclass(frozen=True)
class Weight:
    """One constant of a file: dtype, number of elements, bytes."""

    dtype: str
    elements: int
    size: int


@dataclass(frozen=True)
class FileFacts:
    """What an artefact's file says of itself.

    Attributes:
        artifact: which.
        format: of the artefact.
        precision: of the artefact.
        size: bytes.
        bytes_per_parameter: bytes of its constants over the parameters of the network; of the whole artefact where the
            format does not tell.
        weights: bytes of its constants by dtype; empty where the format does not tell.
        operators: what it needs an engine to know, e.g. ``CONV_2D version 3``.
        opset: of an ONNX file; None for the others.
        loads_on: engines and versions that load a TFLite file, e.g. ``tflite-runtime 2.14.0``.
        refused_by: the others, each a sentence.
    """

    artifact: str
    format: str
    precision: str
    size: int
    bytes_per_parameter: float
    weights: Mapping[str, int]
    operators: tuple[str, ...] = ()
    opset: int | None = None
    loads_on: tuple[str, ...] = ()
    refused_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """The facts of one artefact, what is wrong with it, and by name of the engine where it runs or why it does not."""

    facts: FileFacts
    findings: tuple[Finding, ...]
    placements: Mapping[str, Placement]
    refusals: Mapping[str, str]


def require_sound(findings: tuple[Finding, ...]) -> None:
    """Stop at what must not ship.

    Raises:
        ExportError: there is a grave finding; its sentence, and how many more there are.
    """
    grave = [finding for finding in findings if finding.grave]
    if grave:
        more = f" ({len(grave) - 1} more are wrong.)" if len(grave) > 1 else ""
        raise ExportError(f"{grave[0]}{more}")
