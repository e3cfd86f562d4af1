"""What to tell a person about an enrolment: how alike the references are, which stands out, whether to add some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._records import to_plain
from sigedge_runtime.decision import Decision, OperatingPoint
from sigedge_runtime.matching import Vector
from sigedge_runtime.scoring import scores_among

# More references are advised while they would take away more than this share of the errors, rejected genuine signatures
# and accepted forgeries together.
WORTHWHILE = 0.2


@dataclass(frozen=True)
class Guidance:
    """Advice on all references that a user has; it refuses nothing.

    Attributes:
        references: how many they are.
        consistency: mean similarity of two different ones, -1 to 1; None with one reference.
        consistency_tenth: 1 when a tenth of the validation signers' enrolments or fewer are less consistent, to 10;
            None with one reference or without bounds in the bundle.
        outliers: references that resemble the others less than 99 in 100 genuine signatures do, counted from 0, oldest
            first; None where that cannot be judged, with one reference or without bounds in the bundle.
        measured: errors measured with as many references, or with the next smaller number there is.
        advised: errors measured with the number of references that is worth having; None when that is reached.
        sentences: all of this for a person.
    """

    references: int
    consistency: float | None
    consistency_tenth: int | None
    outliers: tuple[int, ...] | None
    measured: OperatingPoint
    advised: OperatingPoint | None
    sentences: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {name: to_plain(value) for name, value in vars(self).items()}


def guide(references: Vector, decision: Decision, operating_point: str, names: Sequence[str] = ()) -> Guidance:
    """Judge an enrolment.

    A reference is an outlier when its score against the user's other references is below the bundle's bound for so
    many. More references are advised while the errors measured with the largest number are lower by `WORTHWHILE`.

    Args:
        references: float32 [K, D], prepared by the decision's matching, oldest first; K at least 1.
        decision: of the bundle.
        operating_point: name of the threshold whose errors are told.
        names: of the newest references, for the sentences; empty ones are left out.

    Raises:
        BundleError: there is no operating point of that name.
    """
    count = len(references)
    consistency, tenth, outliers = None, None, None
    if count > 1:
        consistency, found = scores_among(references, decision)
        tenth = _tenth(consistency, decision, count)
        outliers = _outliers(found, decision)
    measured, advised = decision.operating_point(operating_point, count), _advised(decision, operating_point, count)
    labels = [""] * (count - len(names)) + [f" ({name})" if name else "" for name in names]
    sentences = (
        *_on_consistency(consistency, tenth),
        *_on_outliers(outliers or (), labels),
        _on_number(count, measured, advised),
    )
    return Guidance(count, consistency, tenth, outliers, measured, advised, sentences)


def _tenth(consistency: float, decision: Decision, count: int) -> int | None:
    bound = decision.enrolment_bound(count)
    if bound is None or not bound.consistency_deciles:
        return None
    return 1 + int(np.searchsorted(bound.consistency_deciles, consistency, side="right"))


def _outliers(found: NDArray[np.float64], decision: Decision) -> tuple[int, ...] | None:
    """Each reference was compared with all others, so the bound is that of one reference less."""
    bound = decision.enrolment_bound(len(found) - 1)
    return None if bound is None else tuple(map(int, np.flatnonzero(found < bound.outlier_score)))


def _advised(decision: Decision, name: str, count: int) -> OperatingPoint | None:
    """The point with the fewest references that is nearly as good as the best; None when so many are there."""
    points = sorted((p for p in decision.operating_points if p.name == name), key=lambda point: point.references)
    best = min(_errors(point) for point in points)
    enough = next(point for point in points if (1 - WORTHWHILE) * _errors(point) <= best)
    return enough if enough.references > count else None


def _errors(point: OperatingPoint) -> float:
    return point.far + point.frr


def _on_consistency(consistency: float | None, tenth: int | None) -> tuple[str, ...]:
    if consistency is None:
        return ()
    if tenth is None:
        return (f"The mean similarity of the references is {consistency:.2f}, where 1 is equal.",)
    if tenth == 1:
        return (
            "The references vary more than those of nine in ten signers; make sure that they are whole signatures, "
            "all by one person and in one manner.",
        )
    return (f"The references are as alike as is usual, more than those of {10 * (tenth - 1)} % of signers.",)


def _on_outliers(outliers: Sequence[int], labels: Sequence[str]) -> tuple[str, ...]:
    count = len(labels)
    if outliers and count == 2:
        # Two references are equally unlike one another: which of them is unusual only a third can tell.
        return (
            "The two references resemble one another less than 99 in 100 pairs of genuine signatures do; add a third, "
            "or enrol again, replacing the one that is not this person's usual signature.",
        )
    return tuple(
        f"Reference {number + 1} of {count}{labels[number]} resembles the others less than 99 in 100 genuine "
        "signatures do; look at it, and enrol again without it when it is not this person's usual signature."
        for number in outliers
    )


def _on_number(count: int, measured: OperatingPoint, advised: OperatingPoint | None) -> str:
    figures = (
        f"With {_counted(measured.references)}, {100 * measured.frr:.1f} % of genuine signatures are rejected and "
        f"{100 * measured.far:.1f} % of forgeries accepted on validation signers"
    )
    if advised is None:
        return f"{figures}; more would change little."
    if advised.references > measured.references:
        gain = f"{100 * advised.frr:.1f} % and {100 * advised.far:.1f} %"
        figures += f", with {_counted(advised.references)} {gain}"
    return f"{figures}; add {advised.references - count} more."


def _counted(references: int) -> str:
    return f"{references} reference{'s' * (references != 1)}"
