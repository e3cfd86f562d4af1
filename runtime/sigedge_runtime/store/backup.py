"""A copy of a store that is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sigedge_runtime.atomic import atomic_path
from sigedge_runtime.errors import StoreError


def back_up(database: sqlite3.Connection, source: Path | None, target: Path, *, overwrite: bool) -> Path:
    """Copy a database by SQLite's online backup; see `TemplateStore.backup`."""
    require_free(target, overwrite)
    if target.exists() and source is not None and target.samefile(source):
        raise StoreError(f"{target} is the store itself; name another file for the backup.")
    if target.with_name(f"{target.name}-wal").exists():
        raise StoreError(f"{target} is in use by a process, so it cannot be replaced; name another file.")
    with atomic_path(target) as partial:
        create_private(partial)
        with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
            database.backup(copy)  # in one go, so as of one moment
            found = copy.execute("PRAGMA quick_check").fetchone()[0]
            # The copy is no live store yet: as one file, without a log beside it.
            copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if found != "ok":
            raise StoreError(f"The backup of {source} is damaged ({found}), so the store is; no backup was written.")
    return target


def require_free(target: Path, overwrite: bool) -> None:
    """Refuse to write over a file unasked.

    Raises:
        StoreError: the file exists.
    """
    if target.exists() and not overwrite:
        raise StoreError(f"{target} exists; name another file, or ask for it to be overwritten (--overwrite).")


def create_private(path: Path) -> None:
    """Make a new file that its owner alone can read."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
