"""A step runs as a child process; whatever happens to it becomes one sentence."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_export.chain import place, run_chain
from sigedge_export.process import run_step
from sigedge_export.targets import choose_targets
from sigedge_runtime.errors import ExportError


def test_an_unusable_command_line_names_step_and_log(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as error:
        run_step("onnx_to_qdq", ["--nonsense"], tmp_path)
    log = tmp_path / "onnx_to_qdq.log"
    assert "Step onnx_to_qdq of the export failed with exit code 2" in str(error.value)
    assert str(log) in str(error.value)
    assert "--nonsense" in log.read_text() or "required" in log.read_text()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import no_such_converter", "exit code 1 .*pip install 'sigedge\\[export\\]'"),
        ("raise OSError(28, 'No space left on device')", "free some disc space"),
        ("raise MemoryError", "free some memory"),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", "signal SIGKILL .*ran out of memory"),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})", "signal SIGSEGV .*the log tells"),
        ("raise SystemExit(3)", "exit code 3 .*it printed nothing"),
        ("raise ValueError('axis 7')", "axis 7.*the log tells"),
    ],
)
def test_how_a_step_ended_decides_the_remedy(
    code: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(ExportError, match=sentence):
        run_step("torch_to_onnx", [], tmp_path)


def test_a_step_that_fails_stops_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calibration: NDArray[np.uint8]
) -> None:
    ran: list[str] = []

    def fail_at_qdq(name: str, *_: object) -> None:
        ran.append(name)
        if name == "onnx_to_qdq":
            raise ExportError("broken")

    monkeypatch.setattr("sigedge_export.chain.run_step", fail_at_qdq)
    targets = choose_targets(["onnx", "tflite"], ["int8"])
    with pytest.raises(ExportError, match="broken"):
        run_chain(tmp_path / "c", tmp_path, targets, calibration, logs=tmp_path)
    assert ran == ["torch_to_onnx", "onnx_to_qdq"]


@pytest.mark.parametrize(
    ("formats", "precisions", "steps"),
    [
        (["onnx"], ["float32"], ["torch_to_onnx"]),
        (["onnx"], ["int8"], ["torch_to_onnx", "onnx_to_qdq"]),
        (["tflite"], ["int8"], ["torch_to_onnx", "onnx_to_saved_model", "saved_model_to_tflite"]),
        (["saved_model"], ["float32"], ["torch_to_onnx", "onnx_to_saved_model"]),
    ],
)
def test_only_the_hops_that_are_needed_run(
    formats: list[str],
    precisions: list[str],
    steps: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    calibration: NDArray[np.uint8],
) -> None:
    ran: list[str] = []
    told: list[str] = []
    monkeypatch.setattr("sigedge_export.chain.run_step", lambda name, *_: ran.append(name))
    targets = choose_targets(formats, precisions)
    run_chain(tmp_path / "c", tmp_path, targets, calibration, logs=tmp_path, progress=told.append)
    assert ran == told == steps


def test_a_relative_path_survives_the_change_of_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str | Path] = []
    monkeypatch.setattr("sigedge_export.chain.run_step", lambda _, arguments, logs: given.extend([*arguments, logs]))
    monkeypatch.chdir(tmp_path)
    run_chain(Path("c"), Path("w"), choose_targets(["onnx"], ["float32"]), None, logs=Path("l"))
    assert all(path.is_absolute() for path in given if isinstance(path, Path))


def test_a_file_that_was_silently_not_written_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"wrote no int8\.tflite"):
        place(tmp_path / "int8.tflite", tmp_path / "bundle" / "artifacts" / "x.tflite")
    assert os.listdir(tmp_path) == []
