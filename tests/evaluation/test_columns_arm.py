from __future__ import annotations

from typing import Any

import pytest

from sigedge.evaluation.tables import NOTHING, render

ROW: dict[str, Any] = {
    "bundle": "edgesig",
    "artifact": "edgesig-int8-tflite",
    "engine": "litert",
    "selftest": {"passed": True},
    "outputs": 64,
    "identical_outputs": 63,
    "max_output_difference": 0.0,
    "scores": 180,
    "identical_scores": 179,
    "max_score_difference": 1.25e-7,
    "flipped": 0,
}
COUNTS = {"pictures": 20, "identical_pixels": 20, "identical_canvases": 19, "identical_issues": 18}
RESULT = {
    "processors": {
        "cortex-a53": {"pictures": {"odd": COUNTS | {"identical_measurements": 17}}, "artifacts": [ROW]},
        "cortex-a76": {"pictures": {}, "artifacts": [ROW | {"selftest": {"passed": False}}]},
    },
    "arm": {"numpy": "1.26.4", "python": "3.11.2"},
    "meta": {"emulator": "qemu-aarch64 version 7.2"},
}


def lines(name: str) -> list[str]:
    return render(name, [RESULT]).splitlines()[2:]


def test_pictures_are_counted_by_core_and_source() -> None:
    assert lines("arm-pictures") == ["| cortex-a53 | odd | 20 of 20 | 19 of 20 | 18 of 20 | 17 of 20 |"]


def test_artefacts_show_counts_and_differences() -> None:
    passed, failed = lines("arm-outputs")
    assert passed == (
        "| cortex-a53 | edgesig | edgesig-int8-tflite on litert | passed | 63 of 64 | 0 | 179 of 180 | 1.2e-07 | 0 |"
    )
    assert failed.startswith("| cortex-a76 |") and "FAILED" in failed


def test_versions_are_listed_with_the_emulator_first() -> None:
    found = lines("arm-versions")
    assert found[0] == "| emulator | qemu-aarch64 version 7.2 |" and "| numpy | 1.26.4 |" in found


@pytest.mark.parametrize("name", ["arm-pictures", "arm-outputs"])
def test_without_a_result_nothing_is_claimed(name: str) -> None:
    assert render(name, []) == NOTHING
