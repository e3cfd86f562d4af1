"""A step runs as a child process; whatever happens to it becomes one sentence, and nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_export import ExportOptions, Hop, choose_targets
from sigedge_export.chain import run_chain
from sigedge_export.process import run_step
from sigedge_export.targets import TARGETS
from sigedge_runtime.errors import ExportError

MINUTE = 60.0


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Run the given Python code instead of the next steps; ``sys.argv`` is that of the step."""

    def replace(code: str) -> None:
        path = tmp_path / "program"
        path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{code}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return replace


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
        ("open('/dev/full', 'w').write('x' * 10**6)", "exit code 1 .*free some disc space"),
        ("raise MemoryError", "free some memory"),
        (f"os.kill(os.getpid(), {int(signal.SIGKILL)})", "signal SIGKILL .*ran out of memory"),
        (f"os.kill(os.getpid(), {int(signal.SIGTERM)})", "signal SIGTERM .*somebody ended it"),
        (f"os.kill(os.getpid(), {int(signal.SIGSEGV)})", "signal SIGSEGV .*the log tells"),
        ("raise SystemExit(3)", "exit code 3 .*it printed nothing"),
        ("raise ValueError('axis 7')", "axis 7.*the log tells"),
    ],
)
def test_how_a_step_ended_decides_the_remedy(
    code: str, sentence: str, tmp_path: Path, program: Callable[[str], None]
) -> None:
    program(code)
    with pytest.raises(ExportError, match=sentence):
        run_step("torch_to_onnx", [], tmp_path)


def test_a_disc_that_is_full_is_told_by_the_space_that_is_left(
    tmp_path: Path, program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    program("raise SystemExit(1)")  # the log could not even be written
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 4096}))
    with pytest.raises(ExportError, match="free some disc space"):
        run_step("torch_to_onnx", [], tmp_path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_finished_step_tells_what_it_took(tmp_path: Path, program: Callable[[str], None]) -> None:
    program("block = bytearray(200 * 2**20)\nfor i in range(0, len(block), 4096): block[i] = 1\ntime.sleep(0.3)")
    usage = run_step("torch_to_onnx", [], tmp_path)
    assert usage.seconds >= 0.3
    # A small child of a parent with frameworks loaded: what the parent holds must not count.
    assert 200 * 2**20 <= usage.peak_memory < 260 * 2**20


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + MINUTE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_interruption_ends_the_step_and_what_it_started(tmp_path: Path, program: Callable[[str], None]) -> None:
    """SIGINT at the moment when the child and a child of that have begun."""
    note = tmp_path / "pids"
    program(
        f"import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(note)!r} + '.new', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(note)!r} + '.new', {str(note)!r})\ntime.sleep(600)"
    )

    def interrupt() -> None:
        wait_for(note.exists)
        os.kill(os.getpid(), signal.SIGINT)

    # A shell that starts the tests in the background has them ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_step("torch_to_onnx", [], tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    watcher.join()
    for pid in map(int, note.read_text().split()):
        wait_for(lambda pid=pid: not is_running(pid))


def run(
    tmp_path: Path, formats: list[str], precisions: list[str] | None, calibration: NDArray[np.uint8], **more: Any
) -> tuple[Hop, ...]:
    targets = choose_targets(formats, precisions)
    options = ExportOptions(float_layers=("third",))
    return run_chain(tmp_path / "c", tmp_path, targets, calibration, logs=tmp_path, options=options, **more).hops


def test_a_step_that_fails_stops_the_chain(tmp_path: Path, fake_children: Any, calibration: NDArray[np.uint8]) -> None:
    fake_children.faults["int8-onnx"] = ExportError("broken")
    with pytest.raises(ExportError, match="broken"):
        run(tmp_path, ["onnx", "tflite"], ["int8"], calibration)
    names = [name for name, _ in fake_children.started]
    assert names[:2] == ["float32-onnx", "int8-onnx"] and "int8-tflite" not in names


def test_a_file_that_was_silently_not_written_is_noticed(
    tmp_path: Path, fake_children: Any, calibration: NDArray[np.uint8]
) -> None:
    fake_children.faults["int8-onnx"] = None
    with pytest.raises(ExportError, match=r"Step onnx_to_qdq .*wrote no int8\.onnx.*int8-onnx\.log"):
        run(tmp_path, ["onnx"], ["int8"], calibration)


FLOAT_TFLITE = ["float32-onnx", "float32-saved_model", "float32-tflite"]


@pytest.mark.parametrize(
    ("formats", "precisions", "hops"),
    [
        (["onnx"], ["float32"], ["float32-onnx"]),
        (["onnx"], ["int8"], ["float32-onnx", "int8-onnx"]),
        (["torch_program"], None, ["float32-torch_program"]),
        (["saved_model"], ["float32"], ["float32-onnx", "float32-saved_model"]),
        (["tflite"], ["int8"], ["float32-onnx", "float32-saved_model", "int8-tflite"]),
        (["tflite"], ["dynamic_range"], [*FLOAT_TFLITE, "dynamic_range-tflite"]),
        (["tflite"], ["mixed"], [*FLOAT_TFLITE, "mixed-tflite"]),
    ],
)
@pytest.mark.usefixtures("fake_children")
def test_only_the_hops_that_are_needed_run(
    formats: list[str],
    precisions: list[str] | None,
    hops: list[str],
    tmp_path: Path,
    calibration: NDArray[np.uint8],
) -> None:
    made = run(tmp_path, formats, precisions, calibration)
    assert [hop.name for hop in made] == hops
    assert all((hop.state, hop.seconds, hop.peak_memory) == ("done", 0.5, 1000) for hop in made)


@pytest.mark.usefixtures("fake_children")
def test_a_watcher_sees_every_hop_wait_run_and_end(tmp_path: Path, calibration: NDArray[np.uint8]) -> None:
    seen: dict[str, list[str]] = {}
    order: list[str] = []

    def watch(hop: Hop) -> None:
        seen.setdefault(hop.name, []).append(hop.state)
        order.append(hop.state)

    hops = run(tmp_path, ["onnx", "tflite"], None, calibration, watch=watch)
    assert list(seen) == [hop.name for hop in hops]
    assert all(states == ["waiting", "running", "done"] for states in seen.values())
    assert order[: len(hops)] == ["waiting"] * len(hops)


def test_no_hop_starts_before_its_source_is_there_and_two_run_at_a_time(
    tmp_path: Path, fake_children: Any, calibration: NDArray[np.uint8]
) -> None:
    running: set[str] = set()
    most = 0

    def watch(hop: Hop) -> None:
        nonlocal most
        (running.add if hop.state == "running" else running.discard)(hop.name)
        most = max(most, len(running))

    run(tmp_path, ["onnx", "tflite", "torch_program", "saved_model"], None, calibration, watch=watch)
    names = [name for name, _ in fake_children.started]
    assert sorted(names) == sorted(target.key for target in TARGETS)
    assert names.index("float32-onnx") < names.index("float32-saved_model") < names.index("float32-tflite")
    assert names.index("float32-tflite") < names.index("mixed-tflite")
    assert most == 2


def test_float_layers_go_to_mixed_precision_alone(
    tmp_path: Path, fake_children: Any, calibration: NDArray[np.uint8]
) -> None:
    run(tmp_path, ["tflite"], None, calibration)
    told = {name for name, arguments in fake_children.started if "--float-layer=third" in arguments}
    assert told == {"mixed-tflite"}


def test_a_relative_path_survives_the_change_of_folder(
    tmp_path: Path, fake_children: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c").write_text("weights")
    (tmp_path / "w").mkdir()
    run_chain(Path("c"), Path("w"), choose_targets(["onnx"], ["float32"]), None, logs=Path("l"))
    paths = [part for _, arguments in fake_children.started for part in arguments if isinstance(part, Path)]
    assert paths and all(path.is_absolute() for path in paths)


@pytest.mark.parametrize("precision", ["int8", "int16_activations", "mixed"])
@pytest.mark.usefixtures("fake_children")
def test_ranges_need_calibration_canvases(tmp_path: Path, precision: str) -> None:
    targets = choose_targets(["tflite"], [precision])
    with pytest.raises(ExportError, match="needs calibration canvases"):
        run_chain(tmp_path / "c", tmp_path, targets, None, logs=tmp_path)
