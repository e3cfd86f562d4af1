"""kill -9 at any instant loses nothing that was acknowledged; see store_crash_driver.py."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sigedge_runtime.store import TemplateStore

KEY = bytes(range(32)).hex()


def kill_and_compare(repository: Path, store: Path, kills: int, key: str, seed: int) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("store_crash_driver.py"), store, str(kills), key, str(seed)],
        env={**os.environ, "PYTHONPATH": str(repository / "runtime")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("key", ["", KEY], ids=["plain", "encrypted"])
def test_a_few_kills_lose_nothing(repository: Path, tmp_path: Path, key: str) -> None:
    found = kill_and_compare(repository, tmp_path / "templates.db", 12, key, 9000)
    assert found["kills"] == 12 and found["acknowledged"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(("key", "kills"), [("", 200), (KEY, 120)], ids=["plain", "encrypted"])
def test_hundreds_of_kills_lose_nothing(repository: Path, tmp_path: Path, key: str, kills: int) -> None:
    found = kill_and_compare(repository, tmp_path / "templates.db", kills, key, 1)
    assert found["kills"] == kills and found["users"] > 0
    assert found["acknowledged"] > kills, "the kills must not all come before the first change"
    assert found["done_unacknowledged"] > 0, "some must come between the commit and its acknowledgement"


def test_the_comparison_notices_a_loss(repository: Path, tmp_path: Path) -> None:
    """The driver's model begins empty, so a store that holds something already is one that differs."""
    path = tmp_path / "templates.db"
    with TemplateStore(path) as store:
        store.add("eve", np.ones((1, 300), np.float32), "tiny:abababababab:tiny-int8-tflite:0123456789ab")
    with pytest.raises(AssertionError, match="the store holds neither"):
        kill_and_compare(repository, path, 1, "", 9001)


def test_a_commit_waits_for_the_disc(tmp_path: Path) -> None:
    """What only a power cut could show: the log is brought to the disc at every commit (synchronous FULL is 2)."""
    with TemplateStore(tmp_path / "templates.db") as store, store._connections.writing() as session:
        assert session.database.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert session.database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert session.database.execute("PRAGMA secure_delete").fetchone()[0] == 1
        assert session.database.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_a_log_without_its_index_is_recovered(tmp_path: Path) -> None:
    """As after a power cut: the file and the log are there, the shared memory is not."""
    path, copy = tmp_path / "templates.db", tmp_path / "copy" / "templates.db"
    copy.parent.mkdir()
    with TemplateStore(path) as store:
        store.add("ada", np.ones((2, 8), np.float32), "model")
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    with TemplateStore(copy) as store:
        assert store.templates("ada", "model").shape == (2, 8) and store.check().findings == ()


@pytest.mark.parametrize("cut", [1, 100, 4000])
def test_a_torn_end_of_the_log_is_left_out_as_a_whole(tmp_path: Path, cut: int) -> None:
    path, copy = tmp_path / "templates.db", tmp_path / "copy" / "templates.db"
    copy.parent.mkdir()
    with TemplateStore(path) as store:
        store.add("ada", np.ones((2, 8), np.float32), "model")
        store.add("ada", np.ones((3, 8), np.float32), "model")
        copy.write_bytes(path.read_bytes())
        log = path.with_name("templates.db-wal").read_bytes()
        copy.with_name("templates.db-wal").write_bytes(log[:-cut])
    with TemplateStore(copy) as store:
        assert store.templates("ada", "model").shape == (2, 8), "the second enrolment as a whole is not there"
        assert store.check().findings == ()
    assert sqlite3.connect(copy).execute("PRAGMA integrity_check").fetchone()[0] == "ok"
