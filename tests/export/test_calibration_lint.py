"""Every fault of a calibration set is found and named, and a sound set is left in peace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_export.calibration import (
    CalibrationSet,
    Evaluation,
    Origin,
    Population,
    canvas_hash,
    lint,
    refuse_errors,
)
from sigedge_export.calibration.features import FEATURES
from sigedge_export.calibration.lint import ENOUGH, FEWEST, Finding, missed_deciles, near_duplicates
from sigedge_runtime.errors import ExportError
from sigedge_runtime.preprocessing import PreprocessSpec

SPEC = PreprocessSpec(canvas_height=32, canvas_width=64)
NOBODY = Evaluation(frozenset(), frozenset())


def strokes(seed: int) -> NDArray[np.uint8]:
    """A canvas with a few random strokes, of a size that varies."""
    random = np.random.default_rng(seed)
    canvas = np.zeros((32, 64), np.uint8)
    height, width = random.integers(10, 31), random.integers(20, 63)
    for _ in range(random.integers(3, 9)):
        row, column = random.integers(0, height), random.integers(0, width)
        canvas[row, column:width] = 255
        canvas[row:height, column] = 255
    return canvas


def make(canvases: NDArray[np.uint8], population: NDArray[np.uint8] | None = None) -> CalibrationSet:
    origins = tuple(Origin("data", str(row % 9), sha256=f"{row:064x}") for row in range(len(canvases)))
    measured = Population.measure(canvases if population is None else population)
    return CalibrationSet(canvases, origins, SPEC.digest(), 0, measured)


@pytest.fixture(scope="module")
def canvases() -> NDArray[np.uint8]:
    return np.stack([strokes(seed) for seed in range(ENOUGH + 20)])


def codes(found: list[Finding]) -> dict[str, str]:
    return {finding.code: finding.severity for finding in found}


def test_a_sound_set_has_no_findings(canvases: NDArray[np.uint8]) -> None:
    assert lint(make(canvases), spec=SPEC, evaluation=NOBODY) == []


def blank(canvases: NDArray[np.uint8]) -> CalibrationSet:
    return make(np.concatenate([canvases, np.zeros_like(canvases[:1])]), canvases)


def grey(canvases: NDArray[np.uint8]) -> CalibrationSet:
    return make(np.concatenate([canvases[1:], canvases[:1] // 2 + 10]), canvases)


def faint(canvases: NDArray[np.uint8]) -> CalibrationSet:
    return make(np.concatenate([canvases[1:], np.minimum(canvases[:1], 254)]), canvases)


def repeated(canvases: NDArray[np.uint8]) -> CalibrationSet:
    return make(np.concatenate([canvases, canvases[3:5]]))


def nearly_repeated(canvases: NDArray[np.uint8]) -> CalibrationSet:
    other = canvases[:1].copy()
    other[0, 31, 63] = 255
    return make(np.concatenate([canvases, other]), canvases)


def of_large_ones_alone(canvases: NDArray[np.uint8]) -> CalibrationSet:
    density = (canvases > 0).mean(axis=(1, 2))
    return make(canvases[density > np.quantile(density, 0.6)], canvases)


def other_preprocessing(canvases: NDArray[np.uint8]) -> CalibrationSet:
    return replace(make(canvases), spec_digest=PreprocessSpec(canvas_height=32, canvas_width=64, margin=2).digest())


def other_size(canvases: NDArray[np.uint8]) -> CalibrationSet:
    return make(canvases[:, :, :32])


@pytest.mark.parametrize(
    ("plant", "code", "severity"),
    [
        (blank, "blank", "error"),
        (grey, "levels", "error"),
        (faint, "levels", "error"),
        (repeated, "duplicate", "warning"),
        (nearly_repeated, "near-duplicate", "warning"),
        (of_large_ones_alone, "coverage-ink-density", "error"),
        (other_preprocessing, "wrong-preprocessing", "error"),
        (other_size, "wrong-preprocessing", "error"),
        (lambda canvases: make(canvases[: ENOUGH - 1]), "too-few", "warning"),
        (lambda canvases: make(canvases[: FEWEST - 1]), "too-few", "error"),
        (lambda canvases: make(np.repeat(canvases[:5], 30, axis=0)), "too-few", "error"),
        (lambda canvases: replace(make(canvases), population=None), "no-population", "warning"),
    ],
)
def test_a_planted_fault_is_found(
    plant: Callable[[NDArray[np.uint8]], CalibrationSet], code: str, severity: str, canvases: NDArray[np.uint8]
) -> None:
    found = lint(plant(canvases), spec=SPEC, evaluation=NOBODY)
    assert codes(found).get(code) == severity
    named = next(finding for finding in found if finding.code == code)
    assert not named.message[0].islower() and str(named).endswith(f"; {named.remedy}.")


def test_evaluation_signers_are_found_by_name_and_by_picture(canvases: NDArray[np.uint8]) -> None:
    by_name = Evaluation(frozenset({"data/3", "data/77"}), frozenset())
    (finding,) = lint(make(canvases), spec=SPEC, evaluation=by_name)
    assert (finding.code, finding.severity) == ("evaluation-signer", "error") and "data/3" in finding.message
    by_picture = Evaluation(frozenset(), frozenset({canvas_hash(canvases[17])}))
    (finding,) = lint(make(canvases), spec=SPEC, evaluation=by_picture)
    assert finding.code == "evaluation-canvas" and "rows 17" in finding.message


def test_errors_come_first_and_stop_an_export(canvases: NDArray[np.uint8]) -> None:
    few_and_blank = make(np.concatenate([canvases[:30], np.zeros_like(canvases[:2])]))
    found = lint(few_and_blank, spec=SPEC)
    severities = [finding.severity for finding in found]
    assert severities == sorted(severities) and {*severities} == {"error", "warning"}
    with pytest.raises(ExportError, match=r"cannot be used: .*2 canvases are blank"):
        refuse_errors(found)
    refuse_errors(finding for finding in found if finding.severity == "warning")


def test_several_errors_are_counted() -> None:
    with pytest.raises(ExportError, match=r"First; mend it \(1 more; `sigedge calibrate --lint` shows all\)"):
        refuse_errors([Finding("a", "error", "First", "mend it"), Finding("b", "error", "Second", "mend it")])


def test_a_long_list_of_rows_is_cut(canvases: NDArray[np.uint8]) -> None:
    many = make(np.concatenate([canvases, np.zeros_like(canvases[:9])]), canvases)
    finding = next(finding for finding in lint(many, spec=SPEC) if finding.code == "blank")
    assert "and 4 more" in finding.message


class TestCoverage:
    def test_a_missing_end_is_named_with_its_share(self) -> None:
        deciles = np.linspace(0, 1, 11).tolist()
        missed, share = missed_deciles(np.linspace(0.31, 1, 200), deciles)
        assert share == pytest.approx(0.3) and missed[0] == (0.0, 0.1) and len(missed) == 3

    def test_equal_deciles_count_as_one_value(self) -> None:
        deciles = [0.1, 0.2, *[0.9] * 9]
        assert missed_deciles(np.full(50, 0.9), deciles)[1] == pytest.approx(0.1)

    @given(st.integers(0, 2**32 - 1), st.integers(100, 400))
    def test_a_random_sample_covers_its_population(self, seed: int, size: int) -> None:
        population = np.random.default_rng(seed).gamma(2.0, size=2000)
        deciles = np.percentile(population, range(0, 101, 10)).tolist()
        sample = np.random.default_rng(seed + 1).choice(population, size)
        assert missed_deciles(sample, deciles) == ([], 0.0)

    def test_every_feature_is_checked(self, canvases: NDArray[np.uint8]) -> None:
        narrow = make(np.where(np.arange(64) < 12, canvases, 0).astype(np.uint8), canvases)
        found = codes(lint(narrow, spec=SPEC))
        assert "coverage-ink-width" in found
        assert {f"coverage-{name.replace(' ', '-')}" for name in FEATURES} >= {c for c in found if "coverage" in c}


@given(st.integers(0, 1000))
def test_equal_canvases_are_near_duplicates_and_inverted_ones_are_not(seed: int) -> None:
    canvas = strokes(seed)
    pair = np.stack([canvas, canvas])
    assert near_duplicates(pair) == [(0, 1)]
    assert near_duplicates(np.stack([canvas, 255 - canvas])) == []


def test_blank_canvases_are_no_near_duplicates() -> None:
    assert near_duplicates(np.zeros((3, 8, 8), np.uint8)) == []
