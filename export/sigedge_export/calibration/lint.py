"""Is a calibration set fit to set the ranges of an int8 file? Every check is a pure function of the set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sigedge_export.calibration.calibration_set import CalibrationSet, canvas_hash
from sigedge_export.calibration.features import FEATURES, features
from sigedge_runtime.errors import ExportError
from sigedge_runtime.preprocessing import PreprocessSpec

Severity = Literal["error", "warning"]

FEWEST = 16
ENOUGH = 100
"""Converters advise a few hundred samples (TensorFlow's guide to post-training quantization: 100 to 500)."""

NEAR_DUPLICATE = 0.9
"""Intersection of the ink over its union, at half the resolution, from which two canvases show one signature."""

THIN = 0.25
"""A decile of the population counts as covered with this share of the canvases that it would have by chance."""

_NAMED = 5


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a calibration set.

    Attributes:
        code: stable identifier, e.g. ``"too-few"``.
        severity: an error stops an export, a warning is shown.
        message: what is wrong.
        remedy: what to do about it.
    """

    code: str
    severity: Severity
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}."

    def to_dict(self) -> dict[str, str]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """What must not be in a calibration set: the validation and test signers.

    Attributes:
        identities: ``dataset/signer`` of each.
        hashes: `canvas_hash` of their canvases.
    """

    identities: frozenset[str]
    hashes: frozenset[str]


def lint(calibration: CalibrationSet, *, spec: PreprocessSpec, evaluation: Evaluation | None = None) -> list[Finding]:
    """Check a set.

    Args:
        calibration: the set.
        spec: preprocessing of the model that will be calibrated.
        evaluation: signers and canvases that measure the model; None leaves the overlap unchecked.

    Returns:
        Errors first; empty for a sound set.
    """
    hashes = [canvas_hash(canvas) for canvas in calibration.canvases]
    found = [
        *_check_spec(calibration, spec),
        *_check_overlap(calibration, hashes, evaluation),
        *_check_levels(calibration.canvases),
        *_check_count(len(set(hashes))),
        *_check_duplicates(calibration.canvases, hashes),
        *_check_coverage(calibration),
    ]
    return sorted(found, key=lambda finding: finding.severity)


def refuse_errors(findings: Iterable[Finding]) -> None:
    """Stop an export on a set that is not sound.

    Raises:
        ExportError: there is an error among the findings; the sentence is the first one's and counts the others.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        more = f" ({len(errors) - 1} more; `sigedge calibrate --lint` shows all)" if len(errors) > 1 else ""
        raise ExportError(f"The calibration set cannot be used: {errors[0].message}; {errors[0].remedy}{more}.")


def _check_spec(calibration: CalibrationSet, spec: PreprocessSpec) -> list[Finding]:
    shape = (spec.canvas_height, spec.canvas_width)
    if calibration.spec_digest == spec.digest() and calibration.canvases.shape[1:] == shape:
        return []
    message = f"The canvases were made by preprocessing {calibration.spec_digest[:12]}, the model reads "
    remedy = "draw the set again for this model"
    return [Finding("wrong-preprocessing", "error", f"{message}{spec.digest()[:12]}", remedy)]


def _check_overlap(calibration: CalibrationSet, hashes: Sequence[str], evaluation: Evaluation | None) -> list[Finding]:
    if evaluation is None:
        return []
    found: list[Finding] = []
    people = sorted({origin.identity for origin in calibration.origins} & evaluation.identities)
    if people:
        message = f"{len(people)} validation or test signers are in it ({_some(people)})"
        found.append(Finding("evaluation-signer", "error", message, "draw from training signers only"))
    rows = [row for row, digest in enumerate(hashes) if digest in evaluation.hashes]
    if rows:
        message = f"{len(rows)} canvases equal one of a validation or test signer (rows {_some(rows)})"
        found.append(Finding("evaluation-canvas", "error", message, "leave these out; a picture was filed twice"))
    return found


def _check_levels(canvases: NDArray[np.uint8]) -> list[Finding]:
    found: list[Finding] = []
    blank = np.flatnonzero(canvases.max(axis=(1, 2)) == canvases.min(axis=(1, 2)))
    if len(blank):
        message = f"{len(blank)} canvases are blank (rows {_some(blank)})"
        found.append(Finding("blank", "error", message, "leave out images without a usable signature"))
    between = ((canvases != 0) & (canvases != 255)).any(axis=(1, 2))
    reach = (canvases.min(axis=(1, 2)) == 0) & (canvases.max(axis=(1, 2)) == 255)
    odd = np.setdiff1d(np.flatnonzero(between | ~reach), blank)
    if len(odd):
        message = f"{len(odd)} canvases hold other values than 0 and 255, both of them (rows {_some(odd)})"
        remedy = "make canvases with sigedge_runtime.preprocessing.harmonise, whose range sets the input's scale"
        found.append(Finding("levels", "error", message, remedy))
    return found


def _check_count(distinct: int) -> list[Finding]:
    if distinct >= ENOUGH:
        return []
    message = f"It holds {distinct} different canvases, {ENOUGH} or more give steady ranges"
    return [Finding("too-few", "error" if distinct < FEWEST else "warning", message, "draw more with --count")]


def _check_duplicates(canvases: NDArray[np.uint8], hashes: Sequence[str]) -> list[Finding]:
    found: list[Finding] = []
    seen: set[str] = set()
    first = np.array([not (digest in seen or seen.add(digest)) for digest in hashes])  # type: ignore[func-returns-value]
    if repeated := np.flatnonzero(~first).tolist():
        message = f"{len(repeated)} canvases repeat another one exactly (rows {_some(repeated)})"
        found.append(Finding("duplicate", "warning", message, "leave them out; they only weigh one picture more"))
    rows = np.flatnonzero(first)
    if pairs := near_duplicates(canvases[rows]):
        named = _some([f"{rows[a]} and {rows[b]}" for a, b in pairs])
        message = f"{len(pairs)} pairs of canvases are nearly equal (rows {named})"
        found.append(Finding("near-duplicate", "warning", message, "keep one of each pair"))
    return found


def near_duplicates(canvases: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs of rows of canvases uint8 [N, H, W], H and W even, whose ink agrees by `NEAR_DUPLICATE` or more."""
    count, height, width = canvases.shape
    halved = (canvases > 127).reshape(count, height // 2, 2, width // 2, 2).any(axis=(2, 4))
    ink = halved.reshape(count, -1).astype(np.float32)
    area = ink.sum(axis=1)
    common = ink @ ink.T
    union = area[:, None] + area[None, :] - common
    alike = np.triu((common >= NEAR_DUPLICATE * union) & (union > 0), k=1)
    return [(int(a), int(b)) for a, b in np.argwhere(alike)]


def _check_coverage(calibration: CalibrationSet) -> list[Finding]:
    if calibration.population is None:
        message = "It stands for no population of real signatures, so that its coverage cannot be checked"
        return [Finding("no-population", "warning", message, "draw it with --index")]
    values = features(calibration.canvases)
    found: list[Finding] = []
    for name in FEATURES:
        missed, share = missed_deciles(values[name], calibration.population.deciles[name])
        if missed:
            spans = _some([f"{low:.3f} to {high:.3f}" for low, high in missed])
            message = f"Few canvases have the {name} of {100 * share:.0f} % of the population ({spans})"
            severity: Severity = "error" if share > 0.5 else "warning"
            found.append(Finding(f"coverage-{name.replace(' ', '-')}", severity, message, "draw more with --count"))
    return found


def missed_deciles(values: NDArray[np.float64], deciles: Sequence[float]) -> tuple[list[tuple[float, float]], float]:
    """Deciles of a population that a sample hardly reaches.

    Args:
        values: [N] of the sample.
        deciles: the 0th, 10th ... 100th percentile of the population; equal neighbours count as one value.

    Returns:
        The missed spans, each as its two ends, and the share of the population in them.
    """
    edges = np.asarray(deciles)
    missed: list[tuple[float, float]] = []
    share = 0.0
    for low, high in sorted(set(pairwise(edges.tolist()))):
        expected = float(np.mean((edges[:-1] == low) & (edges[1:] == high)))
        if float(np.mean((values >= low) & (values <= high))) < THIN * expected:
            missed.append((float(low), float(high)))
            share += expected
    return missed, share


def _some(items: Sequence[object] | NDArray[np.intp]) -> str:
    """The first few items, and how many there are beside."""
    named = ", ".join(str(item) for item in items[:_NAMED])
    return named if len(items) <= _NAMED else f"{named} and {len(items) - _NAMED} more"
