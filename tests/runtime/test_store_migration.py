"""Stores of an older schema become new ones, wholly or not at all; the fixture was made by sigedge with schema 1."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError, StoreKeyError, StoreLockedError
from sigedge_runtime.store import SCHEMA_VERSION, TemplateStore, schema, store_facts

INT8 = "tiny:abababababab:tiny-int8-tflite:0123456789ab"
FLOAT32 = "tiny:abababababab:tiny-float32-onnx:ba9876543210"


def vectors(count: int, seed: int) -> NDArray[np.float32]:
    return np.random.RandomState(seed).normal(size=(count, 8)).astype(np.float32)


@pytest.fixture
def old(repository: Path, tmp_path: Path) -> Path:
    """A store of version 1: ada with 3 + 1 templates, zoë ✓ with 2, and bob with 1 of another identity."""
    path = tmp_path / "templates.db"
    shutil.copy(repository / "tests" / "runtime" / "stores" / "version-1.db", path)
    return path


def version(path: Path) -> int:
    database = sqlite3.connect(path)
    found = database.execute("PRAGMA user_version").fetchone()[0]
    database.close()
    return int(found)


def tables(path: Path | str) -> list[tuple[str, ...]]:
    """Names, types and constraints of every column of every table."""
    database = sqlite3.connect(path)
    names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    found = [(name, *map(str, row[1:])) for name in names for row in database.execute(f"PRAGMA table_info({name})")]
    database.close()
    return found


def test_the_fixture_is_of_version_1(old: Path) -> None:
    assert version(old) == 1


def test_nothing_is_lost_and_nothing_is_changed(old: Path) -> None:
    with TemplateStore(old) as store:
        assert [(user.name, user.templates, user.identity) for user in store.users()] == [
            ("ada", 4, INT8),
            ("bob", 1, FLOAT32),
            ("zoë ✓", 2, INT8),
        ]
        np.testing.assert_array_equal(store.templates("ada", INT8), np.concatenate([vectors(3, 1), vectors(1, 4)]))
        np.testing.assert_array_equal(store.templates("zoë ✓", INT8), vectors(2, 2))
        np.testing.assert_array_equal(store.templates("bob", FLOAT32), vectors(1, 3))
        assert all(user.created.startswith("20") for user in store.users())
        assert store.check().findings == () and not store.encrypted
    assert version(old) == SCHEMA_VERSION


def test_an_upgraded_store_can_do_what_a_new_one_can(old: Path, tmp_path: Path) -> None:
    TemplateStore(tmp_path / "new.db").close()
    with TemplateStore(old) as store:
        assert store.add("ada", vectors(1, 5), INT8) == 5
        assert store.remove("bob") == 1
        assert len(store.gallery(INT8).users) == 2
        store.encrypt(b"k" * 32)
        np.testing.assert_array_equal(store.templates("zoë ✓", INT8), vectors(2, 2))
    assert tables(old) == tables(tmp_path / "new.db")


def test_facts_upgrade_too(old: Path) -> None:
    facts = store_facts(old)
    assert (facts.schema_version, facts.users, facts.templates) == (SCHEMA_VERSION, 3, 7)
    assert facts.identities == {INT8: 2, FLOAT32: 1} and len(facts.store_id) == 32


def test_every_upgraded_store_has_an_id_of_its_own(old: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    shutil.copy(old, other)
    assert store_facts(old).store_id != store_facts(other).store_id


def test_a_failure_on_the_way_leaves_the_old_store(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (*schema._STEPS[:-1], schema._STEPS[-1] + "; INSERT INTO nowhere VALUES (1)")
    monkeypatch.setattr(schema, "_STEPS", steps)
    with pytest.raises(StoreError, match="no such table: nowhere"):
        TemplateStore(old)
    monkeypatch.undo()
    assert version(old) == 1
    with TemplateStore(old) as store:
        assert len(store.users()) == 3


def test_a_locked_store_is_not_upgraded(old: Path) -> None:
    other = sqlite3.connect(old, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreLockedError, match="is locked by another process"):
        TemplateStore(old, busy_timeout_ms=50)
    other.execute("ROLLBACK")
    other.close()
    assert version(old) == 1


def test_a_process_of_the_older_sigedge_cannot_write_past_the_new_one(old: Path) -> None:
    process = sqlite3.connect(old, isolation_level=None)
    insert = "INSERT OR IGNORE INTO users (name, identity, created) VALUES ('eve', 'x', 'y')"
    process.execute("BEGIN")
    process.execute(insert)
    process.execute("ROLLBACK")
    TemplateStore(old).close()
    with pytest.raises(sqlite3.OperationalError, match="no column named name"):
        process.execute(insert)
    process.close()


def test_a_key_does_not_encrypt_an_old_store_unasked(old: Path) -> None:
    with pytest.raises(StoreKeyError, match=r"is not encrypted, but there is a key .* `sigedge store encrypt`"):
        TemplateStore(old, key=b"k" * 32)


def test_no_copy_of_the_old_store_stays(old: Path) -> None:
    TemplateStore(old).close()
    assert [file.name for file in old.parent.iterdir()] == ["templates.db"]
