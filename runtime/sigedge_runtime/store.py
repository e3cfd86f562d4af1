"""Templates of enrolled users in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError, StoreLockedError, TemplateMismatchError, UnknownUserError

SCHEMA_VERSION = 1
_APPLICATION_ID = 0x51676564  # marks the file as a template store
_MAGIC = b"SQLite format 3\0"
# One identity a user: templates of two models can never be mixed.
_SCHEMA = """
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
CREATE INDEX templates_of_user ON templates (user);
"""


@dataclass(frozen=True)
class StoredUser:
    """A user of the store: `identity` is what made the templates, `created` an ISO 8601 time in UTC."""

    name: str
    templates: int
    identity: str
    created: str


@dataclass(frozen=True)
class Gallery:
    """Templates of all users: float32 [K, D], those of `users[i]` being the next `sizes[i]` rows."""

    users: tuple[str, ...]
    sizes: NDArray[np.intp]
    vectors: NDArray[np.float32]


class TemplateStore:
    """Users and their templates; every change happens wholly or not at all; safe for several threads and processes.

    The file is in write-ahead mode, so readers never wait. Templates are biometric data: the file is readable by its
    owner alone, and what is deleted is overwritten.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, busy_timeout_ms: int = 2000) -> None:
        """Open the store, making it when the file does not exist.

        Args:
            path: the SQLite file; None keeps the store in memory.
            busy_timeout_ms: how long to wait for another process's lock.

        Raises:
            StoreLockedError: another process holds its lock.
            StoreError: the folder is missing, or the file is no template store, damaged or from a newer sigedge.
        """
        self._name = "the store in memory" if path is None else os.fspath(path)
        self._lock = threading.RLock()
        file = ":memory:" if path is None else self._name
        with self._errors():
            if path is not None:
                _create_private(Path(path))
            self._database = sqlite3.connect(
                file, timeout=busy_timeout_ms / 1000, isolation_level=None, check_same_thread=False
            )
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def add(self, user: str, vectors: NDArray[np.float32], identity: str) -> int:
        """Add templates to a new or known user.

        Args:
            user: any text that is not blank.
            vectors: float32 [N, D], N at least 1, finite.
            identity: what made the vectors, see `Verifier.identity`.

        Returns:
            How many templates the user has now.

        Raises:
            TemplateMismatchError: the user has templates of another identity.
            StoreLockedError, StoreError: nothing was written.
        """
        rows = _encode(user, vectors)
        with self._transaction() as database:
            known = database.execute("SELECT identity FROM users WHERE name = ?", (user,)).fetchone()
            if known is not None and known[0] != identity:
                raise _mismatch(self._name, [user], known[0], identity)
            return self._insert(user, rows, identity)

    def replace(self, user: str, vectors: NDArray[np.float32], identity: str) -> int:
        """Put templates in the place of all that the user has; arguments and errors as for `add`."""
        rows = _encode(user, vectors)
        with self._transaction() as database:
            database.execute("DELETE FROM users WHERE name = ?", (user,))
            return self._insert(user, rows, identity)

    def remove(self, user: str) -> int:
        """Delete a user; return how many templates are gone.

        Raises:
            UnknownUserError: the user is not enrolled.
            StoreLockedError, StoreError: nothing was deleted.
        """
        with self._transaction() as database:
            count = self._count(user)
            if count == 0:
                raise self._unknown(user)
            database.execute("DELETE FROM users WHERE name = ?", (user,))
        return count

    def users(self) -> tuple[StoredUser, ...]:
        """All users, sorted by name."""
        with self._errors():
            rows = self._database.execute(
                "SELECT name, count(*), identity, users.created FROM users"
                " JOIN templates ON users.id = user GROUP BY users.id ORDER BY name"
            ).fetchall()
        return tuple(StoredUser(*row) for row in rows)

    def templates(self, user: str, identity: str) -> NDArray[np.float32]:
        """Templates of a user, float32 [K, D], oldest first.

        Raises:
            UnknownUserError: the user is not enrolled.
            TemplateMismatchError: the templates are of another identity.
            StoreError: the file is damaged.
        """
        gallery = self._gallery(identity, "WHERE name = ?", (user,))
        if not gallery.users:
            raise self._unknown(user)
        return gallery.vectors

    def gallery(self, identity: str) -> Gallery:
        """Templates of all users.

        Raises:
            UnknownUserError: nobody is enrolled.
            TemplateMismatchError: there are templates of another identity.
            StoreError: the file is damaged.
        """
        gallery = self._gallery(identity)
        if not gallery.users:
            raise UnknownUserError(f"Nobody is enrolled in {self._name}; enrol a user first.")
        return gallery

    def galleries(self, identity: str, users: int = 1000) -> Iterator[Gallery]:
        """The same in parts of at most `users` users; nothing when nobody is enrolled. Errors as for `gallery`."""
        names = [one.name for one in self.users()]
        for start in range(0, len(names), users):
            part = self._gallery(
                identity, "WHERE name BETWEEN ? AND ?", (names[start], names[start : start + users][-1])
            )
            if part.users:
                yield part

    def revision(self) -> str:
        """A text that is another one after every change of users or templates, by whatever process."""
        with self._errors():
            return f"{self._pragma('data_version')}-{self._database.total_changes}"

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._database.close()

    def _gallery(self, identity: str, where: str = "", values: tuple[str, ...] = ()) -> Gallery:
        with self._errors():
            rows = self._database.execute(
                f"SELECT name, vector, identity FROM templates JOIN users ON users.id = user {where}"
                " ORDER BY name, templates.id",
                values,
            ).fetchall()
        others = {name: known for name, _, known in rows if known != identity}
        if others:
            raise _mismatch(self._name, list(others), next(iter(others.values())), identity)
        sizes = Counter(name for name, _, _ in rows)
        return Gallery(tuple(sizes), np.array(list(sizes.values()), np.intp), self._decode([row[1] for row in rows]))

    def _decode(self, blobs: list[bytes]) -> NDArray[np.float32]:
        lengths = {len(blob) for blob in blobs}
        if len(lengths) > 1 or any(length == 0 or length % 4 for length in lengths):
            raise StoreError(f"{self._name} is damaged: its templates differ in size; restore it or enrol again.")
        return np.frombuffer(b"".join(blobs), "<f4").astype(np.float32).reshape(max(1, len(blobs)), -1)

    def _prepare(self) -> None:
        """Check an existing file without writing to it, so that opening works beside a writer; else create it."""
        with self._errors():
            self._database.executescript("PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;")
            if self._pragma("schema_version"):
                self._check_schema()
                return
            self._database.execute("PRAGMA journal_mode = WAL").fetchone()
        with self._transaction() as database:
            if self._pragma("schema_version"):  # another process was faster
                return
            for statement in _SCHEMA.strip().rstrip(";").split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _check_schema(self) -> None:
        if self._pragma("application_id") != _APPLICATION_ID:
            raise StoreError(f"{self._name} is a database of another program; name another file.")
        version = self._pragma("user_version")
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{self._name} has schema version {version}, this sigedge needs {SCHEMA_VERSION}; "
                "install the sigedge that made it, or enrol into another file."
            )

    def _pragma(self, name: str) -> int:
        return int(self._database.execute(f"PRAGMA {name}").fetchone()[0])

    def _count(self, user: str) -> int:
        query = "SELECT count(*) FROM templates JOIN users ON users.id = user WHERE name = ?"
        return int(self._database.execute(query, (user,)).fetchone()[0])

    def _insert(self, user: str, rows: list[bytes], identity: str) -> int:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        new_user = "INSERT OR IGNORE INTO users (name, identity, created) VALUES (?, ?, ?)"
        self._database.execute(new_user, (user, identity, now))
        self._database.executemany(
            "INSERT INTO templates (user, vector, created) SELECT id, ?, ? FROM users WHERE name = ?",
            [(row, now, user) for row in rows],
        )
        return self._count(user)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit everything done inside, or nothing."""
        with self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn SQLite's errors into sentences, one thread at a time."""
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
                raise self._explain(error) from None

    def _explain(self, error: Exception) -> StoreError:
        # sqlite_errorcode only exists from Python 3.11 on.
        text = str(error)
        if isinstance(error, sqlite3.OperationalError) and ("locked" in text or "busy" in text):
            return StoreLockedError(f"{self._name} is locked by another process; close that process and try again.")
        if isinstance(error, OSError) or "unable to open" in text:
            return StoreError(f"{self._name} cannot be opened ({text}); check that its folder exists and is writable.")
        if isinstance(error, sqlite3.ProgrammingError) and "closed" in text:
            return StoreError(f"{self._name} is closed; open the store again.")
        return StoreError(f"{self._name} cannot be used ({text}); restore it from a backup, or enrol into a new file.")

    def _unknown(self, user: str) -> UnknownUserError:
        return UnknownUserError(f"The user {user!r} is not enrolled in {self._name}; enrol the user first.")


def _create_private(path: Path) -> None:
    """Make a new file readable by its owner alone before SQLite does it with wider permissions.

    SQLite takes a file of a few bytes for an empty database and would overwrite it, so that is refused here.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) not in (b"", _MAGIC):
                raise StoreError(f"{path} is not a template store; name another file.") from None


def _encode(user: str, vectors: NDArray[np.float32]) -> list[bytes]:
    if not user.strip():
        raise StoreError("The name of a user must not be blank; give a name.")
    if vectors.ndim != 2 or vectors.size == 0 or not np.all(np.isfinite(vectors)):
        raise StoreError(f"Templates of {user!r} must be finite and of shape [N, D], not {list(vectors.shape)}.")
    return [row.astype("<f4").tobytes() for row in vectors]


def _mismatch(store: str, users: list[str], known: str, identity: str) -> TemplateMismatchError:
    shown = ", ".join(repr(user) for user in users[:3]) + (", ..." if len(users) > 3 else "")
    return TemplateMismatchError(
        f"The templates of {shown} in {store} were made by {known}, but {identity} is loaded; open the bundle and "
        "precision they were made with, or enrol again from images, replacing the old templates (replace=True)."
    )
