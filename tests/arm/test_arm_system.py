"""The Arm system's cache: whole or not there, reused, and made again when versions change."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from sigedge.arm import system
from sigedge.arm.errors import ArmUnavailableError
from sigedge.arm.processors import PROCESSORS
from sigedge.arm.system import prepare_arm
from sigedge_runtime.errors import DataError

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="Arm is emulated on x86-64 Linux only"
)


@pytest.fixture
def constraints(tmp_path: Path) -> Path:
    path = tmp_path / "constraints.txt"
    path.write_text("# pinned\nnumpy==1.26.4\nonnxruntime==1.23.0\n")
    return path


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where systems were built, by a builder that fetches nothing."""
    places: list[Path] = []

    def build(folder: Path, *_: object) -> None:
        places.append(folder)
        (folder / "debian" / "usr" / "lib").mkdir(parents=True)
        (folder / "debian" / "usr" / "lib" / "libc.so").write_text("arm")

    monkeypatch.setattr(system, "_build", build)
    monkeypatch.setattr(system, "_emulator", lambda *_: Path("/bin/true"))
    return places


def test_a_complete_system_is_reused(tmp_path: Path, constraints: Path, built: list[Path]) -> None:
    first = prepare_arm(tmp_path / "cache", constraints)
    second = prepare_arm(tmp_path / "cache", constraints)
    assert first == second and len(built) == 1
    assert first.root.is_dir() and not (tmp_path / "cache" / "unfinished").exists()


def test_comments_and_order_make_no_other_system(tmp_path: Path, constraints: Path, built: list[Path]) -> None:
    first = prepare_arm(tmp_path / "cache", constraints)
    constraints.write_text("onnxruntime==1.23.0\n\n# why\n numpy==1.26.4\n")
    assert prepare_arm(tmp_path / "cache", constraints).root == first.root


def test_another_version_makes_another_system_and_drops_the_old(
    tmp_path: Path, constraints: Path, built: list[Path]
) -> None:
    first = prepare_arm(tmp_path / "cache", constraints)
    constraints.write_text(constraints.read_text().replace("1.26.4", "1.26.5"))
    second = prepare_arm(tmp_path / "cache", constraints)
    assert second.root != first.root and not first.root.exists() and len(built) == 2


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ArmUnavailableError("no network")])
def test_an_interrupted_set_up_leaves_nothing(
    tmp_path: Path, constraints: Path, built: list[Path], monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    def build(folder: Path, *_: object) -> None:
        folder.mkdir()
        (folder / "half").write_text("")
        raise interruption

    with monkeypatch.context() as patched:
        patched.setattr(system, "_build", build)
        with pytest.raises((KeyboardInterrupt, ArmUnavailableError)):
            prepare_arm(tmp_path / "cache", constraints)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]
    assert not (prepare_arm(tmp_path / "cache", constraints).root / "half").exists()


def test_what_a_killed_set_up_left_is_not_used(tmp_path: Path, constraints: Path, built: list[Path]) -> None:
    left = tmp_path / "cache" / "unfinished" / "system" / "half"
    left.parent.mkdir(parents=True)
    left.write_text("")
    root = prepare_arm(tmp_path / "cache", constraints).root
    assert not (root / "half").exists() and not left.exists()


def test_each_core_sees_the_same_files_and_its_own_description(
    tmp_path: Path, constraints: Path, built: list[Path]
) -> None:
    made = prepare_arm(tmp_path / "cache", constraints)
    for processor in PROCESSORS:
        view = made.root / "processors" / processor.name
        assert (view / "usr" / "lib" / "libc.so").read_text() == (view / "lib" / "libc.so").read_text() == "arm"
        assert processor.part in (view / "proc" / "cpuinfo").read_text()
        assert processor.name in made.command(processor) and view in made.command(processor)


def test_constraints_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt cannot be read"):
        prepare_arm(tmp_path / "cache", tmp_path / "none.txt")


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path, constraints: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArmUnavailableError, match=r"cache .*file/cache cannot be used"):
        prepare_arm(tmp_path / "file" / "cache", constraints)


@pytest.mark.parametrize(("kind", "machine"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64")])
def test_other_machines_are_told_where_to_run_it(
    tmp_path: Path, constraints: Path, monkeypatch: pytest.MonkeyPatch, kind: str, machine: str
) -> None:
    monkeypatch.setattr(sys, "platform", kind)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(ArmUnavailableError, match=f"on x86-64 Linux only, not on {kind} {machine}"):
        prepare_arm(tmp_path / "cache", constraints)


class FakeApt:
    """Gives a package whose unpacking is faked, too."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def download(self, *packages: str) -> list[Path]:
        self.asked += packages
        return []


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> FakeApt:
    def unpack(_: list[Path], folder: Path) -> None:
        emulator(folder / "usr" / "bin" / system.EMULATOR, "cortex-a53 cortex-a76")

    monkeypatch.setattr(system, "unpack", unpack)
    return FakeApt()


def emulator(path: Path, cores: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {cores}\nexit 1\n")  # as QEMU 7.2 does after listing its cores
    path.chmod(0o755)
    return path


def test_an_installed_emulator_is_taken(tmp_path: Path, apt: FakeApt, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = emulator(tmp_path / "bin" / system.EMULATOR, "cortex-a53 cortex-a76")
    monkeypatch.setenv("PATH", str(installed.parent))
    assert system._emulator(tmp_path, tmp_path / "scratch", apt) == installed
    assert apt.asked == []


@pytest.mark.parametrize("cores", [None, "cortex-a53 cortex-a57"], ids=["none installed", "too old"])
def test_else_it_is_fetched_once(
    tmp_path: Path, apt: FakeApt, monkeypatch: pytest.MonkeyPatch, cores: str | None
) -> None:
    (tmp_path / "bin").mkdir()
    if cores:
        emulator(tmp_path / "bin" / system.EMULATOR, cores)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")
    found = [system._emulator(tmp_path / "cache", tmp_path / "scratch", apt) for _ in range(2)]
    assert found == [tmp_path / "cache" / system.EMULATOR] * 2
    assert apt.asked == ["qemu-user-static:amd64"]
