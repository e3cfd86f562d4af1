"""Checks that find damage, backups of a store in use, and what can be told without a key."""

from __future__ import annotations

import random
import re
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError, StoreKeyError
from sigedge_runtime.store import TemplateStore, connections, store_facts

MINE = "tiny:abababababab:tiny-int8-tflite:0123456789ab"
OTHER = "tiny:abababababab:tiny-float32-onnx:ba9876543210"
KEYS = pytest.mark.parametrize("key", ["", b"k" * 32], ids=["plain", "encrypted"])


def vectors(count: int, seed: int = 0, size: int = 8) -> NDArray[np.float32]:
    return np.random.RandomState(seed).normal(size=(count, size)).astype(np.float32)


@pytest.fixture
def store(path: Path) -> Iterator[TemplateStore]:
    with TemplateStore(path, busy_timeout_ms=50) as opened:
        opened.add("ada", vectors(3), MINE)
        opened.add("bob", vectors(2, 1), MINE)
        yield opened


def alter(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()


@KEYS
def test_a_sound_store(path: Path, key: str | bytes) -> None:
    with TemplateStore(path, key=key) as store:
        assert store.check().findings == ()
        store.add("ada", vectors(3), MINE)
        store.add("bob", vectors(2, size=5), OTHER)
        found = store.check()
    assert (found.users, found.templates, found.findings) == (2, 5, ())


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM templates WHERE user = 1", r"User 'ada' has no templates"),
        ("UPDATE templates SET user = 9 WHERE user = 1", r"Row \d of templates belongs to no user"),
        (
            "UPDATE templates SET vector = CAST(x'0000c07f' || substr(vector, 5) AS BLOB) WHERE id = 1",
            "'ada' has .* not finite",
        ),
        ("UPDATE templates SET vector = zeroblob(5) WHERE id = 1", "User 1: .* differ in size"),
        ("UPDATE templates SET vector = zeroblob(20) WHERE user = 2", "'bob' has templates of 5 values, others of 8"),
    ],
)
def test_what_is_wrong_is_found(store: TemplateStore, path: Path, statement: str, finding: str) -> None:
    alter(path, statement)
    findings = store.check().findings
    assert any(re.search(finding, one) for one in findings), findings


def test_damaged_pages_are_found(path: Path) -> None:
    with TemplateStore(path) as store:
        for i in range(40):
            store.add(f"user {i}", vectors(5, i, 64), MINE)
    data = bytearray(path.read_bytes())
    data[6 * 4096 : 7 * 4096] = b"\xaa" * 4096
    path.write_bytes(data)
    with TemplateStore(path) as store:
        findings = store.check().findings
    assert any(finding.startswith("SQLite: ") for finding in findings)


def test_findings_are_not_endless(store: TemplateStore, path: Path) -> None:
    for i in range(150):
        store._connections._writer.database.execute("PRAGMA synchronous = OFF")
        store.add(f"user {i}", vectors(1, i), MINE)
    alter(path, "DELETE FROM templates")
    assert len(store.check().findings) == 100


@KEYS
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE templates SET vector = CAST('text' AS TEXT)",
        "UPDATE templates SET vector = 7",
        "UPDATE users SET handle = CAST(handle AS BLOB) WHERE id = 1",
        "UPDATE users SET sealed_name = 'text'",
        "UPDATE users SET identity = CAST(identity AS BLOB)",
    ],
)
def test_a_column_of_another_type_is_damage(path: Path, key: str | bytes, statement: str) -> None:
    with TemplateStore(path, key=key) as store:
        store.add("ada", vectors(3), MINE)
        store.add("bob", vectors(3), MINE)
        alter(path, statement)
        with pytest.raises(StoreError, match=r"is damaged|were made by"):
            store.users()
            store.gallery(MINE)
        assert store.check().findings


@KEYS
def test_whatever_bits_flip_it_is_a_sentence(path: Path, key: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_SETTINGS", connections._SETTINGS.replace("FULL", "OFF"))
    with TemplateStore(path, key=key) as store:
        for i in range(6):
            store.add(f"user {i}", vectors(3, i), MINE)
    whole, refused = path.read_bytes(), 0
    for seed in range(40):
        draw, altered = random.Random(seed), bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            altered[draw.choice([i for i, byte in enumerate(whole) if byte])] ^= 1 << draw.randrange(8)
        path.write_bytes(altered)
        try:
            with TemplateStore(path, key=key) as store:
                for call in (
                    store.users,
                    store.check,
                    lambda s=store: s.gallery(MINE),
                    lambda s=store: s.remove("user 3"),
                ):
                    call()
        except StoreError:
            refused += 1
        for log in path.parent.glob(f"{path.name}-*"):
            log.unlink()
    assert refused > 2


@KEYS
def test_a_backup_is_a_store(path: Path, tmp_path: Path, key: str | bytes) -> None:
    target = tmp_path / "backups" / "monday.db"
    with TemplateStore(path, key=key) as store:
        store.add("ada", vectors(3), MINE)
        assert store.backup(target) == target
        store.add("eve", vectors(1), MINE)
        revision = store.revision()
    assert [file.name for file in target.parent.iterdir()] == ["monday.db"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with TemplateStore(target, key=key) as copy:
        np.testing.assert_array_equal(copy.templates("ada", MINE), vectors(3))
        assert len(copy.users()) == 1 and copy.encrypted == bool(key) and copy.revision() != revision
        copy.add("zoe", vectors(1), MINE)
        assert copy.check().findings == ()


def test_an_encrypted_backup_needs_the_key(path: Path, tmp_path: Path) -> None:
    with TemplateStore(path, key=b"k" * 32) as store:
        store.add("ada lovelace", vectors(3), MINE)
        target = store.backup(tmp_path / "backup.db")
    assert b"ada lovelace" not in target.read_bytes()
    with pytest.raises(StoreKeyError, match="is encrypted"):
        TemplateStore(target, key="")


def test_a_backup_overwrites_nothing_unasked(store: TemplateStore, path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    target.write_bytes(b"something of value")
    with pytest.raises(StoreError, match=r"backup\.db exists; name another file, or .*--overwrite"):
        store.backup(target)
    assert target.read_bytes() == b"something of value"
    store.backup(target, overwrite=True)
    with TemplateStore(target) as copy:
        assert len(copy.users()) == 2


def test_a_backup_spares_stores_in_use(store: TemplateStore, path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is the store itself"):
        store.backup(path, overwrite=True)
    (tmp_path / "link.db").symlink_to(path)
    with pytest.raises(StoreError, match="is the store itself"):
        store.backup(tmp_path / "link.db", overwrite=True)
    with TemplateStore(tmp_path / "other.db") as other:
        other.add("eve", vectors(1), MINE)
        with pytest.raises(StoreError, match="is in use by a process"):
            store.backup(tmp_path / "other.db", overwrite=True)
        assert len(other.users()) == 1
    assert len(store.users()) == 2


def test_a_backup_that_cannot_be_written(store: TemplateStore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened"):
        store.backup(tmp_path / "file" / "backup.db")


def test_backups_while_others_write(path: Path, tmp_path: Path) -> None:
    """Each copy is whole, and as of one moment: enrolments are of three templates."""
    with TemplateStore(path) as store:
        stop = threading.Event()

        def write() -> None:
            i = 0
            while not stop.is_set():
                store.add(f"user {i}", vectors(3, i), MINE)
                i += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            copies = [store.backup(tmp_path / f"{i}.db") for i in range(10)]
        finally:
            stop.set()
            writer.join()
    counts = []
    for copy in copies:
        with TemplateStore(copy) as opened:
            assert opened.check().findings == ()
            users = opened.users()
            assert all(user.templates == 3 for user in users)
            counts.append(len(users))
    assert counts == sorted(counts)


def test_facts_need_no_key(path: Path) -> None:
    with TemplateStore(path, key=b"k" * 32) as store:
        store.add("ada", vectors(3), MINE)
        store.add("bob", vectors(2), OTHER)
        facts = store_facts(path)
        assert facts.revision == store.revision()
    assert facts.encrypted and (facts.users, facts.templates) == (2, 5)
    assert facts.identities == {MINE: 1, OTHER: 1} and not facts.erasure_pending
    assert facts.size > path.stat().st_size, "with the log"


def test_facts_make_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no template store; check the path"):
        store_facts(tmp_path / "nowhere.db")
    assert list(tmp_path.iterdir()) == []
