"""Encrypted stores: nothing legible in the files, nothing that can be moved about, and no way in without the key."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError, StoreKeyError, TemplateMismatchError, UnknownUserError
from sigedge_runtime.store import TemplateStore, store_facts
from sigedge_runtime.store.codec import Plain, Sealed

MINE = "tiny:abababababab:tiny-int8-tflite:0123456789ab"
OTHER = "tiny:abababababab:tiny-float32-onnx:ba9876543210"
KEY, ANOTHER_KEY = bytes(range(32)), bytes(range(1, 33))
NAME = "ada lovelace"


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.RandomState(seed).normal(size=(count, 8)).astype(np.float32)


def bytes_of(path: Path) -> bytes:
    """Everything that lies in the file, its log and its index of the log."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "templates.db"


@pytest.fixture
def make(path: Path) -> Callable[..., TemplateStore]:
    """Open the store anew, with `KEY`; every one is closed in the end."""
    path.parent.mkdir()
    opened: list[TemplateStore] = []

    def open_store(key: str | bytes | None = KEY) -> TemplateStore:
        opened.append(TemplateStore(path, key=key, busy_timeout_ms=50))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def test_an_encrypted_store_does_what_another_does(make: Callable[..., TemplateStore]) -> None:
    store = make()
    assert store.encrypted
    assert store.add(NAME, vectors(2), MINE) == 2 and store.add(NAME, vectors(1, 1), MINE) == 3
    store.add("bob", vectors(1, 2), MINE)
    expected = np.concatenate([vectors(2), vectors(1, 1)])
    np.testing.assert_array_equal(store.templates(NAME, MINE), expected)
    np.testing.assert_array_equal(make().templates(NAME, MINE), expected)
    assert [user.name for user in store.users()] == [NAME, "bob"]
    np.testing.assert_array_equal(store.gallery(MINE).vectors, np.concatenate([expected, vectors(1, 2)]))
    with pytest.raises(TemplateMismatchError, match=NAME):
        store.templates(NAME, OTHER)
    assert store.replace(NAME, vectors(1, 3), OTHER) == 1
    assert store.remove(NAME) == 1
    with pytest.raises(UnknownUserError, match=NAME):
        store.templates(NAME, MINE)
    assert store.check().findings == ()


def test_neither_names_nor_templates_can_be_read_from_the_files(make: Callable[..., TemplateStore], path: Path) -> None:
    store = make()
    store.add(NAME, vectors(3), MINE)
    found = bytes_of(path)
    assert MINE.encode() in found, "what is not encrypted is found, so what is would be"
    assert NAME.encode() not in found and not any(row.tobytes() in found for row in vectors(3))


def test_the_same_template_never_looks_the_same(make: Callable[..., TemplateStore], path: Path) -> None:
    store = make()
    store.add(NAME, np.concatenate([vectors(1)] * 20), MINE)
    store.close()
    database = sqlite3.connect(path)
    blobs = [blob for (blob,) in database.execute("SELECT vector FROM templates")]
    database.close()
    assert len({blob[:12] for blob in blobs}) == len({blob[12:] for blob in blobs}) == 20
    assert {len(blob) for blob in blobs} == {12 + 8 * 4 + 16}


@pytest.mark.parametrize(("key", "word"), [("", "is encrypted; say where its key is"), (ANOTHER_KEY, "does not open")])
def test_the_wrong_key_or_none_is_one_sentence(
    make: Callable[..., TemplateStore], path: Path, key: str | bytes, word: str
) -> None:
    make().add(NAME, vectors(1), MINE)
    with pytest.raises(StoreKeyError, match=rf"templates\.db.*{word}|does not open .*templates\.db") as raised:
        make(key)
    assert word in str(raised.value) and str(raised.value).count(". ") == 0


def test_a_store_that_is_not_encrypted_takes_no_key(make: Callable[..., TemplateStore]) -> None:
    make("").add(NAME, vectors(1), MINE)
    with pytest.raises(StoreKeyError, match="is not encrypted, but there is a key"):
        make(KEY)


def test_a_key_has_32_bytes(path: Path) -> None:
    with pytest.raises(StoreKeyError, match="is 32 bytes, not 5"):
        TemplateStore(path, key=b"short")
    assert not path.exists()


def swap(path: Path, statement: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    assert database.execute(statement).rowcount > 0
    database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE templates SET vector = (SELECT vector FROM templates WHERE user = 2) WHERE user = 1",
        "UPDATE templates SET user = 3 - user",
        "UPDATE users SET identity = 'another model' WHERE id = 1",
        "UPDATE templates SET vector = zeroblob(60) WHERE user = 1",
        "UPDATE templates SET vector = zeroblob(5) WHERE user = 1",
        "UPDATE users SET handle = 'x', sealed_name = (SELECT sealed_name FROM users WHERE id = 2) WHERE id = 1",
        "UPDATE users SET sealed_name = NULL WHERE id = 1",
    ],
    ids=["blob", "owner", "identity", "zeros", "short", "name", "no name"],
)
def test_what_was_moved_or_altered_is_noticed(make: Callable[..., TemplateStore], path: Path, statement: str) -> None:
    store = make()
    store.add(NAME, vectors(1), MINE)
    store.add("bob", vectors(1, 1), MINE)
    swap(path, statement)
    with pytest.raises(StoreError, match="was altered and cannot be decrypted; restore"):
        for user in store.users():
            store.templates(user.name, user.identity)
    assert len(store.check().findings) in (1, 2)


def test_a_template_of_another_store_with_the_same_key_is_refused(tmp_path: Path) -> None:
    stores = [TemplateStore(tmp_path / name, key=KEY) for name in ("a.db", "b.db")]
    for store in stores:
        store.add(NAME, vectors(1), MINE)
        store.close()
    database = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    database.execute("ATTACH ? AS other", (str(tmp_path / "b.db"),))
    database.execute("UPDATE templates SET vector = (SELECT vector FROM other.templates)")
    database.close()
    with TemplateStore(tmp_path / "a.db", key=KEY) as store, pytest.raises(StoreError, match="cannot be decrypted"):
        store.templates(NAME, MINE)


def test_a_store_is_encrypted_in_place(make: Callable[..., TemplateStore], path: Path) -> None:
    store = make("")
    store.add(NAME, vectors(3), MINE)
    store.add("bob", vectors(2, 1), MINE)
    before = store.users()
    store.encrypt(KEY)
    assert store.encrypted and store.users() == before
    np.testing.assert_array_equal(store.templates(NAME, MINE), vectors(3))
    found = bytes_of(path)
    assert NAME.encode() not in found and not any(row.tobytes() in found for row in vectors(3))
    np.testing.assert_array_equal(make(KEY).templates("bob", MINE), vectors(2, 1))
    assert make(KEY).add(NAME, vectors(1, 2), MINE) == 4


def test_the_key_can_be_changed(make: Callable[..., TemplateStore], path: Path) -> None:
    store = make()
    store.add(NAME, vectors(3), MINE)
    store_id = store_facts(path).store_id
    store.encrypt(ANOTHER_KEY)
    with pytest.raises(StoreKeyError, match="does not open"):
        make(KEY)
    np.testing.assert_array_equal(make(ANOTHER_KEY).templates(NAME, MINE), vectors(3))
    assert store_facts(path).store_id == store_id


@pytest.mark.parametrize("first", ["", KEY], ids=["plain", "encrypted"])
def test_another_process_notices_that_the_key_was_changed(
    make: Callable[..., TemplateStore], first: str | bytes
) -> None:
    other, store = make(first), make(first)
    other.add(NAME, vectors(2), MINE)
    assert len(other.templates(NAME, MINE)) == 2, "remembered from now on"
    store.encrypt(ANOTHER_KEY)
    for call in (
        lambda: other.templates(NAME, MINE),
        lambda: other.users(),
        lambda: other.add("eve", vectors(1), MINE),
    ):
        with pytest.raises(StoreKeyError, match="was changed meanwhile; open the store again"):
            call()
    assert [user.name for user in store.users()] == [NAME]


def test_a_failure_while_encrypting_changes_nothing(make: Callable[..., TemplateStore], path: Path) -> None:
    store = make("")
    store.add(NAME, vectors(2), MINE)
    store.add("bob", vectors(2), MINE)
    swap(path, "UPDATE store SET erasure_pending = 0")
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TRIGGER stop BEFORE UPDATE ON users WHEN new.id = 2 BEGIN SELECT RAISE(ABORT, 'stopped here'); END"
    )
    database.close()
    with pytest.raises(StoreError, match="stopped here"):
        store.encrypt(KEY)
    np.testing.assert_array_equal(store.templates(NAME, MINE), vectors(2))
    assert not store_facts(path).encrypted and make("").check().findings == ()


def test_there_must_be_a_key_to_encrypt_with(make: Callable[..., TemplateStore]) -> None:
    with pytest.raises(StoreKeyError, match="There is no key to encrypt"):
        make("").encrypt("")


def test_without_the_library_it_says_what_to_install(
    make: Callable[..., TemplateStore], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("").add(NAME, vectors(1), MINE)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.hashes", None)
    with pytest.raises(StoreKeyError, match=r"needs the package cryptography .* pip install 'sigedge\[encrypt\]'"):
        TemplateStore(path.with_name("new.db"), key=KEY)
    assert len(make("").templates(NAME, MINE)) == 1, "a store that is not encrypted does without"


def test_a_store_in_memory_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGEDGE_STORE_KEY", "file:/nowhere")
    with TemplateStore() as store:
        assert store.add(NAME, vectors(1), MINE) == 1 and not store.encrypted


CODECS = [Plain(), Sealed(KEY, b"i" * 16, "the store")]


@pytest.mark.parametrize("codec", CODECS, ids=["plain", "sealed"])
@given(name=st.text(min_size=1).filter(str.isprintable), identity=st.text(), content=st.binary(max_size=64))
def test_what_is_sealed_comes_back(codec: Plain | Sealed, name: str, identity: str, content: bytes) -> None:
    handle = codec.handle(name)
    assert codec.open_name(handle, codec.seal_name(name)) == name
    assert codec.open(codec.seal(content, handle, identity), handle, identity) == content


@given(content=st.binary(max_size=64), position=st.integers(min_value=0), flip=st.integers(1, 255))
def test_any_altered_byte_is_noticed(content: bytes, position: int, flip: int) -> None:
    codec = CODECS[1]
    blob = bytearray(codec.seal(content, "handle", MINE))
    blob[position % len(blob)] ^= flip
    with pytest.raises(StoreError, match="was altered"):
        codec.open(bytes(blob), "handle", MINE)


@given(st.text(max_size=3), st.text(max_size=3), st.text(max_size=3), st.text(max_size=3))
def test_a_template_fits_its_user_and_identity_alone(handle: str, identity: str, other: str, another: str) -> None:
    codec = CODECS[1]
    blob = codec.seal(b"content", handle, identity)
    if (handle, identity) != (other, another):
        with pytest.raises(StoreError, match="was altered"):
            codec.open(blob, other, another)


def test_the_handle_says_nothing_without_the_key() -> None:
    handles = {
        codec.handle(NAME) for codec in (*CODECS, Sealed(ANOTHER_KEY, b"i" * 16, ""), Sealed(KEY, b"j" * 16, ""))
    }
    assert len(handles) == 4
