"""Many readers beside one writer, in threads and processes: nothing lost, nothing half there, nothing stale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError, StoreLockedError, UnknownUserError
from sigedge_runtime.store import TemplateStore
from sigedge_runtime.store.connections import Connections
from sigedge_runtime.store.opening import prepare

MINE = "tiny:abababababab:tiny-int8-tflite:0123456789ab"
KEYS = pytest.mark.parametrize("key", ["", bytes(range(32)).hex()], ids=["plain", "encrypted"])
ROUNDS = 20


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.RandomState(seed).normal(size=(count, 8)).astype(np.float32)


@pytest.fixture
def worker(repository: Path, path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start another process on the store; see store_worker.py."""
    started: list[subprocess.Popen] = []

    def start(key: str, what: str, number: int = 0) -> subprocess.Popen:
        arguments = [sys.executable, Path(__file__).with_name("store_worker.py"), path, key, what, str(number)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = {**os.environ, "PYTHONPATH": str(repository / "runtime")}
        started.append(subprocess.Popen(arguments, env=environment, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def result(process: subprocess.Popen) -> dict[str, int]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


@KEYS
def test_no_process_loses_an_enrolment(worker: Callable[..., subprocess.Popen], path: Path, key: str) -> None:
    readers = [worker(key, "read") for _ in range(2)]
    writers = [worker(key, "enrol", number) for number in range(3)]
    assert [result(one)["enrolled"] for one in writers] == [ROUNDS] * 3
    path.with_name("templates.db.stop").touch()
    assert all(result(one)["reads"] > 0 for one in readers)
    with TemplateStore(path, key=bytes.fromhex(key) or "") as store:
        found = {user.name: user.templates for user in store.users()}
        assert found == {"shared": 180, **{f"user {n}-{i}": 3 for n in range(3) for i in range(ROUNDS)}}
        shared = store.templates("shared", MINE)
        assert sorted(shared[::3, 0]) == list(range(60)), "every enrolment of the shared user is there, in one piece"
        assert store.check().findings == ()


def test_all_who_open_a_new_store_at_once_get_it(path: Path) -> None:
    """SQLite refuses some of them at once, whatever its patience."""
    for attempt in range(20):
        file, start, found = path.with_name(f"{attempt}.db"), threading.Barrier(8), list[int | StoreError]()

        def look(file: Path = file, start: threading.Barrier = start, found: list[int | StoreError] = found) -> None:
            start.wait()
            try:
                with TemplateStore(file, busy_timeout_ms=60_000) as store:
                    found.append(len(store.users()))
            except StoreError as error:
                found.append(error)

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [0] * 8


@pytest.fixture
def refusing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int, float], tuple[Connections, list[int]]]]:
    """Connections of so much patience, in seconds, that are refused so often; and a list that grows with each try."""
    opened, made = Connections.writing, list[Connections]()

    def make(refusals: int, patience: float) -> tuple[Connections, list[int]]:
        tried = list[int]()

        def writing(self: Connections) -> Any:
            tried.append(1)
            if len(tried) <= refusals:
                raise StoreLockedError("locked")
            return opened(self)

        made.append(Connections(path, round(patience * 1000)))
        monkeypatch.setattr(Connections, "writing", writing)
        return made[0], tried

    yield make
    made[0].close()


def test_a_store_that_others_are_opening_is_tried_again(refusing: Callable[..., tuple[Connections, list[int]]]) -> None:
    connections, tried = refusing(3, 60.0)
    prepare(connections, None)
    assert len(tried) == 4


def test_whoever_holds_the_lock_for_longer_is_told(refusing: Callable[..., tuple[Connections, list[int]]]) -> None:
    connections, tried = refusing(10**9, 0.03)
    with pytest.raises(StoreLockedError, match="locked"):
        prepare(connections, None)
    assert len(tried) > 1


def test_opening_a_store_twice_loses_no_enrolment(worker: Callable[..., subprocess.Popen], path: Path) -> None:
    """A handle of the file that is closed drops SQLite's locks; another process then deletes the log in use."""
    holder = worker("", "hold")
    assert holder.stdout.readline() == "open\n"
    with TemplateStore(path) as store:
        store.add("ada", np.ones((1, 16), np.float32), MINE)
    holder.stdin.write("enrol\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "enrolled\n"
    with TemplateStore(path) as store:
        assert [user.name for user in store.users()] == ["ada", "late"]
    assert result(holder) == {"templates": 3}


@KEYS
def test_threads_read_while_one_writes(path: Path, key: str) -> None:
    with TemplateStore(path, key=bytes.fromhex(key) or "") as store:
        store.add("user 0", vectors(2), MINE)
        done = threading.Event()

        def read() -> int:
            seen = reads = 0
            while not done.is_set() or not reads:
                gallery = store.gallery(MINE)
                assert len(gallery.users) >= seen and (gallery.sizes == 2).all()
                seen = len(gallery.users)
                np.testing.assert_array_equal(store.templates(gallery.users[-1], MINE), gallery.vectors[-2:])
                reads += 1
            return reads

        with ThreadPoolExecutor(4) as pool:
            readers = [pool.submit(read) for _ in range(4)]
            for i in range(1, 30):
                store.add(f"user {i}", vectors(2, i), MINE)
            done.set()
            assert all(reader.result() > 0 for reader in readers)
        assert len(store._connections._idle) <= 4, "connections are used again"
        assert len(store.users()) == 30


def test_threads_write_in_turn(path: Path) -> None:
    with TemplateStore(path) as store, ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda i: store.add("ada", vectors(1, i), MINE), range(24)))
        assert sorted(counts) == list(range(1, 25))
        assert len({row.tobytes() for row in store.templates("ada", MINE)}) == 24


def test_a_writer_in_a_thread_does_not_hold_readers_up(path: Path) -> None:
    with TemplateStore(path) as store:
        store.add("ada", vectors(1), MINE)
        with store._change() as change:  # a change that takes its time
            change.delete("ada")
            with ThreadPoolExecutor(1) as pool:
                assert len(pool.submit(store.templates, "ada", MINE).result(timeout=60)) == 1
                assert len(pool.submit(store.users).result(timeout=60)) == 1
        assert store.users() == ()


def test_what_was_remembered_is_never_stale(path: Path) -> None:
    first, second = TemplateStore(path), TemplateStore(path)
    first.add("ada", vectors(1), MINE)
    for i in range(1, 6):
        known = second.templates("ada", MINE)
        assert second.templates("ada", MINE) is known, "it is remembered while nothing changes"
        first.add("ada", vectors(1, i), MINE)
        assert len(second.templates("ada", MINE)) == len(first.templates("ada", MINE)) == i + 1
    second.replace("ada", vectors(1, 9), MINE)
    np.testing.assert_array_equal(first.templates("ada", MINE), vectors(1, 9))
    first.remove("ada")
    for store in (first, second):
        with pytest.raises(UnknownUserError):
            store.templates("ada", MINE)
        store.close()


def test_a_store_in_memory_remembers_nothing_stale() -> None:
    with TemplateStore() as store:
        for i in range(1, 5):
            store.add("ada", vectors(1, i), MINE)
            assert len(store.templates("ada", MINE)) == i
            assert store.templates("ada", MINE) is store.templates("ada", MINE)


def test_only_so_much_is_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sigedge_runtime.store.connections.CACHED_USERS", 3)
    with TemplateStore(path) as store:
        for i in range(5):
            store.add(f"user {i}", vectors(1, i), MINE)
        read = [store.templates(f"user {i}", MINE) for i in range(5)]
        assert store.templates("user 4", MINE) is read[4]
        assert store.templates("user 0", MINE) is not read[0]
        assert len(store._connections._idle[0]._cache) == 3


def test_what_is_remembered_cannot_be_changed(path: Path) -> None:
    with TemplateStore(path) as store:
        store.add("ada", vectors(2), MINE)
        with pytest.raises(ValueError, match="read-only"):
            store.templates("ada", MINE)[0, 0] = 1


def test_a_fork_must_open_the_store_again(path: Path) -> None:
    with TemplateStore(path) as store:
        store.add("ada", vectors(1), MINE)
        store._connections._process += 1  # as it looks in the child
        for call in (lambda: store.users(), lambda: store.add("eve", vectors(1), MINE)):
            with pytest.raises(StoreError, match="before this process was forked; open the store in each process"):
                call()
        store._connections._process -= 1
        assert len(store.users()) == 1


def test_closing_while_others_read(path: Path) -> None:
    store = TemplateStore(path)
    store.add("ada", vectors(1), MINE)
    with store._connections.reading() as session:
        store.close()
        assert session.database.execute("SELECT count(*) FROM users").fetchone()[0] == 1
    with pytest.raises(StoreError, match="is closed"):
        store.templates("ada", MINE)
    assert [file.name for file in path.parent.iterdir()] == ["templates.db"], "the last connection tidied up"


class TwoStoresAgainstDict(RuleBasedStateMachine):
    """Two connections to one file, as of two processes: each sees at once what the other did."""

    names = st.sampled_from(["ada", "bob", "zoë"])
    which = st.integers(0, 1)
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        for file in self.folder.iterdir():
            file.unlink()
        self.stores = [TemplateStore(self.folder / "templates.db", key=b"k" * 32) for _ in range(2)]
        self.model: dict[str, list[bytes]] = {}

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

    @rule(which=which, name=names, count=st.integers(1, 2), seed=st.integers(0, 9))
    def add(self, which: int, name: str, count: int, seed: int) -> None:
        rows = [row.tobytes() for row in vectors(count, seed)]
        self.model[name] = self.model.get(name, []) + rows
        assert self.stores[which].add(name, vectors(count, seed), MINE) == len(self.model[name])

    @rule(which=which, name=names, seed=st.integers(0, 9))
    def replace(self, which: int, name: str, seed: int) -> None:
        self.model[name] = [vectors(1, seed)[0].tobytes()]
        assert self.stores[which].replace(name, vectors(1, seed), MINE) == 1

    @rule(which=which, name=names)
    def remove(self, which: int, name: str) -> None:
        if name in self.model:
            assert self.stores[which].remove(name) == len(self.model.pop(name))

    @invariant()
    def both_see_it(self) -> None:
        for store in self.stores:
            assert {user.name: user.templates for user in store.users()} == {n: len(r) for n, r in self.model.items()}
            for name, rows in self.model.items():
                assert [row.tobytes() for row in store.templates(name, MINE)] == rows


@pytest.fixture(autouse=True)
def folder_of_two_stores(tmp_path: Path) -> None:
    TwoStoresAgainstDict.folder = tmp_path


TestTwoStoresAgainstDict = TwoStoresAgainstDict.TestCase
TestTwoStoresAgainstDict.settings = settings(max_examples=8, stateful_step_count=12)
