"""What `sigedge export` shows while it works."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from sigedge.cli.console import Output
from sigedge.cli.export_tree import ExportTree, PlainLines, shown
from sigedge_export import Hop

WAITING = Hop("int8-onnx", "onnx_to_qdq")
RUNNING = Hop("float16-onnx", "onnx_to_float16", "running")
DONE = Hop("float32-onnx", "torch_to_onnx", "done", 12.34, 10**9)
CACHED = Hop("float32-tflite", "saved_model_to_tflite", "cached", 0.1)


def lines(tree: ExportTree) -> list[str]:
    console = Console(file=StringIO(), width=100)
    with console.capture() as captured:
        console.print(tree)
    return captured.get().splitlines()


def line_of(tree: ExportTree, name: str) -> str:
    (line,) = (line.rstrip() for line in lines(tree) if name in line)
    return line


def test_every_hop_stands_there_with_its_state_and_time() -> None:
    tree = ExportTree()
    for hop in (DONE, CACHED, RUNNING, WAITING):
        tree.watch(Hop(hop.name, hop.step))
    for hop in (DONE, CACHED, RUNNING):
        tree.watch(hop)
    assert [line.split()[2] for line in lines(tree)[1:]] == [DONE.name, CACHED.name, RUNNING.name, WAITING.name]
    assert "✓" in line_of(tree, DONE.name) and line_of(tree, DONE.name).endswith("12.3 s")
    assert line_of(tree, CACHED.name).endswith("reused")
    assert "▸" in line_of(tree, RUNNING.name)
    assert "·" in line_of(tree, WAITING.name) and line_of(tree, WAITING.name).endswith("onnx_to_qdq")


def test_the_time_of_a_running_hop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 107.5])
    monkeypatch.setattr("sigedge.cli.export_tree.time.monotonic", lambda: next(clock))
    tree = ExportTree()
    tree.watch(RUNNING)
    assert line_of(tree, RUNNING.name).endswith("7.5 s")


def test_a_stage_is_over_when_the_next_begins_or_the_export_ends() -> None:
    tree = ExportTree()
    tree.stage("golden vectors")
    tree.stage("self-test")
    assert "✓" in line_of(tree, "golden vectors") and "▸" in line_of(tree, "self-test")
    tree.end()
    assert "✓" in line_of(tree, "self-test")


def test_an_export_that_has_not_begun_shows_nothing() -> None:
    assert lines(ExportTree()) == []


def test_where_nobody_sees_it_move_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(Output()) as view:
        assert isinstance(view, PlainLines)
        for hop in (WAITING, RUNNING, DONE, CACHED):
            view.watch(hop)
        view.stage("golden vectors")
    told = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in told] == [
        "float16-onnx by onnx_to_float16: ...",
        "float32-onnx by torch_to_onnx: done in 12.3 s",
        "float32-tflite by saved_model_to_tflite: reused",
        "golden vectors",
    ]


def test_a_terminal_gets_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr("sigedge.cli.console._console", lambda stderr: screen)
    with shown(Output()) as view:
        assert isinstance(view, ExportTree)
        view.watch(DONE)
    assert DONE.name in screen.file.getvalue()  # type: ignore[attr-defined]
