"""The template store: whole changes only, no wrong comparisons, and a sentence for every trouble."""

from __future__ import annotations

import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from numpy.typing import NDArray

from sigedge_runtime.errors import (
    SigedgeError,
    StoreError,
    StoreLockedError,
    TemplateMismatchError,
    UnknownUserError,
)
from sigedge_runtime.store import SCHEMA_VERSION, TemplateStore, opening

Vectors = NDArray[np.float32]
MINE = "tiny:abababababab:tiny-int8-tflite:0123456789ab"
OTHER = "tiny:abababababab:tiny-float32-onnx:ba9876543210"


def vectors(count: int, seed: int = 0, size: int = 4) -> Vectors:
    return np.random.RandomState(seed).normal(size=(count, size)).astype(np.float32)


@pytest.fixture
def store(path: Path) -> Iterator[TemplateStore]:
    opened = TemplateStore(path, busy_timeout_ms=50)
    yield opened
    opened.close()


def test_templates_come_back_as_they_were(store: TemplateStore) -> None:
    assert store.add("ada", vectors(3), MINE) == 3
    assert store.add("ada", vectors(2, seed=1), MINE) == 5
    found = store.templates("ada", MINE)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.concatenate([vectors(3), vectors(2, seed=1)]))


def test_templates_outlive_the_process(path: Path) -> None:
    first = TemplateStore(path)
    first.add("ada", vectors(3), MINE)
    first.close()
    second = TemplateStore(str(path))
    np.testing.assert_array_equal(second.templates("ada", MINE), vectors(3))
    second.close()
    assert [file.name for file in path.parent.iterdir()] == ["templates.db"]


def test_a_store_without_path_is_in_memory() -> None:
    store = TemplateStore()
    store.add("ada", vectors(1), MINE)
    assert [user.name for user in store.users()] == ["ada"]
    with pytest.raises(UnknownUserError, match="'eve' is not enrolled in the store in memory"):
        store.templates("eve", MINE)
    store.close()


def test_replacing_drops_the_old_of_whatever_identity(store: TemplateStore) -> None:
    store.add("ada", vectors(3), OTHER)
    assert store.replace("ada", vectors(2, seed=1), MINE) == 2
    np.testing.assert_array_equal(store.templates("ada", MINE), vectors(2, seed=1))
    assert store.replace("new", vectors(1), MINE) == 1


def test_removing_leaves_no_trace(store: TemplateStore, path: Path) -> None:
    secret = vectors(3)
    store.add("ada", secret, MINE)
    store.add("bob", vectors(1, seed=1), MINE)
    assert store.remove("ada") == 3
    assert [user.name for user in store.users()] == ["bob"]
    store.close()
    assert secret[0].tobytes() not in path.read_bytes()


def test_users_are_listed(store: TemplateStore) -> None:
    assert store.users() == ()
    store.add("zoë ✓", vectors(1), MINE)
    store.add("ada", vectors(2), OTHER)
    ada, zoe = store.users()
    assert (ada.name, ada.templates, ada.identity) == ("ada", 2, OTHER)
    assert (zoe.name, zoe.templates, zoe.identity) == ("zoë ✓", 1, MINE)
    assert zoe.created.endswith("+00:00")


def test_the_gallery_holds_all_users_in_order(store: TemplateStore) -> None:
    store.add("bob", vectors(2, seed=1), MINE)
    store.add("ada", vectors(1), MINE)
    store.add("bob", vectors(1, seed=2), MINE)
    gallery = store.gallery(MINE)
    assert gallery.users == ("ada", "bob")
    np.testing.assert_array_equal(gallery.sizes, [1, 3])
    expected = np.concatenate([vectors(1), vectors(2, seed=1), vectors(1, seed=2)])
    np.testing.assert_array_equal(gallery.vectors, expected)


def test_unknown_users_are_named(store: TemplateStore) -> None:
    with pytest.raises(UnknownUserError, match=r"'eve' is not enrolled in .*templates\.db; enrol"):
        store.templates("eve", MINE)
    with pytest.raises(UnknownUserError, match="'eve'"):
        store.remove("eve")
    with pytest.raises(UnknownUserError, match="Nobody is enrolled"):
        store.gallery(MINE)


def test_templates_of_another_identity_are_refused(store: TemplateStore) -> None:
    store.add("ada", vectors(2), OTHER)
    store.add("bob", vectors(2), MINE)
    for refused in (
        lambda: store.templates("ada", MINE),
        lambda: store.gallery(MINE),
        lambda: store.add("ada", vectors(1), MINE),
    ):
        with pytest.raises(TemplateMismatchError, match=r"'ada'.*enrol again.*replacing") as raised:
            refused()
        assert OTHER in str(raised.value) and MINE in str(raised.value)
    assert len(store.templates("ada", OTHER)) == 2
    assert len(store.templates("bob", MINE)) == 2


def test_many_mismatched_users_are_not_all_listed(store: TemplateStore) -> None:
    for i in range(9):
        store.add(f"user-{i}", vectors(1), OTHER)
    with pytest.raises(TemplateMismatchError, match=r"'user-0', 'user-1', 'user-2', \.\.\. in"):
        store.gallery(MINE)


@pytest.mark.parametrize(
    ("user", "given"),
    [
        ("", vectors(1)),
        ("  ", vectors(1)),
        ("ada", vectors(0)),
        ("ada", vectors(1)[0]),
        ("ada", np.full((1, 4), np.nan, np.float32)),
        ("ada\ud800", vectors(1)),
    ],
)
def test_what_cannot_be_stored_is_refused(store: TemplateStore, user: str, given: Vectors) -> None:
    with pytest.raises(StoreError):
        store.add(user, given, MINE)
    assert store.users() == ()


def test_a_failure_in_the_middle_writes_nothing(store: TemplateStore, path: Path) -> None:
    store.add("ada", vectors(1), MINE)
    with sqlite3.connect(path) as other:
        other.execute(
            "CREATE TRIGGER stop BEFORE INSERT ON templates WHEN (SELECT count(*) FROM templates) >= 3"
            " BEGIN SELECT RAISE(ABORT, 'the third is too many'); END"
        )
    other.close()
    for change in (store.add, store.replace):
        with pytest.raises(StoreError, match="the third is too many"):
            change("ada", vectors(5), MINE)
        with pytest.raises(StoreError, match="the third is too many"):
            change("new", vectors(5), MINE)
    np.testing.assert_array_equal(store.templates("ada", MINE), vectors(1))
    assert len(store.users()) == 1


def hold(path: Path, kind: str) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(f"BEGIN {kind}")
    return other


@pytest.mark.parametrize("kind", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_locked_store_says_so_and_changes_nothing(store: TemplateStore, path: Path, kind: str) -> None:
    store.add("ada", vectors(1), MINE)
    other = hold(path, kind)
    for change in (
        lambda: store.add("ada", vectors(1), MINE),
        lambda: store.replace("ada", vectors(1), MINE),
        lambda: store.remove("ada"),
    ):
        with pytest.raises(StoreLockedError, match=r"templates\.db is locked by another process; close"):
            change()
    assert len(store.templates("ada", MINE)) == 1, "readers do not wait"
    other.execute("ROLLBACK")
    other.close()
    assert store.add("ada", vectors(1), MINE) == 2


def test_a_locked_store_still_opens_for_reading(store: TemplateStore, path: Path) -> None:
    store.add("ada", vectors(1), MINE)
    other = hold(path, "EXCLUSIVE")
    second = TemplateStore(path, busy_timeout_ms=50)
    assert len(second.templates("ada", MINE)) == 1
    second.close()
    other.close()


def test_a_new_file_locked_by_another_is_reported(path: Path) -> None:
    other = hold(path, "EXCLUSIVE")
    with pytest.raises(StoreLockedError, match=r"templates\.db is locked"):
        TemplateStore(path, busy_timeout_ms=50)
    other.close()


def test_a_store_that_another_process_made_meanwhile_is_used(
    store: TemplateStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add("ada", vectors(1), MINE)
    version = opening.stored_version
    monkeypatch.setattr(opening, "stored_version", lambda database, name: 0)
    monkeypatch.setattr(opening, "upgrade", lambda database, name: version(database, name))
    second = TemplateStore(path)
    assert len(second.templates("ada", MINE)) == 1
    second.close()


def test_a_short_lock_is_waited_for(store: TemplateStore, path: Path) -> None:
    patient = TemplateStore(path, busy_timeout_ms=20_000)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.2, lambda: other.execute("ROLLBACK"))
    start = time.monotonic()
    release.start()
    assert patient.add("ada", vectors(1), MINE) == 1
    assert time.monotonic() - start >= 0.1
    release.join()
    other.close()
    patient.close()


@pytest.mark.parametrize(
    "content",
    [b"I am no database. " * 100, b"SQLite format 3\0" + b"\xff" * 4080, b"x"],
    ids=["text", "broken header", "one byte"],
)
def test_a_file_that_is_no_database_is_refused_untouched(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(
        StoreError, match=r"templates\.db (is not a template store; name|cannot be used .*; restore)"
    ) as raised:
        TemplateStore(path)
    assert not isinstance(raised.value, StoreLockedError)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_untouched(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE photos (id INTEGER)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="a database of another program; name another file"):
        TemplateStore(path)
    assert path.read_bytes() == before


def test_another_schema_version_is_refused(store: TemplateStore, path: Path) -> None:
    store.close()
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    other.close()
    with pytest.raises(StoreError, match=f"schema version {SCHEMA_VERSION + 1}, this sigedge needs {SCHEMA_VERSION}"):
        TemplateStore(path)


def test_damaged_pages_are_reported(store: TemplateStore, path: Path) -> None:
    store.add("ada", vectors(300, size=64), MINE)
    store.close()
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xaa" * (len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="restore it from a backup"):
        TemplateStore(path).templates("ada", MINE)


@pytest.mark.parametrize("blob", [b"", b"123", bytes(12)])
def test_damaged_templates_are_reported(store: TemplateStore, path: Path, blob: bytes) -> None:
    store.add("ada", vectors(2), MINE)
    with sqlite3.connect(path) as other:
        other.execute("UPDATE templates SET vector = ? WHERE id = 1", (blob,))
    other.close()
    with pytest.raises(StoreError, match="is damaged: its templates differ in size"):
        store.templates("ada", MINE)


def test_bad_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere.*cannot be opened .*check that its folder exists"):
        TemplateStore(tmp_path / "nowhere" / "templates.db")
    with pytest.raises(StoreError, match="cannot be opened"):
        TemplateStore(tmp_path)
    with pytest.raises(StoreError, match="cannot be used"):
        TemplateStore("zero\0byte")


def test_templates_are_readable_by_their_owner_alone(store: TemplateStore, path: Path) -> None:
    store.add("ada", vectors(1), MINE)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_a_closed_store_says_so(store: TemplateStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed; open the store again"):
        store.users()


def test_threads_share_a_store(store: TemplateStore) -> None:
    failures: list[SigedgeError] = []

    def work(name: str) -> None:
        try:
            for _ in range(10):
                store.add(name, vectors(2), MINE)
                store.gallery(MINE)
        except SigedgeError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"user-{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [user.templates for user in store.users()] == [20] * 4


class StoreAgainstDict(RuleBasedStateMachine):
    """Any sequence of calls leaves the store as it leaves a dictionary."""

    names = st.sampled_from(["ada", "bob", "'; DROP TABLE users; --", "%"])
    identities = st.sampled_from([MINE, OTHER])

    def __init__(self) -> None:
        super().__init__()
        self.store = TemplateStore()
        self.model: dict[str, tuple[str, list[bytes]]] = {}

    def teardown(self) -> None:
        self.store.close()

    @rule(name=names, identity=identities, count=st.integers(1, 3), seed=st.integers(0, 9))
    def add(self, name: str, identity: str, count: int, seed: int) -> None:
        rows = [row.tobytes() for row in vectors(count, seed)]
        known, old = self.model.get(name, (identity, []))
        if known != identity:
            with pytest.raises(TemplateMismatchError):
                self.store.add(name, vectors(count, seed), identity)
        else:
            self.model[name] = (identity, old + rows)
            assert self.store.add(name, vectors(count, seed), identity) == len(old + rows)

    @rule(name=names, identity=identities, count=st.integers(1, 3), seed=st.integers(0, 9))
    def replace(self, name: str, identity: str, count: int, seed: int) -> None:
        self.model[name] = (identity, [row.tobytes() for row in vectors(count, seed)])
        assert self.store.replace(name, vectors(count, seed), identity) == count

    @rule(name=names)
    def remove(self, name: str) -> None:
        if name in self.model:
            assert self.store.remove(name) == len(self.model.pop(name)[1])
        else:
            with pytest.raises(UnknownUserError):
                self.store.remove(name)

    @invariant()
    def same(self) -> None:
        listed = {user.name: (user.identity, user.templates) for user in self.store.users()}
        assert listed == {name: (identity, len(rows)) for name, (identity, rows) in self.model.items()}
        for name, (identity, rows) in self.model.items():
            assert [row.tobytes() for row in self.store.templates(name, identity)] == rows


TestStoreAgainstDict = StoreAgainstDict.TestCase
TestStoreAgainstDict.settings = settings(max_examples=20, stateful_step_count=20)
