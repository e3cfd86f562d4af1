"""Where keys come from: files that nobody else can read, variables and the keyring."""

from __future__ import annotations

import base64
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sigedge_runtime.errors import StoreKeyError
from sigedge_runtime.store import KEY_VARIABLE, TemplateStore, make_key, store_facts
from sigedge_runtime.store.keys import read_key

keyring = pytest.importorskip("keyring", reason="the keyring extra is not installed")
KEY = bytes(range(32))
TEXT = base64.b64encode(KEY).decode()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "store.key"
    path.touch(0o600)
    path.write_text(TEXT + "\n")
    return path


class MemoryKeyring(keyring.backend.KeyringBackend):
    """The real library with a back end that forgets."""

    priority = 1

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


@pytest.fixture
def ring() -> Iterator[MemoryKeyring]:
    before, ours = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(ours)
    yield ours
    keyring.set_keyring(before)


def test_a_new_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    make_key(f"file:{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = read_key(f"file:{path}")
    assert len(key) == 32 and base64.b64decode(path.read_text()) == key
    with pytest.raises(StoreKeyError, match="may be the only copy of a key; name another"):
        make_key(f"file:{path}")
    assert read_key(f"file:{path}") == key


def test_no_two_keys_are_alike(tmp_path: Path) -> None:
    for name in "ab":
        make_key(f"file:{tmp_path / name}")
    assert read_key(f"file:{tmp_path / 'a'}") != read_key(f"file:{tmp_path / 'b'}")


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreKeyError, match="cannot be written"):
        make_key(f"file:{tmp_path / 'nowhere' / 'key'}")


def test_the_home_folder_can_be_abbreviated(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(key_file.parent))
    assert read_key("file:~/store.key") == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_can_read_is_refused(key_file: Path, mode: int) -> None:
    assert read_key(f"file:{key_file}") == KEY
    key_file.chmod(mode)
    with pytest.raises(StoreKeyError, match=r"can be read by other users; run: chmod 600 .*store\.key"):
        read_key(f"file:{key_file}")


@pytest.mark.parametrize("content", ["", "nonsense!", TEXT[:-4], TEXT + TEXT, "Ä" * 44, TEXT[:20] + " " + TEXT[20:]])
def test_what_is_no_key_is_refused_and_not_shown(key_file: Path, content: str) -> None:
    key_file.write_text(content)
    with pytest.raises(StoreKeyError, match=r"holds no key, which is 32 bytes in base64; make one with") as raised:
        read_key(f"file:{key_file}")
    assert not content or content not in str(raised.value)


@pytest.mark.parametrize("source", ["file:{}/nowhere", "file:{}", "file:{}/\0"])
def test_a_file_that_cannot_be_read(tmp_path: Path, source: str) -> None:
    with pytest.raises(StoreKeyError, match="cannot be read"):
        read_key(source.format(tmp_path))


@pytest.mark.parametrize("source", ["store.key", "file:", "vault:store", ":", TEXT])
def test_an_unknown_source_names_the_known_ones(source: str) -> None:
    for call in (read_key, make_key):
        with pytest.raises(StoreKeyError, match="write file:PATH, keyring:NAME or env:NAME"):
            call(source)


def test_a_key_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", TEXT)
    assert read_key("env:THE_KEY") == KEY
    monkeypatch.delenv("THE_KEY")
    with pytest.raises(StoreKeyError, match="variable THE_KEY is not set"):
        read_key("env:THE_KEY")
    with pytest.raises(StoreKeyError, match="cannot be put into the environment variable THE_KEY"):
        make_key("env:THE_KEY")


def test_a_key_in_the_keyring(ring: MemoryKeyring) -> None:
    with pytest.raises(StoreKeyError, match="The keyring holds no key 'kiosk'"):
        read_key("keyring:kiosk")
    make_key("keyring:kiosk")
    assert read_key("keyring:kiosk") == base64.b64decode(ring.entries["sigedge", "kiosk"])
    with pytest.raises(StoreKeyError, match="maybe the only copy"):
        make_key("keyring:kiosk")
    assert len(ring.entries) == 1


def test_a_system_without_keyring_says_so() -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())
    try:
        for call in (read_key, make_key):
            with pytest.raises(StoreKeyError, match=r"cannot be used .*; keep the key in a file: file:PATH"):
                call("keyring:kiosk")
    finally:
        keyring.set_keyring(before)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring.errors", None)
    with pytest.raises(StoreKeyError, match=r"needs the package keyring .* pip install 'sigedge\[keyring\]'"):
        read_key("keyring:kiosk")


def test_the_variable_names_the_source(key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"file:{key_file}")
    TemplateStore(tmp_path / "a.db").close()
    assert store_facts(tmp_path / "a.db").encrypted
    TemplateStore(tmp_path / "b.db", key="").close()
    assert not store_facts(tmp_path / "b.db").encrypted, "an empty text overrules the variable"
    with pytest.raises(StoreKeyError, match=f"there is a key for it .*{KEY_VARIABLE}"):
        TemplateStore(tmp_path / "b.db")
    monkeypatch.delenv(KEY_VARIABLE)
    TemplateStore(tmp_path / "a.db", key=f"file:{key_file}").close()
    with pytest.raises(StoreKeyError, match=f"is encrypted; .*{KEY_VARIABLE}"):
        TemplateStore(tmp_path / "a.db")


def test_an_unusable_key_leaves_no_store_behind(tmp_path: Path) -> None:
    with pytest.raises(StoreKeyError):
        TemplateStore(tmp_path / "new.db", key="file:/nowhere/store.key")
    assert list(tmp_path.iterdir()) == []
