"""What an index over all users is built from: whole galleries, galleries in parts, and the revision."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError, TemplateMismatchError, UnknownUserError
from sigedge_runtime.store import Gallery, TemplateStore

MINE = "tiny:abababababab:tiny-int8-tflite:0123456789ab"
OTHER = "tiny:abababababab:tiny-float32-onnx:ba9876543210"
KEYS = pytest.mark.parametrize("key", ["", b"k" * 32], ids=["plain", "encrypted"])


def vectors(count: int, seed: int = 0, size: int = 4) -> NDArray[np.float32]:
    return np.random.RandomState(seed).normal(size=(count, size)).astype(np.float32)


@pytest.fixture
def store(path: Path) -> Iterator[TemplateStore]:
    with TemplateStore(path, busy_timeout_ms=50) as opened:
        yield opened


def as_dict(*galleries: Gallery) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for gallery in galleries:
        parts = np.split(gallery.vectors, np.cumsum(gallery.sizes)[:-1])
        for user, part in zip(gallery.users, parts, strict=True):
            assert user not in found
            found[user] = [row.tobytes() for row in part]
    return found


@KEYS
@given(
    enrolments=st.lists(st.tuples(st.text("abäZ🖊", min_size=1, max_size=2), st.integers(1, 3)), min_size=1, max_size=9),
    limit=st.integers(1, 4),
)
def test_the_gallery_and_its_parts_hold_every_user_once(
    key: str | bytes, enrolments: list[tuple[str, int]], limit: int
) -> None:
    model: dict[str, list[bytes]] = {}
    with TemplateStore() as store:
        if key:
            store.encrypt(key)
        for seed, (name, count) in enumerate(enrolments):
            store.add(name, vectors(count, seed), MINE)
            model.setdefault(name, []).extend(row.tobytes() for row in vectors(count, seed))
        whole, parts = store.gallery(MINE), list(store.galleries(MINE, limit))
    assert list(whole.users) == sorted(model) and as_dict(whole) == model
    assert as_dict(*parts) == model and [user for part in parts for user in part.users] == list(model)
    assert all(len(part.users) == limit for part in parts[:-1]) and 1 <= len(parts[-1].users) <= limit
    assert whole.vectors.dtype == np.float32 and whole.sizes.dtype == np.intp


def test_parts_of_an_empty_store(store: TemplateStore) -> None:
    assert list(store.galleries(MINE)) == []
    with pytest.raises(UnknownUserError, match="Nobody is enrolled"):
        store.gallery(MINE)


def test_parts_refuse_templates_of_another_identity(store: TemplateStore) -> None:
    store.add("ada", vectors(1), MINE)
    store.add("bob", vectors(1), OTHER)
    parts = store.galleries(MINE, 1)
    assert next(parts).users == ("ada",)
    with pytest.raises(TemplateMismatchError, match="'bob'"):
        next(parts)


def test_the_store_can_be_changed_between_two_parts(store: TemplateStore) -> None:
    for name in "abcd":
        store.add(name, vectors(1), MINE)
    before = store.revision()
    parts = store.galleries(MINE, 2)
    assert next(parts).users == ("a", "b")
    store.remove("c")
    store.add("e", vectors(1), MINE)
    assert next(parts).users == ("d", "e")
    assert store.revision() != before, "which tells that the parts do not belong together"


def test_a_large_gallery(store: TemplateStore) -> None:
    store._connections._writer.database.execute("PRAGMA synchronous = OFF")
    names = [f"user {i * 7919 % 3000:04}" for i in range(3000)]
    with store._change() as change:
        from sigedge_runtime.store.view import checked

        for i, name in enumerate(names):
            change.insert(checked(name, np.full((2, 4), i, np.float32), MINE))
    gallery = store.gallery(MINE)
    assert gallery.users == tuple(sorted(names)) and gallery.vectors.shape == (6000, 4)
    assert [names[int(row[0])] for row in gallery.vectors[::2]] == list(gallery.users)
    assert sum(len(part.users) for part in store.galleries(MINE)) == 3000


CHANGES: dict[str, Callable[[TemplateStore], object]] = {
    "add": lambda store: store.add("ada", vectors(1, 1), MINE),
    "new": lambda store: store.add("eve", vectors(1, 1), MINE),
    "replace": lambda store: store.replace("ada", vectors(1), MINE),
    "remove": lambda store: store.remove("ada"),
    "encrypt": lambda store: store.encrypt(b"k" * 32),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_makes_a_new_revision(store: TemplateStore, path: Path, change: str) -> None:
    store.add("ada", vectors(1), MINE)
    store.add("bob", vectors(1), MINE)
    with TemplateStore(path) as other:
        before = other.revision()
        assert before == other.revision() == store.revision() and len(before) == 32
        CHANGES[change](store)
        assert before != store.revision() == other.revision()


def test_reading_and_failing_change_no_revision(store: TemplateStore, path: Path, tmp_path: Path) -> None:
    store.add("ada", vectors(1), MINE)
    before = store.revision()
    store.users(), store.gallery(MINE), store.check(), list(store.stored())
    store.backup(tmp_path / "backup.db")
    store.purge()
    for fails in (
        lambda: store.remove("eve"),
        lambda: store.add("ada", vectors(1), OTHER),
        lambda: store.add("ada", vectors(1, size=5), MINE),
    ):
        with pytest.raises(StoreError):
            fails()
    TemplateStore(path).close()
    assert store.revision() == before


def test_a_revision_never_comes_back(store: TemplateStore) -> None:
    """Not even after the same content came back: an index must not take a restored store for the one it knows."""
    seen = {store.revision()}
    for _ in range(10):
        store.add("ada", vectors(1), MINE)
        seen.add(store.revision())
        store.remove("ada")
        seen.add(store.revision())
    assert len(seen) == 21


def test_templates_of_one_identity_have_one_size(store: TemplateStore) -> None:
    store.add("ada", vectors(2), MINE)
    for name in ("ada", "bob"):
        with pytest.raises(StoreError, match=rf"'{name}' have 5 values, but those .* made have 4; name the right"):
            store.add(name, vectors(1, size=5), MINE)
    store.add("bob", vectors(1, size=5), OTHER)
    assert store.replace("ada", vectors(1, size=7), MINE) == 1, "nobody else has templates of that identity"


def test_reading_many_needs_no_sorting_on_disc(store: TemplateStore, path: Path) -> None:
    """What is sorted by SQLite could land in a temporary file; parts come in the order of an index."""
    database = sqlite3.connect(path)
    query = "SELECT user, vector FROM templates WHERE user BETWEEN 1 AND 9 ORDER BY user, id"
    plan = " ".join(row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {query}"))
    database.close()
    assert "templates_of_user" in plan and "TEMP B-TREE" not in plan
