"""apt by a program that notes what it was asked: no network, no root."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sigedge.arm.debian import Apt, unpack
from sigedge.arm.errors import ArmUnavailableError

FAKE = """#!/bin/sh
echo "$*" >> {log}
for word in "$@"; do case "$word" in
  Dir::Cache::archives=*) folder="${{word#*=}}";;
  install) touch "$folder/python_1_arm64.deb";;
esac; done
{end}
"""


def fake_tool(folder: Path, name: str, log: Path, end: str = "exit 0") -> None:
    folder.mkdir(exist_ok=True)
    tool = folder / name
    tool.write_text(FAKE.format(log=log, end=end))
    tool.chmod(0o755)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "log"
    for name in ("apt-get", "dpkg-deb"):
        fake_tool(tmp_path / "bin", name, path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return path


def test_the_indexes_are_fetched_once_and_everything_stays_in_the_folder(tmp_path: Path, log: Path) -> None:
    apt = Apt(tmp_path / "apt")
    assert [path.name for path in apt.download("python", "libc")] == ["python_1_arm64.deb"]
    assert apt.download("qemu:amd64")[0].parent == tmp_path / "apt" / "archives" / "qemu-amd64"
    calls = log.read_text().splitlines()
    assert [call.split()[-1] for call in calls] == ["update", "libc", "qemu:amd64"]
    for call in calls:
        assert f"Dir::State={tmp_path}/apt/state" in call and "APT::Architecture=arm64" in call
        assert f"Dir::State::status={tmp_path}/apt/state/status" in call
    assert all("--download-only install" in call for call in calls[1:])


def test_nothing_happens_before_something_is_wanted(tmp_path: Path, log: Path) -> None:
    Apt(tmp_path / "apt")
    assert not log.exists() and not (tmp_path / "apt").exists()


def test_without_a_network_the_complaint_of_apt_is_told(tmp_path: Path, log: Path) -> None:
    fake_tool(tmp_path / "bin", "apt-get", log, "echo 'E: Could not connect' >&2; exit 100")
    with pytest.raises(ArmUnavailableError, match=r"apt-get failed \(E: Could not connect\); check the network"):
        Apt(tmp_path / "apt").download("python")


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ArmUnavailableError, match="without apt-get and dpkg-deb"):
        Apt(tmp_path / "apt").download("python")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_a_damaged_package_is_no_traceback(tmp_path: Path) -> None:
    package = tmp_path / "half.deb"
    package.write_bytes(b"!<arch>\n")
    with pytest.raises(ArmUnavailableError, match="dpkg-deb failed"):
        unpack([package], tmp_path / "root")
