"""What stands in the tables of a store, read and written inside one transaction."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError, TemplateMismatchError, UnknownUserError
from sigedge_runtime.store.codec import Codec
from sigedge_runtime.store.records import Gallery, StoredTemplates, StoredUser

Vectors = NDArray[np.float32]


class View:
    """Reads a store through a connection that is inside a transaction."""

    def __init__(self, database: sqlite3.Connection, codec: Codec, store: str) -> None:
        self.database = database
        self.codec = codec
        self.store = store

    def find(self, user: str) -> tuple[int, str] | None:
        """Id and identity of a user; None for an unknown one."""
        query = "SELECT id, identity FROM users WHERE handle = ?"
        found: tuple[int, str] | None = self.database.execute(query, (self.codec.handle(user),)).fetchone()
        return found

    def identities(self) -> set[str]:
        """What made the templates that are stored."""
        return {identity for (identity,) in self.database.execute("SELECT DISTINCT identity FROM users")}

    def users(self) -> list[StoredUser]:
        """All users that have templates, sorted by name."""
        rows = self.database.execute(
            "SELECT handle, sealed_name, count(*), identity, users.created FROM users"
            " JOIN templates ON users.id = user GROUP BY users.id"
        )
        found = [StoredUser(self.name_of(handle, sealed), *facts) for handle, sealed, *facts in rows]
        return sorted(found, key=lambda one: one.name)

    def templates(self, user: str) -> tuple[str, Vectors]:
        """Identity and templates of a user, as in `TemplateStore.templates`."""
        handle = self.codec.handle(user)
        rows = self.database.execute(
            "SELECT identity, vector FROM users JOIN templates ON users.id = user WHERE handle = ?"
            " ORDER BY templates.id",
            (handle,),
        ).fetchall()
        if not rows:
            raise unknown(self.store, user)
        return rows[0][0], self.matrix([self.vector_of(blob, handle, identity) for identity, blob in rows])

    def chunk(self, identity: str, after: int = 0, limit: int = -1) -> tuple[Gallery, int] | None:
        """Users in the order of their ids, at most `limit`, from the first behind `after` on, and the last one's id.

        None when there is no further user.
        """
        query = "SELECT id, handle, sealed_name, identity FROM users WHERE id > ? ORDER BY id LIMIT ?"
        users = self.database.execute(query, (after, limit)).fetchall()
        if not users:
            return None
        self._require_identity(users, identity)
        handles = {id: handle for id, handle, _, _ in users}
        rows = self.database.execute(
            "SELECT user, vector FROM templates WHERE user BETWEEN ? AND ? ORDER BY user, id",
            (users[0][0], users[-1][0]),
        ).fetchall()
        vectors = self.matrix([self.vector_of(blob, handles.get(user), identity) for user, blob in rows])
        counts = Counter(user for user, _ in rows)
        named = {id: self.name_of(handle, sealed) for id, handle, sealed, _ in users if id in counts}
        sizes = np.array([counts[id] for id in named], np.intp)
        return Gallery(tuple(named.values()), sizes, vectors), users[-1][0]

    def stored(self) -> Iterator[StoredTemplates]:
        """All users with their templates, in the order of enrolment."""
        users = self.database.execute("SELECT id, handle, sealed_name, identity, created FROM users ORDER BY id")
        for id, handle, sealed, identity, created in users:
            query = "SELECT vector, created FROM templates WHERE user = ? ORDER BY id"
            rows = self.database.execute(query, (id,)).fetchall()
            vectors = self.matrix([self.vector_of(blob, handle, identity) for blob, _ in rows])
            name = self.name_of(handle, sealed)
            yield StoredTemplates(name, identity, created, vectors, tuple(time for _, time in rows))

    def name_of(self, handle: object, sealed: object) -> str:
        """The name that a row of users is of; raises StoreError when it is damaged."""
        if not isinstance(handle, str) or not isinstance(sealed, bytes | None):
            raise self._damage("a name in it is none")
        return self.codec.open_name(handle, sealed)

    def vector_of(self, blob: object, handle: object, identity: object) -> bytes:
        """The template that a row of templates holds; raises StoreError when it is damaged."""
        # A flipped bit can turn the type of a column or the user that a row is of into another.
        if not isinstance(blob, bytes) or not isinstance(handle, str) or not isinstance(identity, str):
            raise self._damage("a template in it is none")
        return self.codec.open(blob, handle, identity)

    def matrix(self, blobs: Sequence[bytes]) -> Vectors:
        """Templates float32 [K, D], read-only, of their bytes."""
        lengths = {len(blob) for blob in blobs}
        if len(lengths) > 1 or any(length == 0 or length % 4 for length in lengths):
            raise self._damage("its templates differ in size")
        return (
            np.frombuffer(b"".join(blobs), "<f4").astype(np.float32, copy=False).reshape(len(blobs), -1 if blobs else 0)
        )

    def _damage(self, what: str) -> StoreError:
        return StoreError(f"{self.store} is damaged: {what}; restore it from a backup or enrol again.")

    def _require_identity(self, users: Sequence[tuple[int, str, bytes | None, str]], identity: str) -> None:
        others = {self.name_of(handle, sealed): known for _, handle, sealed, known in users if known != identity}
        if others:
            names = sorted(others)
            raise mismatch(self.store, names, others[names[0]], identity)


class Change(View):
    """Writes, too."""

    def insert(self, new: StoredTemplates) -> int:
        """Add templates to a new or known user; return how many the user has then.

        Raises:
            TemplateMismatchError: the user has templates of another identity.
            StoreError: those of this identity are of another size.
        """
        handle, known = self.codec.handle(new.name), self.find(new.name)
        if known is not None and known[1] != new.identity:
            raise mismatch(self.store, [new.name], known[1], new.identity)
        self._require_size(new)
        id = known[0] if known is not None else self._insert_user(new, handle)
        self.database.executemany(
            "INSERT INTO templates (user, vector, created) VALUES (?, ?, ?)",
            [
                (id, self.codec.seal(row.astype("<f4").tobytes(), handle, new.identity), time)
                for row, time in zip(new.vectors, new.times, strict=True)
            ],
        )
        return self._count(id)

    def delete(self, user: str) -> int:
        """Delete a user, if there is one; return how many templates are gone."""
        known = self.find(user)
        if known is None:
            return 0
        count = self._count(known[0])
        self.database.execute("DELETE FROM users WHERE id = ?", (known[0],))
        return count

    def reseal(self, codec: Codec) -> None:
        """Store everything by another codec."""
        users = self.database.execute("SELECT id, handle, sealed_name, identity FROM users").fetchall()
        for id, handle, sealed, identity in users:
            name = self.name_of(handle, sealed)
            new, new_sealed = codec.handle(name), codec.seal_name(name)
            self.database.execute("UPDATE users SET handle = ?, sealed_name = ? WHERE id = ?", (new, new_sealed, id))
            rows = self.database.execute("SELECT id, vector FROM templates WHERE user = ?", (id,)).fetchall()
            self.database.executemany(
                "UPDATE templates SET vector = ? WHERE id = ?",
                [(codec.seal(self.vector_of(blob, handle, identity), new, identity), row) for row, blob in rows],
            )
        self.database.execute("UPDATE store SET key_check = ?", (codec.key_check,))
        self.codec = codec

    def changed(self, *, erases: bool) -> None:
        """Note that something changed, and whether bytes of what was deleted may be left in the log."""
        self.database.execute(
            "UPDATE store SET revision = randomblob(16), erasure_pending = erasure_pending + ?", (int(erases),)
        )

    def _insert_user(self, new: StoredTemplates, handle: str) -> int:
        row = (handle, self.codec.seal_name(new.name), new.identity, new.created)
        query = "INSERT INTO users (handle, sealed_name, identity, created) VALUES (?, ?, ?, ?)"
        return int(self.database.execute(query, row).lastrowid or 0)

    def _count(self, id: int) -> int:
        return int(self.database.execute("SELECT count(*) FROM templates WHERE user = ?", (id,)).fetchone()[0])

    def _require_size(self, new: StoredTemplates) -> None:
        found = self.database.execute(  # CROSS JOIN: look for the user first, and never through all templates
            "SELECT handle, vector FROM users CROSS JOIN templates ON users.id = user WHERE identity = ? LIMIT 1",
            (new.identity,),
        ).fetchone()
        if found is None:
            return
        size = len(self.vector_of(found[1], found[0], new.identity)) // 4
        if size != new.vectors.shape[1]:
            raise StoreError(
                f"Templates of {new.name!r} have {new.vectors.shape[1]} values, but those in {self.store} that "
                f"{new.identity} made have {size}; name the right identity."
            )


def checked(user: str, vectors: Vectors, identity: str) -> StoredTemplates:
    """Templates to store as of now.

    Raises:
        StoreError: the name is blank or no Unicode text, or the vectors are not finite or not of shape [N, D].
    """
    if not user.strip() or not _is_unicode(user):
        raise StoreError(f"The name of a user must be text that is not blank, not {user!r}; give a name.")
    if vectors.ndim != 2 or vectors.size == 0 or not np.all(np.isfinite(vectors)):
        raise StoreError(f"Templates of {user!r} must be finite and of shape [N, D], not {list(vectors.shape)}.")
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return StoredTemplates(user, identity, now, vectors, (now,) * len(vectors))


def _is_unicode(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def by_name(gallery: Gallery) -> Gallery:
    """The same users and templates, sorted by name."""
    order = sorted(range(len(gallery.users)), key=gallery.users.__getitem__)
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    rows = np.argsort(np.repeat(rank, gallery.sizes), kind="stable")
    return Gallery(tuple(gallery.users[i] for i in order), gallery.sizes[order], gallery.vectors[rows])


def unknown(store: str, user: str) -> UnknownUserError:
    """The error to raise for a user who is not enrolled."""
    return UnknownUserError(f"The user {user!r} is not enrolled in {store}; enrol the user first.")


def mismatch(store: str, users: Sequence[str], known: str, identity: str) -> TemplateMismatchError:
    """The error to raise for users whose templates something else made."""
    shown = ", ".join(repr(user) for user in users[:3]) + (", ..." if len(users) > 3 else "")
    return TemplateMismatchError(
        f"The templates of {shown} in {store} were made by {known}, but {identity} is loaded; open the bundle and "
        "precision they were made with, or enrol again from images, replacing the old templates (replace=True)."
    )
