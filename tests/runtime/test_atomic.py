"""A file is written whole or not at all, whatever goes wrong and whoever else writes it."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sigedge_runtime.atomic import atomic_path, write_atomically


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file with old content, alone in its folder."""
    path = tmp_path / "kept" / "file.txt"
    path.parent.mkdir()
    path.write_bytes(b"old")
    return path


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the files that were brought to the disc."""
    sizes: list[int] = []
    monkeypatch.setattr("os.fsync", lambda handle: sizes.append(os.fstat(handle).st_size))
    return sizes


def unchanged(target: Path) -> bool:
    return [(path.name, path.read_bytes()) for path in target.parent.iterdir()] == [(target.name, b"old")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=4096), st.booleans())
def test_what_is_written_is_all_that_is_there(target: Path, content: bytes, durable: bool) -> None:
    assert write_atomically(target, content, durable=durable) == target
    assert [(path.name, path.read_bytes()) for path in target.parent.iterdir()] == [(target.name, content)]


def test_the_folder_is_made(tmp_path: Path) -> None:
    assert write_atomically(tmp_path / "a" / "b" / "file.txt", b"new").read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("no JSON"), KeyboardInterrupt()])
@pytest.mark.parametrize("durable", [True, False])
def test_an_error_leaves_the_old_content_alone(target: Path, error: BaseException, durable: bool) -> None:
    with pytest.raises(type(error)), atomic_path(target, durable=durable) as partial:
        partial.write_bytes(b"half")
        raise error
    assert unchanged(target)


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_so_does_an_error_after_the_writing(target: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="Input/output error"):
        write_atomically(target, b"new")
    assert unchanged(target)


def test_the_error_of_the_writing_is_the_one_told(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(ValueError, match="no JSON"), atomic_path(target):
        raise ValueError("no JSON")


def test_the_old_content_stands_under_the_name_until_the_end(target: Path) -> None:
    with atomic_path(target) as partial:
        partial.write_bytes(b"new")
        assert target.read_bytes() == b"old"
        assert partial.parent == target.parent and partial.name.startswith(".")
    assert target.read_bytes() == b"new"


def test_two_threads_write_one_file_without_sharing_another(target: Path) -> None:
    both_open = threading.Barrier(2, timeout=30)
    partials: list[Path] = []

    def write(content: bytes) -> None:
        with atomic_path(target) as partial:
            partial.write_bytes(content)
            both_open.wait()
            partials.append(partial)
            assert partial.read_bytes() == content

    contents = [bytes([letter]) * 100_000 for letter in b"ab"]
    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(partials)) == 2
    assert target.read_bytes() in contents
    assert list(target.parent.iterdir()) == [target]


def test_durable_content_is_on_the_disc_before_it_has_its_name(
    target: Path, synced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, synced_before = os.replace, []

    def replace(source: Path, destination: Path) -> None:
        synced_before.extend(synced)
        rename(source, destination)

    monkeypatch.setattr("os.replace", replace)
    write_atomically(target, b"four")
    assert synced_before == [4]


def test_what_can_be_made_again_does_not_wait_for_the_disc(target: Path, synced: list[int]) -> None:
    write_atomically(target, b"new", durable=False)
    assert synced == [] and target.read_bytes() == b"new"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_is_that_of_any_new_file(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        written = write_atomically(tmp_path / "file.txt", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(written.stat().st_mode) == mode
