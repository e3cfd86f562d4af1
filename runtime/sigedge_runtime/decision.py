"""The decision rule of a bundle: how a score is made, thresholds and calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._records import Record, one_of, require, unique
from sigedge_runtime.errors import BundleError
from sigedge_runtime.matching import COSINE, LocalMatching, Matching

FUSIONS = ("mean", "max", "mean_max")


@dataclass(frozen=True)
class OperatingPoint(Record):
    """A named threshold for a number of references, with the error rates measured on validation data.

    Attributes:
        name: e.g. ``convenience``, ``balanced``, ``high-security``.
        references: references a user had when it was measured.
        threshold: a score at or above it is accepted; -2 to 2.
        far: share of forgeries (skilled and random) accepted, 0 to 1.
        frr: share of genuine signatures rejected, 0 to 1.
    """

    name: str
    references: int
    threshold: float
    far: float
    frr: float

    def __post_init__(self) -> None:
        require(self.name != "", "name must not be empty")
        require(self.references >= 1, "references must be at least 1")
        require(-2 <= self.threshold <= 2, "threshold must be between -2 and 2")
        require(0 <= self.far <= 1 and 0 <= self.frr <= 1, "far and frr must be between 0 and 1")


@dataclass(frozen=True)
class Calibration(Record):
    """Platt scaling for a number of references: P(genuine) = 1 / (1 + exp(-(slope * score + intercept))).

    It is fitted with genuine signatures and skilled forgeries weighted alike, so that slope * score + intercept is the
    logarithm of the likelihood ratio of the two (`scoring.log_likelihood_ratio`).
    """

    references: int
    slope: float
    intercept: float

    def __post_init__(self) -> None:
        require(self.references >= 1, "references must be at least 1")
        require(math.isfinite(self.slope) and self.slope > 0, "slope must be a positive number")
        require(math.isfinite(self.intercept), "intercept must be finite")


@dataclass(frozen=True)
class EnrolmentBound(Record):
    """What is usual among enrolments of validation signers with a number of references.

    Attributes:
        references: references of each of these enrolments.
        outlier_score: one genuine signature in a hundred scores below it against so many references; -2 to 2.
        consistency_deciles: nine rising consistencies (`Matching.consistencies`), -1 to 1; a tenth of the enrolments
            lies below the first, and a tenth above the last. Empty for one reference, which has none.
    """

    references: int
    outlier_score: float
    consistency_deciles: tuple[float, ...]

    def __post_init__(self) -> None:
        require(self.references >= 1, "references must be at least 1")
        require(-2 <= self.outlier_score <= 2, "outlier_score must be between -2 and 2")
        deciles, count = self.consistency_deciles, 9 if self.references > 1 else 0
        require(len(deciles) == count, f"consistency_deciles must hold {count} values for {self.references} references")
        require(all(-1 <= decile <= 1 for decile in deciles), "consistency_deciles must be between -1 and 1")
        require(tuple(sorted(deciles)) == deciles, "consistency_deciles must not fall")


@dataclass(frozen=True)
class UsualConsistency(Record):
    """What is believed of how alike a user's references are before they are seen.

    Attributes:
        mean: consistency of the validation signers' references, -1 to 1; every data set counts the same.
        references: as many references beside the first are as strong evidence as this belief, above 0.
    """

    mean: float
    references: float

    def __post_init__(self) -> None:
        require(-1 <= self.mean <= 1, "mean must be between -1 and 1")
        require(math.isfinite(self.references) and self.references > 0, "references must be a positive number")


class ScoreRule(NamedTuple):
    """How similarities to a user's references become a score; the fields of `Decision` that matter for it."""

    fusion: str
    consistency_weight: float = 0.0
    usual_consistency: UsualConsistency | None = None

    def expected(self, consistencies: NDArray[np.float64], sizes: NDArray[np.intp]) -> NDArray[np.float64]:
        """What scores are relative to: the consistency that is believed of each user, times its weight.

        A user's own consistency is believed the more, the more references have shown it. Until then the usual one is:
        the mean of a normal distribution whose mean is itself normally distributed, given what was seen (B. Efron and
        C. Morris, "Stein's Estimation Rule and Its Competitors", JASA 68(341), 1973). Where nothing is known of what
        is usual, the user's own counts alone.

        Args:
            consistencies: of the users' references, float64 [users] (`Matching.consistencies`).
            sizes: numbers of the users' references, each at least 1.

        Returns:
            float64 [users], -1 to 1.
        """
        believed = consistencies
        if self.usual_consistency is not None:
            mean, references = self.usual_consistency.mean, self.usual_consistency.references
            beside = sizes - 1
            believed = (beside * consistencies + references * mean) / (beside + references)
        return np.asarray(self.consistency_weight * believed)


@dataclass(frozen=True)
class Decision(Record):
    """How similarities become scores, and scores decisions.

    Attributes:
        fusion: of the similarities to the references, one of `FUSIONS` (see `scoring.fuse_groups`).
        default_operating_point: name of the operating point that is used when none is asked for.
        operating_points: thresholds by name and number of references.
        calibrations: by number of references.
        consistency_weight: how much of the references' likeness to one another a score is relative to, 0 to 1 (see
            `scoring.scores`).
        usual_consistency: what is believed of that likeness before references are seen; None: nothing.
        matching: how embeddings are compared region by region; None for the cosine of whole embeddings.
        enrolment_bounds: by number of references; None in a bundle that can say less of an enrolment.
        sign_again_below: quality index (`abstention.quality_index`), above 0 and at most 1, below which an image is
            sent back rather than decided on; None when none is.
    """

    fusion: str
    default_operating_point: str
    operating_points: tuple[OperatingPoint, ...]
    calibrations: tuple[Calibration, ...]
    consistency_weight: float = 0.0
    matching: LocalMatching | None = None
    enrolment_bounds: tuple[EnrolmentBound, ...] | None = None
    sign_again_below: float | None = None
    usual_consistency: UsualConsistency | None = None

    def __post_init__(self) -> None:
        one_of("fusion", self.fusion, FUSIONS)
        require(0 <= self.consistency_weight <= 1, "consistency_weight must be between 0 and 1")
        one_of("default_operating_point", self.default_operating_point, self.names)
        require(len(self.calibrations) > 0, "calibrations must not be empty")
        # Scores against one reference are relative to nothing, so its thresholds and calibration fit no others.
        paired = {point.name for point in self.operating_points if point.references == 2} == set(self.names)
        paired &= any(entry.references == 2 for entry in self.calibrations)
        bounds = self.enrolment_bounds
        paired &= bounds is None or any(entry.references == 2 for entry in bounds)
        require(self.consistency_weight == 0 or paired, "a consistency_weight needs every entry for 2 references")
        unique("operating_points", ((point.name, point.references) for point in self.operating_points))
        unique("calibrations", (entry.references for entry in self.calibrations))
        require(bounds is None or len(bounds) > 0, "enrolment_bounds must not be empty")
        unique("enrolment_bounds", (entry.references for entry in bounds or ()))
        below = self.sign_again_below
        require(below is None or 0 < below <= 1, "sign_again_below must be above 0 and at most 1")

    @property
    def similarity(self) -> Matching:
        """What prepares and compares embeddings."""
        return self.matching or COSINE

    @property
    def rule(self) -> ScoreRule:
        """How scores are made."""
        return ScoreRule(self.fusion, self.consistency_weight, self.usual_consistency)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the operating points, in the order they are listed."""
        return tuple(dict.fromkeys(point.name for point in self.operating_points))

    def operating_point(self, name: str, references: int) -> OperatingPoint:
        """Return the point `name` measured with the most references not above `references`, else the fewest.

        Raises:
            BundleError: there is no operating point of that name.
        """
        points = [point for point in self.operating_points if point.name == name]
        if not points:
            raise BundleError(f"There is no operating point {name!r}; choose one of {', '.join(self.names)}.")
        return _for_references(points, references)

    def calibration(self, references: int) -> Calibration:
        """Return the calibration with the most references not above `references`, else the fewest."""
        return _for_references(self.calibrations, references)

    def enrolment_bound(self, references: int) -> EnrolmentBound | None:
        """Return the bound, chosen likewise; None without bounds."""
        return _for_references(self.enrolment_bounds, references) if self.enrolment_bounds else None


Entry = TypeVar("Entry", OperatingPoint, Calibration, EnrolmentBound)


def _for_references(entries: Sequence[Entry], references: int) -> Entry:
    """The entry with the most references not above `references`, else the one with the fewest."""
    fitting = [entry for entry in entries if entry.references <= references]
    return max(fitting, key=_references) if fitting else min(entries, key=_references)


def _references(entry: OperatingPoint | Calibration | EnrolmentBound) -> int:
    return entry.references
