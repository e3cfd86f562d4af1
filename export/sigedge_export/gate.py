"""The gate: no artefact that strays further from its reference than the model allows may ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sigedge_export.lab.collapse import Collapse, measure_collapse
from sigedge_export.parity import ArtifactParity, ParityReport
from sigedge_export.statistics import Interval
from sigedge_export.tolerances import Tolerances
from sigedge_runtime.errors import ParityError


@dataclass(frozen=True)
class Breach:
    """One figure of an artefact beyond its tolerance.

    Attributes:
        artifact: name in the bundle.
        precision: of the artefact.
        engine: what ran it.
        figure: which figure, e.g. ``max_score_difference``.
        value: what was measured.
        tolerance: the most, or for a ratio the least, that is allowed.
    """

    artifact: str
    precision: str
    engine: str
    figure: str
    value: float
    tolerance: float

    def __str__(self) -> str:
        side = "least" if self.figure.endswith("_ratio") else "most"
        return f"{self.figure} is {self.value:.4g}, allowed is at {side} {self.tolerance:.4g}"


def breaches(report: ParityReport, tolerances: Mapping[str, Tolerances]) -> list[Breach]:
    """Every figure beyond its tolerance, in the order of the report; a figure that is no number is beyond it.

    Raises:
        ParityError: the model states no tolerances for a precision.
    """
    collapses = measure_collapse(report) or (None,) * len(report.rows)
    found: list[Breach] = []
    for row, collapse in zip(report.rows, collapses, strict=True):
        if row.precision not in tolerances:
            raise ParityError(
                f"Artefact {row.artifact} has no parity tolerances; add {row.precision!r} to the model's parity.json."
            )
        found += _row_breaches(row, tolerances[row.precision])
        found += _stranger_breaches(row, collapse, tolerances[row.precision])
    return found


def gate(report: ParityReport, tolerances: Mapping[str, Tolerances]) -> None:
    """Refuse a bundle of which an artefact does not decide as the reference model does.

    Args:
        report: of `measure_parity`.
        tolerances: by precision, see `load_tolerances`.

    Raises:
        ParityError: names the artefact, the figure and the tolerance; or no tolerances are stated.
    """
    found = breaches(report, tolerances)
    if not found:
        return
    first = found[0]
    same = [breach for breach in found if (breach.artifact, breach.engine) == (first.artifact, first.engine)]
    others = sorted({breach.artifact for breach in found} - {first.artifact})
    more = f" ({', '.join(others)} too)" if others else ""
    raise ParityError(
        f"Artefact {first.artifact} on {first.engine} does not decide as the reference model: "
        f"{'; '.join(map(str, same))}{more}; {_remedy(first)}."
    )


def _remedy(breach: Breach) -> str:
    if breach.precision == "int8":
        return "calibrate on canvases more like those it will meet, train with quantization, or leave int8 out"
    return "a conversion went wrong: try the versions of the tools in constraints.txt, or leave this precision out"


def _row_breaches(row: ArtifactParity, limits: Tolerances) -> list[Breach]:
    most = (
        ("max_score_difference", row.max_score_difference, limits.max_score_difference),
        ("p99_score_difference", row.p99_score_difference, limits.p99_score_difference),
        ("flipped_decisions", row.flipped_decisions, limits.flipped_decisions),
        ("eer_difference", _proven(row.eer_difference), limits.eer_difference),
    )
    least = (
        ("effective_rank_ratio", row.effective_rank_ratio, limits.min_effective_rank_ratio),
        ("variance_ratio", row.variance_ratio, limits.min_variance_ratio),
    )
    # Written so that NaN fails.
    beyond = [entry for entry in most if not entry[1] <= entry[2]] + [
        entry for entry in least if not entry[1] >= entry[2]
    ]
    return [Breach(row.artifact, row.precision, row.engine, *entry) for entry in beyond]


def _stranger_breaches(row: ArtifactParity, collapse: Collapse | None, limits: Tolerances) -> list[Breach]:
    """Pairs of different signers are few beside all pairs: a collapse that accepts them all must not drown there."""
    if collapse is None or collapse.strangers == 0:
        return []
    # One pair of a small set proves nothing.
    limit = limits.flipped_decisions + 1 / collapse.strangers
    if collapse.rise <= limit:
        return []
    return [Breach(row.artifact, row.precision, row.engine, "strangers_accepted_rise", collapse.rise, limit)]


def _proven(difference: Interval) -> float:
    # On a few hundred pairs one pair moves the rate by half a point: where the interval holds 0 there is no
    # loss to speak of, and the figures that need no population decide alone.
    return 0.0 if difference.low <= 0 <= difference.high else difference.estimate
