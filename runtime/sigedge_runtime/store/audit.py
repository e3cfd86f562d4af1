"""Looking for damage in a store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sigedge_runtime.errors import StoreError
from sigedge_runtime.store.view import View

_MOST_FINDINGS = 100


@dataclass(frozen=True)
class StoreCheck:
    """What was looked at and found: `findings` are sentences, none when the store is as it should be."""

    users: int
    templates: int
    findings: tuple[str, ...]


def audit(view: View) -> StoreCheck:
    """Check SQLite's structure, that rows belong together, and that every user's templates can be read."""
    counts, findings = [0, 0], [*_structure(view.database)]
    sizes: dict[str, int] = {}
    try:
        users = view.database.execute("SELECT id, handle, sealed_name, identity FROM users ORDER BY id")
        for user in users:
            counts[0] += 1
            counts[1] += _read_user(view, user, sizes, findings)
    except sqlite3.DatabaseError as error:
        findings.append(f"The users cannot be read to the end ({error}).")
    return StoreCheck(counts[0], counts[1], tuple(findings[:_MOST_FINDINGS]))


def _structure(database: sqlite3.Connection) -> Iterator[str]:
    try:
        for (text,) in database.execute(f"PRAGMA integrity_check({_MOST_FINDINGS})"):
            if text != "ok":
                yield f"SQLite: {' '.join(text.split())}."
        for table, row, *_ in database.execute("PRAGMA foreign_key_check"):
            yield f"Row {row} of {table} belongs to no user."
    except sqlite3.DatabaseError as error:
        yield f"SQLite: {error}."


def _read_user(view: View, user: tuple[int, str, bytes | None, str], sizes: dict[str, int], findings: list[str]) -> int:
    """Templates of a user; what is wrong with them is added to the findings."""
    id, handle, sealed, identity = user
    rows = view.database.execute("SELECT vector FROM templates WHERE user = ? ORDER BY id", (id,)).fetchall()
    try:
        name = view.name_of(handle, sealed)
        vectors = view.matrix([view.vector_of(blob, handle, identity) for (blob,) in rows])
    except StoreError as error:
        findings.append(f"User {id}: {error}")
        return len(rows)
    if not rows:
        findings.append(f"User {name!r} has no templates.")
    elif not np.all(np.isfinite(vectors)):
        findings.append(f"User {name!r} has templates that are not finite.")
    elif sizes.setdefault(identity, vectors.shape[1]) != vectors.shape[1]:
        findings.append(f"User {name!r} has templates of {vectors.shape[1]} values, others of {sizes[identity]}.")
    return len(rows)
