"""Connections to one store file: one that writes, and for readers as many as read at the same time."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError, StoreLockedError

CACHED_USERS = 1000
"""Of so many users a connection remembers the templates that it read last."""
_SMALLEST_DATABASE = 512  # bytes; SQLite's smallest page
# FULL: a commit returns when the log is on the disc, so that not even a power cut takes back what was acknowledged.
# The overwriting of what is deleted must not leave a copy in a temporary file either.
_SETTINGS = (
    "PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
)
# POSIX: closing any handle of a file drops all locks that the process has on it, those of SQLite too; a handle is only
# opened on a file that is new, and nobody here may connect to that file before the handle is closed.
_CREATING = threading.Lock()

Found = tuple[str, NDArray[np.float32]]
"""Identity and templates [K, D] of a user."""


class Session:
    """One connection, and the templates it has read since the store last changed."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self._seen = (0, 0)
        self._cache: OrderedDict[str, Found] = OrderedDict()

    def cached(self, user: str) -> Found | None:
        """What was read of a user, unless any connection of any process has changed the store since."""
        # data_version tells the commits of others, total_changes those of this connection.
        version: int = self.database.execute("PRAGMA data_version").fetchone()[0]
        if (version, self.database.total_changes) != self._seen:
            self._cache.clear()
            self._seen = version, self.database.total_changes
        found = self._cache.get(user)
        if found is not None:
            self._cache.move_to_end(user)
        return found

    def keep(self, user: str, found: Found) -> None:
        """Remember what was read after `cached` found nothing."""
        self._cache[user] = found
        if len(self._cache) > CACHED_USERS:
            self._cache.popitem(last=False)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Everything read inside as of one moment."""
        self.database.execute("BEGIN")
        try:
            yield self.database
        finally:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")  # never fails in a damaged file, as COMMIT does

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """What is written inside is committed as a whole, or not at all; nobody else writes meanwhile."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield self.database
            self.database.execute("COMMIT")
        except BaseException:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")
            raise


class Connections:
    """Opens a file, making it when there is none, and hands out connections to it.

    Threads read side by side, each through a connection of its own, and wait for no writer. A store in memory has one
    connection for all.
    """

    def __init__(self, path: Path | None, busy_timeout_ms: int) -> None:
        """Open the connection that writes; see `TemplateStore` for arguments and errors."""
        self.path = path
        self.name = "the store in memory" if path is None else os.fspath(path)
        self.timeout = busy_timeout_ms / 1000
        self._writing = threading.RLock()
        self._idle: list[Session] = []
        self._closed = False
        self._process = os.getpid()
        with self._errors():
            if path is not None:
                _create_private(path)
            self._writer = Session(self._connect())

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A connection that nobody else uses meanwhile; SQLite's errors become sentences."""
        if self.path is None:
            with self.writing() as session:
                yield session
            return
        self._check_usable()
        with self._errors():
            session = self._take()
            try:
                yield session
            finally:
                self._give_back(session)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """The connection that writes, for one thread at a time."""
        self._check_usable()
        with self._writing, self._errors():
            yield self._writer

    def close(self) -> None:
        """Close all connections; those in use are closed when given back. Closing twice does nothing."""
        with self._writing:
            self._closed = True
            while self._idle:
                self._idle.pop().database.close()
            self._writer.database.close()

    def _take(self) -> Session:
        try:
            return self._idle.pop()
        except IndexError:
            return Session(self._connect())

    def _give_back(self, session: Session) -> None:
        if session.database.in_transaction:  # a generator that was left in the middle
            session.database.execute("ROLLBACK")
        self._idle.append(session)
        if self._closed:  # meanwhile
            self.close()

    def _connect(self) -> sqlite3.Connection:
        file = ":memory:" if self.path is None else self.name
        database = sqlite3.connect(file, timeout=self.timeout, isolation_level=None, check_same_thread=False)
        try:
            database.executescript(_SETTINGS)
        except BaseException:
            database.close()
            raise
        return database

    def _check_usable(self) -> None:
        if self._closed:
            raise StoreError(f"{self.name} is closed; open the store again.")
        if os.getpid() != self._process:  # SQLite's locks do not survive a fork
            raise StoreError(f"{self.name} was opened before this process was forked; open the store in each process.")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            raise self._explain(error) from None

    def _explain(self, error: Exception) -> StoreError:
        # sqlite_errorcode only exists from Python 3.11 on.
        text = str(error)
        if isinstance(error, sqlite3.OperationalError) and ("locked" in text or "busy" in text):
            return StoreLockedError(f"{self.name} is locked by another process; close that process and try again.")
        if isinstance(error, OSError) or "unable to open" in text:
            return StoreError(f"{self.name} cannot be opened ({text}); check that its folder exists and is writable.")
        return StoreError(f"{self.name} cannot be used ({text}); restore it from a backup, or enrol into a new file.")


def _create_private(path: Path) -> None:
    """Make a new file readable by its owner alone before SQLite does it with wider permissions.

    SQLite takes a file of a few bytes for an empty database and would overwrite it, so that is refused here.
    """
    with _CREATING:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            if 0 < path.stat().st_size < _SMALLEST_DATABASE:
                raise StoreError(f"{path} is not a template store; name another file.") from None
