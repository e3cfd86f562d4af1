"""The template store."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.errors import ErasurePendingError, StoreKeyError, UnknownUserError
from sigedge_runtime.store.audit import StoreCheck, audit
from sigedge_runtime.store.backup import back_up
from sigedge_runtime.store.codec import Codec
from sigedge_runtime.store.connections import Connections
from sigedge_runtime.store.merging import Merged, merge
from sigedge_runtime.store.opening import Key, empty_log, new_codec, open_codec, prepare, require_key
from sigedge_runtime.store.records import Gallery, StoredTemplates, StoredUser
from sigedge_runtime.store.schema import about_store
from sigedge_runtime.store.view import Change, View, by_name, checked, mismatch, unknown


class TemplateStore:
    """Users and their templates; every change happens wholly or not at all; safe for several threads and processes.

    The file is in write-ahead mode, so readers never wait, and a change that returned outlasts a killed process and a
    power cut. Templates are biometric data: the file is readable by its owner alone, what is deleted is overwritten,
    and with a key names and templates are encrypted. A context manager.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, key: Key = None, busy_timeout_ms: int = 2000
    ) -> None:
        """Open the store, making it when the file does not exist, encrypted when there is a key.

        A store of an older version is upgraded, in one step or not at all.

        Args:
            path: the SQLite file; None keeps the store in memory, which takes no key.
            key: where the key is: ``file:PATH``, ``keyring:NAME`` or ``env:NAME``, or the key itself (32 bytes);
                default: the source in the variable SIGEDGE_STORE_KEY, if any. An empty text is no key, whatever that
                says.
            busy_timeout_ms: how long to wait for another process's lock.

        Raises:
            StoreKeyError: the store is encrypted and the key missing or wrong, or there is a key but no encryption.
            StoreLockedError: another process holds its lock.
            StoreError: the folder is missing, or the file is no template store, damaged or from a newer sigedge.
        """
        raw = None if path is None else require_key(key)
        self._connections = Connections(None if path is None else Path(path), busy_timeout_ms)
        self.name = self._connections.name
        try:
            prepare(self._connections, raw)
            codec = open_codec(self._connections, raw)
            # By what the file holds to tell the key, so that a file whose key another process changed is noticed.
            self._codecs: dict[bytes | None, Codec] = {codec.key_check: codec}
            empty_log(self._connections)  # what a process left that was stopped before it was done
        except BaseException:
            self._connections.close()
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
        new = checked(user, vectors, identity)
        with self._change() as change:
            return change.insert(new)

    def replace(self, user: str, vectors: NDArray[np.float32], identity: str) -> int:
        """Put templates in the place of all that the user has; arguments and errors as for `add`.

        The old ones are erased; from the log when nobody reads it, or else when the store is next opened.
        """
        new = checked(user, vectors, identity)
        with self._change(erases=True) as change:
            change.delete(user)
            count = change.insert(new)
        empty_log(self._connections)
        return count

    def remove(self, user: str) -> int:
        """Delete a user and overwrite the bytes, in the log too; return how many templates are gone.

        Copies of the file, and exports, are not the store's to erase.

        Raises:
            UnknownUserError: the user is not enrolled.
            ErasurePendingError: the user is deleted, but somebody reads what the log still holds.
            StoreLockedError, StoreError: nothing was deleted.
        """
        with self._change(erases=True) as change:
            count = change.delete(user)
            if count == 0:
                raise unknown(self.name, user)
        self._require_erased(f"{user!r} is removed")
        return count

    def users(self) -> tuple[StoredUser, ...]:
        """All users, sorted by name."""
        with self._view() as view:
            return tuple(view.users())

    def templates(self, user: str, identity: str) -> NDArray[np.float32]:
        """Templates of a user, float32 [K, D], oldest first, read-only.

        What was read is remembered until the store changes, by whatever process.

        Raises:
            UnknownUserError: the user is not enrolled.
            TemplateMismatchError: the templates are of another identity.
            StoreError: the file is damaged.
        """
        with self._connections.reading() as session:
            found = session.cached(user)
            if found is None:
                with session.snapshot() as database:
                    found = self._view_of(database).templates(user)
                session.keep(user, found)
        known, vectors = found
        if known != identity:
            raise mismatch(self.name, [user], known, identity)
        return vectors

    def gallery(self, identity: str) -> Gallery:
        """Templates of all users, sorted by name.

        Raises:
            UnknownUserError: nobody is enrolled.
            TemplateMismatchError: there are templates of another identity.
            StoreError: the file is damaged.
        """
        with self._view() as view:
            found = view.chunk(identity)
        if found is None:
            raise UnknownUserError(f"Nobody is enrolled in {self.name}; enrol a user first.")
        return by_name(found[0])

    def galleries(self, identity: str, users: int = 1000) -> Iterator[Gallery]:
        """The same in parts of at most `users` users, in the order of enrolment; nothing when nobody is enrolled.

        Each part is as of one moment, but the store may change between two: it has not when `revision` is the same
        before the first and after the last. Errors as for `gallery`.
        """
        after = 0
        while True:
            with self._view() as view:
                found = view.chunk(identity, after, users)
            if found is None:
                return
            gallery, after = found
            yield gallery

    def stored(self) -> Iterator[StoredTemplates]:
        """Everything that is stored, user by user in the order of enrolment, as of the moment of the first.

        Until the last user is read, nothing that is removed can be erased from the log.

        Raises:
            StoreError: the file is damaged.
        """
        with self._view() as view:
            yield from view.stored()

    def merge(self, users: Iterable[StoredTemplates], existing: str = "refuse") -> Merged:
        """Take over users from elsewhere, all of them or none.

        Args:
            users: what to add; may raise, and then nothing was added.
            existing: what to do with a user who is enrolled: ``refuse`` all, ``keep`` the stored templates, ``replace``
                them, or ``merge``: add the templates that differ from all stored ones.

        Raises:
            TemplateMismatchError: the store has templates, and none of the same identity.
            StoreError: a user is enrolled already, or there is no such value of `existing`; nothing was written.
        """
        with self._change(erases=existing == "replace") as change:
            merged = merge(change, users, existing)
        if existing == "replace":
            empty_log(self._connections)
        return merged

    def revision(self) -> str:
        """A text that is a new one after every change of users or templates, by whatever process.

        An index of the gallery that remembers it is up to date as long as it is the same. Takes some microseconds.
        """
        with self._connections.reading() as session:
            found: str = about_store(session.database, "lower(hex(revision))")[0]
            return found

    @property
    def encrypted(self) -> bool:
        """Whether names and templates are encrypted."""
        return None not in self._codecs

    def check(self) -> StoreCheck:
        """Look for damage: in SQLite's structure, in every template and, when encrypted, in its seal."""
        with self._view() as view:
            return audit(view)

    def backup(self, target: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Copy the store as of one moment to a file, while others read and write; encrypted when the store is.

        Args:
            target: file to write, all at once, readable by its owner alone.
            overwrite: replace a file that is there.

        Raises:
            StoreError: the target exists, is in use, or cannot be written.
        """
        with self._connections.reading() as session:
            return back_up(session.database, self._connections.path, Path(target), overwrite=overwrite)

    def encrypt(self, key: Key) -> None:
        """Encrypt everything with a key, in the place of an earlier key if there was one; then `purge`.

        Other processes that have the store open get a `StoreKeyError` at their next call.

        Raises:
            StoreKeyError: there is no key, or it cannot be read, or cryptography is not installed; nothing was changed.
            ErasurePendingError: it is done, but somebody reads what the log still holds.
            StoreLockedError, StoreError: nothing was changed.
        """
        raw = require_key(key)
        if raw is None:
            raise StoreKeyError(f"There is no key to encrypt {self.name} with; name one, such as file:PATH.")
        with self._change(erases=True) as change:
            codec = new_codec(change.database, raw, self.name)
            # Known before the commit: other threads read on at once.
            self._codecs = {**self._codecs, codec.key_check: codec}
            change.reseal(codec)
        self._codecs = {codec.key_check: codec}
        self.purge()

    def purge(self) -> None:
        """Write the file anew without free space and empty the log, so that neither holds anything that was removed.

        Raises:
            ErasurePendingError: somebody reads what the log still holds.
            StoreLockedError, StoreError: the file is as it was.
        """
        with self._connections.writing() as session:
            session.database.execute("UPDATE store SET erasure_pending = erasure_pending + 1")
            session.database.execute("VACUUM")
        self._require_erased("What was removed is gone")

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._connections.close()

    def __enter__(self) -> TemplateStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _view(self) -> Iterator[View]:
        with self._connections.reading() as session, session.snapshot() as database:
            yield self._view_of(database)

    @contextmanager
    def _change(self, *, erases: bool = False) -> Iterator[Change]:
        """Commit everything done inside, or nothing."""
        with self._connections.writing() as session, session.change() as database:
            change = Change(database, self._codec(database), self.name)
            yield change
            change.changed(erases=erases)

    def _view_of(self, database: sqlite3.Connection) -> View:
        return View(database, self._codec(database), self.name)

    def _codec(self, database: sqlite3.Connection) -> Codec:
        (check,) = about_store(database, "key_check")
        codec = self._codecs.get(check)
        if codec is None:
            raise StoreKeyError(f"The key of {self.name} was changed meanwhile; open the store again with the new one.")
        return codec

    def _require_erased(self, done: str) -> None:
        if not empty_log(self._connections):
            raise ErasurePendingError(
                f"{done}, but the log of {self.name} still holds the bytes, for somebody reads the store just now; "
                "run `sigedge store purge`, or open the store again, when nobody does."
            )
