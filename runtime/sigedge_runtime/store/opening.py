"""Opening a store file: creation, upgrade, key, and what is left to erase."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from sigedge_runtime.errors import StoreError, StoreKeyError, StoreLockedError
from sigedge_runtime.store.codec import KEY_BYTES, Codec, Plain, Sealed
from sigedge_runtime.store.connections import Connections
from sigedge_runtime.store.keys import KEY_VARIABLE, chosen_source, read_key
from sigedge_runtime.store.records import StoreFacts
from sigedge_runtime.store.schema import SCHEMA_VERSION, about_store, pragma, stored_version, upgrade

Key = str | bytes | None
"""Source of a key, the key itself, or None for the source in `KEY_VARIABLE`."""

_PAUSE = 0.01
"""Seconds until a file is looked at again that others were opening."""


def require_key(key: Key) -> bytes | None:
    """The 32 bytes; None when there is no key.

    Raises:
        StoreKeyError: the source cannot be read, or the key is of another length.
    """
    if not isinstance(key, bytes):
        source = chosen_source(key)
        return read_key(source) if source else None
    if len(key) != KEY_BYTES:
        raise StoreKeyError(f"The key of a store is {KEY_BYTES} bytes, not {len(key)}; make one with make_key.")
    return key


def prepare(connections: Connections, key: bytes | None) -> None:
    """Check an existing file without writing to it, so that it opens beside a writer; else create or upgrade it.

    Raises:
        StoreLockedError: another process holds its lock for longer than the store's patience.
        StoreError: it is no template store, damaged or from a newer sigedge.
    """
    end = time.monotonic() + connections.timeout
    while True:
        try:
            return _create_or_upgrade(connections, key)
        except StoreLockedError:
            # Where several open a new file at once SQLite does not wait: they could wait for one another for ever.
            if time.monotonic() >= end:
                raise
            time.sleep(_PAUSE)


def _create_or_upgrade(connections: Connections, key: bytes | None) -> None:
    with connections.writing() as session:
        version = stored_version(session.database, connections.name)
        if version == SCHEMA_VERSION:
            return
        if version == 0:
            session.database.execute("PRAGMA journal_mode = WAL").fetchone()
        with session.change() as database:
            if upgrade(database, connections.name) == 0 and key is not None:
                check = new_codec(database, key, connections.name).key_check
                database.execute("UPDATE store SET key_check = ?", (check,))


def open_codec(connections: Connections, key: bytes | None) -> Codec:
    """How names and templates are read.

    Raises:
        StoreKeyError: the store is encrypted and the key missing or wrong, or there is a key but no encryption.
    """
    name = connections.name
    with connections.writing() as session:
        store_id, check = about_store(session.database, "id, key_check")
    if check is None and key is None:
        return Plain()
    if check is None:
        raise StoreKeyError(
            f"{name} is not encrypted, but there is a key for it (an option or {KEY_VARIABLE}); encrypt it with "
            "`sigedge store encrypt`, or leave the key out."
        )
    if key is None:
        raise StoreKeyError(
            f"{name} is encrypted; say where its key is (file:PATH, keyring:NAME or env:NAME) with --key, store_key= "
            f"or the variable {KEY_VARIABLE}."
        )
    return Sealed(key, store_id, name, check)


def new_codec(database: sqlite3.Connection, key: bytes, name: str) -> Sealed:
    """What encrypts the store of a connection with a key, from now on."""
    return Sealed(key, about_store(database, "id")[0], name)


def empty_log(connections: Connections) -> bool:
    """Bring everything from the log to the file and truncate the log, if it may hold what was deleted.

    Returns:
        False when somebody reads what the log holds, or writes; it is tried again when the store is next opened.
    """
    try:
        with connections.writing() as session:
            (pending,) = about_store(session.database, "erasure_pending")
            if not pending:
                return True
            if session.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                return False
            # Another process may have deleted more meanwhile: that is not done.
            query = "UPDATE store SET erasure_pending = 0 WHERE erasure_pending = ?"
            session.database.execute(query, (pending,))
            return True
    except StoreLockedError:
        return False


def store_facts(path: str | os.PathLike[str], *, busy_timeout_ms: int = 2000) -> StoreFacts:
    """What can be told of a store without its key; an older one is upgraded.

    Raises:
        StoreLockedError: another process holds its lock.
        StoreError: there is no such file, or it is no template store, damaged or from a newer sigedge.
    """
    file = Path(path)
    if not file.is_file():
        raise StoreError(f"{file} is no template store; check the path.")
    connections = Connections(file, busy_timeout_ms)
    try:
        prepare(connections, None)
        with connections.reading() as session, session.snapshot() as database:
            return _facts(database, file)
    finally:
        connections.close()


def _facts(database: sqlite3.Connection, file: Path) -> StoreFacts:
    columns = "hex(id), key_check IS NOT NULL, hex(revision), erasure_pending"
    store_id, encrypted, revision, pending = about_store(database, columns)
    identities = database.execute("SELECT identity, count(*) FROM users GROUP BY identity ORDER BY identity").fetchall()
    log = file.with_name(f"{file.name}-wal")
    return StoreFacts(
        schema_version=pragma(database, "user_version"),
        store_id=store_id.lower(),
        encrypted=bool(encrypted),
        users=sum(count for _, count in identities),
        templates=database.execute("SELECT count(*) FROM templates").fetchone()[0],
        identities=dict(identities),
        revision=revision.lower(),
        erasure_pending=bool(pending),
        size=file.stat().st_size + (log.stat().st_size if log.exists() else 0),
    )
