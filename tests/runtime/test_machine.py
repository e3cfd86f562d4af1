"""What measurements are kept under: read from files, importing nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sigedge_runtime import _machine


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: Fast CPU 9000\nflags: x\n", "Fast CPU 9000"),
        ("processor : 0\nCPU part : 0xd0b\n", "0xd0b"),
        ("processor : 0\nHardware : BCM2711\n", "BCM2711"),
    ],
)
def test_the_processor_is_named(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert _machine.cpu_name(str(tmp_path / "cpuinfo")) == f"{os.uname().machine} {name}"


def test_an_unknown_processor_is_its_architecture(tmp_path: Path) -> None:
    assert _machine.cpu_name(str(tmp_path / "none")) == os.uname().machine
    (tmp_path / "empty").write_text("nothing: here\n")
    assert _machine.cpu_name(str(tmp_path / "empty")) == os.uname().machine


def test_gpus_are_those_of_the_driver_or_the_board(tmp_path: Path) -> None:
    assert _machine.gpu_names(str(tmp_path)) == ()
    for number in ("0", "1"):
        folder = tmp_path / "proc/driver/nvidia/gpus" / number
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t GPU {number}\nIRQ: 5\n")
    (tmp_path / "proc/device-tree").mkdir()
    (tmp_path / "proc/device-tree/model").write_text("NVIDIA Jetson\0")
    assert _machine.gpu_names(str(tmp_path)) == ("Model: \t\t GPU 0", "Model: \t\t GPU 1", "NVIDIA Jetson")


def test_usable_cores_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 7}, raising=False)
    assert _machine.usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert _machine.usable_cores() == 1


def test_a_module_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _machine.has_module("wave") and "wave" not in sys.modules
    assert not _machine.has_module("no_such_module") and not _machine.has_module("no_such_package.module")
    monkeypatch.setitem(sys.modules, "blocked", None)
    assert not _machine.has_module("blocked")
    monkeypatch.setitem(sys.modules, "by_hand", ModuleType("by_hand"))
    assert _machine.has_module("by_hand")


def test_a_stamp_changes_with_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stamped").mkdir()
    first = tmp_path / "stamped" / "__init__.py"
    first.write_text("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    stamps = {_machine.module_stamp("stamped.deeper")}
    first.write_text("x = 11")
    stamps.add(_machine.module_stamp("stamped"))
    os.utime(first, (1, 1))
    stamps.add(_machine.module_stamp("stamped"))
    first.unlink()
    stamps.add(_machine.module_stamp("stamped"))
    assert len(stamps) == 4 and "stamped" not in sys.modules
    assert _machine.module_stamp("no_such_module") == ""
    assert _machine.module_folder("wave") is None, "a module of one file lies in no folder of its own"
