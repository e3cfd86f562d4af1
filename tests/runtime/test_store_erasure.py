"""The right to be forgotten: after a removal no file of the store holds a byte of the templates or the name."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_runtime.errors import ErasurePendingError
from sigedge_runtime.store import TemplateStore, store_facts, templates

MINE = "tiny:abababababab:tiny-int8-tflite:0123456789ab"


def vectors(count: int, seed: int = 0, size: int = 64) -> NDArray[np.float32]:
    return np.random.RandomState(seed).normal(size=(count, size)).astype(np.float32)


def bytes_of(path: Path) -> bytes:
    """Everything that lies in the file, its log and its index of the log."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


def holds(path: Path, rows: NDArray[np.float32]) -> bool:
    """Whether a piece of 16 bytes from either end of any template is left."""
    found = bytes_of(path)
    return any(piece in found for row in rows for piece in (row[:4].tobytes(), row[-4:].tobytes()))


def test_the_search_finds_what_is_there(path: Path) -> None:
    with TemplateStore(path) as store:
        store.add("ada lovelace", vectors(3), MINE)
        assert holds(path, vectors(3)) and b"ada lovelace" in bytes_of(path)
        assert path.with_name("templates.db-wal").stat().st_size > 0


def test_a_removed_user_is_in_no_file_while_the_store_is_open(path: Path) -> None:
    with TemplateStore(path) as store:
        store.add("ada lovelace", vectors(3), MINE)
        store.add("bob", vectors(2, 1), MINE)
        assert store.remove("ada lovelace") == 3
        assert not holds(path, vectors(3)) and b"ada lovelace" not in bytes_of(path)
        assert holds(path, vectors(2, 1)) and not store_facts(path).erasure_pending
    assert not holds(path, vectors(3)) and holds(path, vectors(2, 1))


def test_replaced_templates_are_in_no_file(path: Path) -> None:
    with TemplateStore(path) as store:
        store.add("ada", vectors(3), MINE)
        store.replace("ada", vectors(2, 1), MINE)
        assert not holds(path, vectors(3)) and holds(path, vectors(2, 1))


@pytest.mark.parametrize("size", [16, 300, 1500])
def test_nothing_is_left_of_many_that_came_and_went(path: Path, size: int) -> None:
    """Pages split and merge on the way, and copies of rows must not be left where they were."""
    draw, alive, gone = random.Random(size), [], []
    with TemplateStore(path) as store:
        store._connections._writer.database.execute("PRAGMA synchronous = OFF")  # time, not content
        for step in range(375):
            growing = step // 75 % 2 == 0
            if alive and draw.random() < (0.2 if growing else 0.8):
                gone.append(alive.pop(draw.randrange(len(alive))))
                store.remove(f"user {gone[-1]:03}")
            else:
                alive.append(step)
                store.add(f"user {step:03}", vectors(1 + step % 4, step, size), MINE)
        found = bytes_of(path)
    assert len(gone) > 100 and len(alive) > 30
    assert not [one for one in gone if f"user {one:03}".encode() in found]
    left = [one for one in gone for row in vectors(1 + one % 4, one, size) if row[:4].tobytes() in found]
    assert not left
    assert all(row[:4].tobytes() in found for one in alive for row in vectors(1 + one % 4, one, size))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=12))
@settings(max_examples=15)
def test_the_files_hold_exactly_what_the_store_holds(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    path = tmp_path_factory.mktemp("store") / "templates.db"
    model: dict[str, list[int]] = {}
    with TemplateStore(path) as store:
        for number, (name, count) in enumerate(steps):
            if count:
                store.add(name, vectors(count, number), MINE)
                model.setdefault(name, []).append(number)
            elif model.pop(name, None):
                store.remove(name)
        kept = {number for numbers in model.values() for number in numbers}
        for number, (_, count) in enumerate(steps):
            assert not count or holds(path, vectors(count, number)) == (number in kept)


def test_a_reader_holds_an_erasure_up_and_the_caller_is_told(path: Path) -> None:
    with TemplateStore(path, busy_timeout_ms=50) as store:
        store.add("ada", vectors(3), MINE)
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM templates").fetchone()
        with pytest.raises(ErasurePendingError, match=r"'ada' is removed, but the log of .* `sigedge store purge`"):
            store.remove("ada")
        assert store.users() == () and store_facts(path).erasure_pending
        assert holds(path, vectors(3))
        reader.execute("COMMIT")
        reader.close()
        store.purge()
        assert not holds(path, vectors(3)) and not store_facts(path).erasure_pending


def test_what_a_killed_process_left_is_erased_when_the_store_is_next_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = TemplateStore(path), TemplateStore(path)
    store.add("ada", vectors(3), MINE)
    with monkeypatch.context() as patch:  # killed between commit and erasure; `other` keeps the log alive
        patch.setattr(templates, "empty_log", lambda connections: True)
        store.remove("ada")
    store.close()
    assert holds(path, vectors(3)) and store_facts(path).erasure_pending
    TemplateStore(path).close()
    assert not holds(path, vectors(3)) and not store_facts(path).erasure_pending
    other.close()


def test_purging_makes_the_file_small_again(path: Path) -> None:
    with TemplateStore(path) as store:
        for name in "abcdefgh":
            store.add(name, vectors(20), MINE)
        for name in "abcdefg":
            store.remove(name)
        before = path.stat().st_size
        store.purge()
        assert path.stat().st_size < before / 2
        np.testing.assert_array_equal(store.templates("h", MINE), vectors(20))


def test_a_backup_holds_nothing_of_who_was_removed_before(path: Path, tmp_path: Path) -> None:
    with TemplateStore(path) as store:
        store.add("ada lovelace", vectors(3), MINE)
        store.add("bob", vectors(1, 1), MINE)
        store.remove("ada lovelace")
        copy = store.backup(tmp_path / "copies" / "backup.db")
    assert not holds(copy, vectors(3)) and b"ada lovelace" not in bytes_of(copy)
    assert holds(copy, vectors(1, 1))


def test_encrypted_bytes_are_erased_too(path: Path) -> None:
    with TemplateStore(path, key=b"k" * 32) as store:
        store.add("ada", vectors(3), MINE)
        database = sqlite3.connect(path)
        blobs = [blob for (blob,) in database.execute("SELECT vector FROM templates")]
        database.close()
        assert all(blob in bytes_of(path) for blob in blobs)
        store.remove("ada")
        found = bytes_of(path)
    assert len(blobs) == 3 and not any(blob[:16] in found or blob[-16:] in found for blob in blobs)


def test_what_sqlite_calls_free_is_zero(path: Path) -> None:
    with TemplateStore(path) as store:
        store.add("ada", vectors(40, size=1000), MINE)
        store.remove("ada")
    database = sqlite3.connect(path)
    (free,) = database.execute("PRAGMA freelist_count").fetchone()
    database.close()
    pages = [path.read_bytes()[start : start + 4096] for start in range(0, path.stat().st_size, 4096)]
    # A free page may hold the numbers of other free pages, four bytes each.
    assert free > 30 and sum(not any(page[4 * free :]) for page in pages) >= free
