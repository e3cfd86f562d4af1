"""What the demo found out, before anybody renders it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sigedge_runtime import Verdict

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A scan, uint8 grey [H, W] or BGR [H, W, 3], and the canvas, uint8 [H, W], that the model reads."""

    scan: Image
    canvas: Image


@dataclass(frozen=True)
class Case:
    """A query with the verdict on it.

    Attributes:
        title: what the query is, e.g. "Skilled forgery".
        expected: whether it should be accepted.
        picture: what it looks like.
        verdict: what the runtime decided.
    """

    title: str
    expected: bool
    picture: Picture
    verdict: Verdict

    @property
    def right(self) -> bool:
        """Whether the decision is the expected one."""
        return self.verdict.accepted == self.expected


@dataclass(frozen=True)
class ArtifactRow:
    """One artefact on one engine: the demo's table.

    Attributes:
        artifact: name in the bundle.
        format, precision, engine: what ran.
        size: bytes.
        median_ms: median time of a whole verification; None where the runtime has no engine for the format.
        figures: parity figures, as `sigedge_export.parity.ArtifactParity` in plain values.
    """

    artifact: str
    format: str
    precision: str
    engine: str
    size: int
    median_ms: float | None
    figures: dict[str, Any]

    @property
    def parity(self) -> str:
        """Flipped decisions and the largest score difference, in a few words."""
        return f"{self.figures['flipped']} flipped, {self.figures['max_score_difference']:.4f} max"


@dataclass(frozen=True)
class DemoResult:
    """Everything the demo shows.

    Attributes:
        model: name and version.
        created: ISO date and time.
        machine: `sigedge.bench.machine.describe_machine`.
        references: the enrolled signatures.
        cases: the queries and the verdicts.
        rows: the artefacts.
        parity: facts common to all rows: source, signers, pairs, operating point, threshold, reference EER.
        seconds: duration of each step, by name, in order.
    """

    model: str
    created: str
    machine: dict[str, str | int]
    references: tuple[Picture, ...]
    cases: tuple[Case, ...]
    rows: tuple[ArtifactRow, ...]
    parity: dict[str, Any]
    seconds: dict[str, float]

    @property
    def right(self) -> bool:
        """Whether every query was decided as expected."""
        return all(case.right for case in self.cases)
