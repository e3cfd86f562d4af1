"""`sigedge store ...`, and the key of an encrypted store in the commands that open one."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest

from sigedge_runtime.store import TemplateStore

MINE = "tiny:abababababab:tiny-int8-tflite:0123456789ab"


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).normal(size=(count, 8)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """ada with three templates, bob with two; not encrypted."""
    path = tmp_path / "templates.db"
    with TemplateStore(path) as opened:
        opened.add("ada", vectors(3), MINE)
        opened.add("bob", vectors(2, 1), MINE)
    return path


@pytest.fixture
def key(run, tmp_path: Path) -> str:
    source = f"file:{tmp_path / 'store.key'}"
    assert run("store", "new-key", source).exit_code == 0
    return source


@pytest.fixture
def encrypted(run, store: Path, key: str) -> Path:
    result = run("store", "encrypt", "--store", store, "--new-key", key)
    assert result.exit_code == 0, result.stderr
    return store


def test_info_needs_no_key(run, encrypted: Path) -> None:
    result = run("store", "info", "--store", encrypted, "--json", "-")
    facts = json.loads(result.stdout)
    assert facts["encrypted"] is True and (facts["users"], facts["templates"]) == (2, 5)
    assert facts["identities"] == {MINE: 2} and facts["schema_version"] == 2
    text = run("store", "info", "--store", encrypted).stdout
    assert "2 users with 5 templates" in text and ", encrypted" in text and MINE in text


def test_a_new_key_is_private_and_never_shown(run, key: str, tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = run("store", "new-key", key)
    assert again.exit_code == 2 and "may be the only copy" in again.stderr
    result = run("store", "new-key", f"file:{tmp_path / 'other.key'}", "--json", "-")
    assert (tmp_path / "other.key").read_text().strip() not in result.output
    assert json.loads(result.stdout) == {"key": f"file:{tmp_path / 'other.key'}"}
    assert "without it an encrypted store is lost" in result.stderr


def test_a_sound_store_and_a_damaged_one(run, store: Path) -> None:
    result = run("store", "check", "--store", store)
    assert result.exit_code == 0 and "is sound: 2 users with 5 templates" in result.stdout
    import sqlite3

    database = sqlite3.connect(store, isolation_level=None)
    database.execute("DELETE FROM templates WHERE user = 1")
    database.close()
    result = run("store", "check", "--store", store, "--json", "-")
    found = json.loads(result.stdout)
    assert result.exit_code == 1 and found["sound"] is False
    assert found["findings"] == ["User 'ada' has no templates."]


def test_a_backup(run, store: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    assert run("store", "backup", target, "--store", store).exit_code == 0
    with TemplateStore(target) as copy:
        assert len(copy.users()) == 2
    refused = run("store", "backup", target, "--store", store)
    assert refused.exit_code == 2 and "--overwrite" in refused.stderr
    assert run("store", "backup", target, "--store", store, "--overwrite").exit_code == 0


def test_from_one_store_to_another(run, encrypted: Path, key: str, tmp_path: Path) -> None:
    file, other = tmp_path / "export.jsonl", tmp_path / "other.db"
    result = run("store", "export", file, "--store", encrypted, "--key", key, "--json", "-")
    assert json.loads(result.stdout)["templates"] == 5 and "not encrypted" in result.stderr
    result = run("store", "import", file, "--store", other)
    assert result.exit_code == 0 and "Imported 2 users with 5 templates" in result.stdout
    again = run("store", "import", file, "--store", other)
    assert again.exit_code == 2 and "is enrolled" in again.stderr and "--existing" in again.stderr
    result = run("store", "import", file, "--store", other, "--existing", "merge", "--json", "-")
    assert json.loads(result.stdout)["templates"] == 0
    with TemplateStore(other) as opened:
        np.testing.assert_array_equal(opened.templates("ada", MINE), vectors(3))


def test_an_import_of_nothing_makes_no_store(run, tmp_path: Path) -> None:
    result = run("store", "import", tmp_path / "nowhere", "--store", tmp_path / "new.db")
    assert result.exit_code == 2 and "nowhere does not exist" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_user_is_removed_for_good(run, store: Path) -> None:
    result = run("store", "remove", "ada", "--store", store, "--json", "-")
    assert json.loads(result.stdout)["templates"] == 3
    assert "Backups and exports are yours to delete" in result.stderr
    assert vectors(3)[0].tobytes() not in store.read_bytes()
    again = run("store", "remove", "ada", "--store", store)
    assert again.exit_code == 2 and "'ada' is not enrolled" in again.stderr


def test_purge(run, store: Path) -> None:
    result = run("store", "purge", "--store", store, "--json", "-")
    assert result.exit_code == 0 and json.loads(result.stdout)["bytes"] == store.stat().st_size


def test_encrypted_once_and_rekeyed(run, encrypted: Path, key: str, tmp_path: Path) -> None:
    twice = run("store", "encrypt", "--store", encrypted, "--new-key", key)
    assert twice.exit_code == 2 and "sigedge store rekey" in twice.stderr
    other = f"file:{tmp_path / 'other.key'}"
    run("store", "new-key", other)
    wrong = run("store", "rekey", "--store", encrypted, "--key", other, "--new-key", other)
    assert wrong.exit_code == 2 and "does not open" in wrong.stderr
    assert run("store", "rekey", "--store", encrypted, "--key", key, "--new-key", other).exit_code == 0
    assert run("store", "check", "--store", encrypted, "--key", key).exit_code == 2
    assert run("store", "check", "--store", encrypted, "--key", other).exit_code == 0


def test_a_store_that_is_not_encrypted_is_not_rekeyed(run, store: Path, key: str) -> None:
    result = run("store", "rekey", "--store", store, "--new-key", key)
    assert result.exit_code == 2 and "sigedge store encrypt" in result.stderr


def test_the_variable_does_not_hinder_encrypting(run, store: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGEDGE_STORE_KEY", key)
    assert run("store", "check", "--store", store).exit_code == 2
    assert run("store", "encrypt", "--store", store, "--new-key", key).exit_code == 0
    assert run("store", "check", "--store", store).exit_code == 0


COMMANDS = [
    ("info",),
    ("check",),
    ("backup", "FILE"),
    ("export", "FILE"),
    ("remove", "ada"),
    ("purge",),
    ("encrypt", "--new-key", "KEY"),
    ("rekey", "--new-key", "KEY"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=[command[0] for command in COMMANDS])
def test_a_store_that_is_not_there_is_not_made(run, command: tuple[str, ...], key: str, tmp_path: Path) -> None:
    places = {"FILE": tmp_path / "file", "KEY": key}
    path = tmp_path / "nowhere.db"
    result = run("store", *(places.get(word, word) for word in command), "--store", path)
    assert result.exit_code == 2 and "nowhere.db is no template store" in result.stderr
    assert not path.exists() and not (tmp_path / "file").exists()


@pytest.mark.parametrize("command", COMMANDS[1:6], ids=[command[0] for command in COMMANDS[1:6]])
def test_without_the_key_it_is_one_sentence(run, command: tuple[str, ...], encrypted: Path, tmp_path: Path) -> None:
    arguments = [tmp_path / "file" if word == "FILE" else word for word in command]
    result = run("store", *arguments, "--store", encrypted)
    assert result.exit_code == 2 and "is encrypted; say where its key is" in result.stderr
    assert not (tmp_path / "file").exists()


def test_enrolling_and_verifying_with_a_key(
    run, signatures: Path, master_bundle: Path, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "encrypted.db"
    images = [signatures / "ada" / f"{sample}.png" for sample in range(3)]
    bundle = ("--store", path, "--bundle", master_bundle)
    result = run("enroll", *images, "--user", "ada", *bundle, "--key", key)
    assert result.exit_code == 0, result.stderr
    assert b"ada" not in path.read_bytes()
    query = signatures / "ada" / "3.png"
    assert run("verify", query, "--user", "ada", *bundle, "--key", key).exit_code == 0
    assert run("identify", query, *bundle, "--key", key).exit_code == 0
    for command in (("verify", query, "--user", "ada"), ("identify", query)):
        refused = run(*command, *bundle)
        assert refused.exit_code == 2 and "is encrypted" in refused.stderr
    monkeypatch.setenv("SIGEDGE_STORE_KEY", key)
    assert run("verify", query, "--user", "ada", *bundle).exit_code == 0
