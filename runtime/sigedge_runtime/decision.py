"""The decision rule of a bundle: how a score is made, thresholds and calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    """Platt scaling for a number of references: P(genuine) = 1 / (1 + exp(-(slope * score + intercept)))."""

    references: int
    slope: float
    intercept: float

    def __post_init__(self) -> None:
        require(self.references >= 1, "references must be at least 1")
        require(math.isfinite(self.slope) and self.slope > 0, "slope must be a positive number")
        require(math.isfinite(self.intercept), "intercept must be finite")


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
        matching: how embeddings are compared region by region; None for the cosine of whole embeddings.
    """

    fusion: str
    default_operating_point: str
    operating_points: tuple[OperatingPoint, ...]
    calibrations: tuple[Calibration, ...]
    consistency_weight: float = 0.0
    matching: LocalMatching | None = None

    def __post_init__(self) -> None:
        one_of("fusion", self.fusion, FUSIONS)
        require(0 <= self.consistency_weight <= 1, "consistency_weight must be between 0 and 1")
        one_of("default_operating_point", self.default_operating_point, self.names)
        require(len(self.calibrations) > 0, "calibrations must not be empty")
        # Scores against one reference are relative to nothing, so its thresholds and calibration fit no others.
        paired = {point.name for point in self.operating_points if point.references == 2} == set(self.names)
        paired &= any(entry.references == 2 for entry in self.calibrations)
        require(self.consistency_weight == 0 or paired, "a consistency_weight needs every entry for 2 references")
        unique("operating_points", ((point.name, point.references) for point in self.operating_points))
        unique("calibrations", (entry.references for entry in self.calibrations))

    @property
    def similarity(self) -> Matching:
        """What prepares and compares embeddings."""
        return self.matching or COSINE

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
        fitting = [point for point in points if point.references <= references]
        return max(fitting or [min(points, key=_references)], key=_references)

    def calibration(self, references: int) -> Calibration:
        """Return the calibration with the most references not above `references`, else the fewest."""
        fitting = [entry for entry in self.calibrations if entry.references <= references]
        return max(fitting or [min(self.calibrations, key=_references)], key=_references)


def _references(entry: OperatingPoint | Calibration) -> int:
    return entry.references
