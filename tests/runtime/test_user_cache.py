"""What is kept between processes: never needed, never half-written, never an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sigedge_runtime import _user_cache


def test_a_value_is_kept_under_its_key(user_cache: Path) -> None:
    assert _user_cache.load("part", {"a": 1}) is None
    assert _user_cache.keep("part", {"a": 1}, {"value": [1, 2]})
    assert _user_cache.load("part", {"a": 1}) == {"value": [1, 2]}
    assert _user_cache.load("part", {"a": 2}) is None and _user_cache.load("other", {"a": 1}) is None
    assert (user_cache / "part").stat().st_mode & 0o077 == 0, "for its owner alone"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1,"])
def test_a_damaged_file_counts_as_missing(user_cache: Path, content: bytes) -> None:
    _user_cache.keep("part", 1, "value")
    (file,) = (user_cache / "part").iterdir()
    file.write_bytes(content)
    assert _user_cache.load("part", 1) is None


def test_the_folder_is_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert _user_cache.cache_folder("x") == Path(os.environ["SIGEDGE_CACHE"]) / "x"
    monkeypatch.delenv("SIGEDGE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert _user_cache.cache_folder("x") == tmp_path / ".cache" / "sigedge" / "x"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert _user_cache.cache_folder("x") == tmp_path / ".cache" / "sigedge" / "x"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    assert _user_cache.cache_folder("x") == tmp_path / "mine" / "sigedge" / "x"


def test_no_home_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SIGEDGE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", staticmethod(homeless))
    assert _user_cache.cache_folder("x") is None and _user_cache.load("x", 1) is None
    assert not _user_cache.keep("x", 1, 1) and not _user_cache.is_writable("x")


def test_a_folder_that_cannot_be_made_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SIGEDGE_CACHE", str(tmp_path / "file"))
    assert not _user_cache.keep("x", 1, 1) and not _user_cache.is_writable("x") and _user_cache.load("x", 1) is None


def test_a_writable_folder_is_made(user_cache: Path) -> None:
    assert _user_cache.is_writable("x") and (user_cache / "x").is_dir()
