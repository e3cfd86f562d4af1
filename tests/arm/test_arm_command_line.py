"""Exit codes and the result file, with the set-up and the measurement replaced."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sigedge.arm import __main__ as command_line
from sigedge.arm.__main__ import BAD_INPUT, DIFFERENT, IDENTICAL, SHIPPED_NAMES, SKIPPED, main
from sigedge.arm.errors import ArmUnavailableError
from sigedge.arm.measure import _require_equal_versions
from sigedge.arm.probe import Observation
from sigedge_runtime.errors import DataError, ParityError

COUNTS = {"pictures": 2, "identical_canvases": 2}
FIGURES = {"pictures": {"odd": COUNTS}, "artifacts": []}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the replaced measurement finds; ``raises`` is raised by it. The job it got stands in ``job``."""
    found: dict[str, Any] = {"failures": []}
    system = SimpleNamespace(root=Path("root"), emulator_version=lambda: "qemu 1")

    def measure(_: object, job: object, *__: object) -> dict[str, Any]:
        found["job"] = job
        if "raises" in found:
            raise found["raises"]
        return {"processors": {"cortex-a53": FIGURES}, "failures": found["failures"], "arm": {"numpy": "1"}}

    monkeypatch.setattr(command_line, "prepare_arm", lambda *_: system)
    monkeypatch.setattr(command_line, "measure", measure)
    return found


def run(folder: Path, *more: str) -> tuple[int, Path]:
    target = folder / "result.json"
    code = main(["--json", str(target), "--no-float", "--signers", "1", "--scans", "0", "--trials", "3", *more])
    return code, target


def test_identical_is_0_and_the_result_says_where_it_comes_from(tmp_path: Path, measured: dict[str, Any]) -> None:
    code, target = run(tmp_path)
    assert code == IDENTICAL == 0
    result = json.loads(target.read_text())
    assert result["processors"]["cortex-a53"] == FIGURES and result["failures"] == []
    assert result["meta"]["emulator"] == "qemu 1" and set(result["meta"]["models"]) == set(SHIPPED_NAMES)
    assert all(len(model["checkpoint_sha256"]) == 64 for model in result["meta"]["models"].values())
    assert len(measured["job"].signatures) == 8 and len(measured["job"].trials) == 3


def test_a_difference_is_1_is_told_and_is_written(
    tmp_path: Path, measured: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    measured["failures"] = ["cortex-a53: a canvas differs."]
    code, target = run(tmp_path)
    assert code == DIFFERENT == 1
    assert "Different: cortex-a53: a canvas differs." in capsys.readouterr().err
    assert json.loads(target.read_text())["failures"] == measured["failures"]


@pytest.mark.parametrize(
    ("error", "expected", "start"),
    [
        (ArmUnavailableError("No network."), SKIPPED, "Skipped: No network."),
        (ParityError("It crashes."), BAD_INPUT, "Error: It crashes."),
        (KeyboardInterrupt(), 130, "Stopped: no result was written; what is set up is kept."),
    ],
)
def test_what_hinders_it_is_one_sentence_and_no_result(
    tmp_path: Path,
    measured: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    expected: int,
    start: str,
) -> None:
    measured["raises"] = error
    code, target = run(tmp_path)
    assert code == expected and not target.exists()
    assert capsys.readouterr().err.splitlines()[-1] == start


def test_a_bundle_that_is_none_is_bad_input(tmp_path: Path, measured: dict[str, Any]) -> None:
    assert run(tmp_path, "--bundle", str(tmp_path / "none"))[0] == BAD_INPUT


@pytest.mark.parametrize("text", ["-1", "many", "2.5"])
def test_a_count_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"--scans={text}"])
    assert caught.value.code == BAD_INPUT and f"'{text}' is no count" in capsys.readouterr().err


def test_without_the_export_tools_float_is_left_out_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "find_spec", lambda name: None if name == "onnx2tf" else object())
    assert not command_line._can_export()
    assert "float32 is left out: onnx2tf not installed" in capsys.readouterr().err


def test_other_versions_on_the_other_side_are_refused() -> None:
    here, there = (Observation({"versions": {"numpy": version}}, {}) for version in ("1", "2"))
    _require_equal_versions(here, {"cortex-a53": here})
    with pytest.raises(DataError, match=r"cortex-a53 .*'2'.*make install"):
        _require_equal_versions(here, {"cortex-a53": there})
