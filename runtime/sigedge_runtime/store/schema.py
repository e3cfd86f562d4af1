"""The tables of a template store, and how older ones become them."""

from __future__ import annotations

import sqlite3
from typing import Any

from sigedge_runtime.errors import StoreError

SCHEMA_VERSION = 2
_APPLICATION_ID = 0x51676564  # marks the file as a template store

# Version 1, without encryption. One identity a user: templates of two models can never be mixed.
_VERSION_1 = """
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    identity TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE templates (
    id INTEGER PRIMARY KEY,
    user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    vector BLOB NOT NULL,
    created TEXT NOT NULL
);
CREATE INDEX templates_of_user ON templates (user)
"""
# Users are found by their handle: the name itself, or in an encrypted store a keyed hash of it beside the sealed name.
# The renamed column also stops a process of the older sigedge that still has the file open from writing to it.
_TO_VERSION_2 = """
ALTER TABLE users RENAME COLUMN name TO handle;
ALTER TABLE users ADD COLUMN sealed_name BLOB;
CREATE TABLE store (
    id BLOB NOT NULL,
    key_check BLOB,
    revision BLOB NOT NULL,
    erasure_pending INTEGER NOT NULL
);
INSERT INTO store VALUES (randomblob(16), NULL, randomblob(16), 0)
"""
_STEPS = (_VERSION_1, _TO_VERSION_2)


def stored_version(database: sqlite3.Connection, name: str) -> int:
    """Schema version of a file; 0 for an empty one. Writes nothing.

    Raises:
        StoreError: it is a database of another program, or of a newer sigedge.
    """
    if not pragma(database, "schema_version"):
        return 0
    if pragma(database, "application_id") != _APPLICATION_ID:
        raise StoreError(f"{name} is a database of another program; name another file.")
    version = pragma(database, "user_version")
    if not 1 <= version <= SCHEMA_VERSION:
        raise StoreError(
            f"{name} has schema version {version}, this sigedge needs {SCHEMA_VERSION}; "
            "install the sigedge that made it, or enrol into another file."
        )
    return version


def upgrade(database: sqlite3.Connection, name: str) -> int:
    """Bring an empty or older file to `SCHEMA_VERSION`, inside a transaction of the caller; return the version it had.

    No copy is kept of the older file: the change happens wholly or not at all, and a copy would outlive the erasure of
    whoever is in it.
    """
    version = stored_version(database, name)  # another process may have been faster
    for step in _STEPS[version:]:
        for statement in step.split(";"):
            database.execute(statement)
    database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return version


def about_store(database: sqlite3.Connection, columns: str) -> tuple[Any, ...]:
    """Columns of the one row that tells of the store.

    Raises:
        sqlite3.DatabaseError: the row is missing, which damage alone can do.
    """
    found: tuple[Any, ...] | None = database.execute(f"SELECT {columns} FROM store").fetchone()
    if found is None:
        raise sqlite3.DatabaseError("what it says of itself is missing")
    return found


def pragma(database: sqlite3.Connection, name: str) -> int:
    """Value of a PRAGMA that is a whole number."""
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])
