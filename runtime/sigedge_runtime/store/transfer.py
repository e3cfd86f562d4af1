"""Templates as a text file that any program can read: JSON lines, not encrypted (docs/store.md)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sigedge_runtime.atomic import atomic_path
from sigedge_runtime.errors import StoreError
from sigedge_runtime.store.backup import create_private, require_free
from sigedge_runtime.store.merging import Merged
from sigedge_runtime.store.records import StoredTemplates
from sigedge_runtime.store.templates import TemplateStore
from sigedge_runtime.store.view import checked

FORMAT = "sigedge-templates"
FORMAT_VERSION = 1
_HEADER = {"format": FORMAT, "version": FORMAT_VERSION}
_LONGEST_LINE = 64 * 2**20  # bytes; a user has some kilobytes


def export_templates(store: TemplateStore, path: str | os.PathLike[str], *, overwrite: bool = False) -> Merged:
    """Write all users and templates of a store to a file, all at once, readable by its owner alone; not encrypted.

    Args:
        store: an open store.
        path: file to write.
        overwrite: replace a file that is there.

    Returns:
        How many users and templates were written.

    Raises:
        StoreError: the file exists or cannot be written, or the store is damaged.
    """
    target = Path(path)
    require_free(target, overwrite)
    try:
        with atomic_path(target) as partial:
            create_private(partial)
            with partial.open("wb") as file:
                return _write(file, store.stored())
    except OSError as error:
        raise StoreError(f"{target} cannot be written ({error.strerror or error}); name another file.") from None


def import_templates(store: TemplateStore, path: str | os.PathLike[str], *, existing: str = "refuse") -> Merged:
    """Add the users of a file of `export_templates` to a store, all of them or none; see `TemplateStore.merge`.

    Raises:
        TemplateMismatchError: the store has templates, and none of the same identity.
        StoreError: the file cannot be read, is no such file or was altered, or a user is enrolled already.
    """
    try:
        with open(path, "rb") as file:
            return store.merge(_read(file, os.fspath(path)), existing)
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror or error}); check its path.") from None


def _write(file: BinaryIO, users: Iterator[StoredTemplates]) -> Merged:
    digest, counts = hashlib.sha256(), [0, 0]

    def line(entry: dict[str, Any]) -> None:
        content = json.dumps(entry, ensure_ascii=False, sort_keys=True).encode() + b"\n"
        digest.update(content)
        file.write(content)

    line(_HEADER)
    for user in users:
        line(_entry(user))
        counts = [counts[0] + 1, counts[1] + len(user.vectors)]
    line({"end": {"users": counts[0], "templates": counts[1], "sha256": digest.hexdigest()}})
    return Merged(*counts)


def _entry(user: StoredTemplates) -> dict[str, Any]:
    vectors = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in user.vectors]
    templates = [{"created": time, "vector": vector} for time, vector in zip(user.times, vectors, strict=True)]
    return {"user": user.name, "identity": user.identity, "created": user.created, "templates": templates}


def _read(file: BinaryIO, name: str) -> Iterator[StoredTemplates]:
    """The users in a file; its end is checked before the last one is taken for good."""
    digest, counts, ended = hashlib.sha256(), [0, 0], False
    for number, content in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), start=1):
        entry = _parse(content, name, number)
        if number == 1:
            _require_header(entry, name)
        elif ended:
            raise _broken(name, number, "something follows the end")
        elif "end" in entry:
            ended = entry["end"] == {"users": counts[0], "templates": counts[1], "sha256": digest.hexdigest()}
            if not ended:
                raise _broken(name, number, "it was altered")
        else:
            user = _user(entry, name, number)
            counts = [counts[0] + 1, counts[1] + len(user.vectors)]
            yield user
        digest.update(content)
    if not ended:
        raise StoreError(f"{name} is not whole; export the templates again.")


def _parse(content: bytes, name: str, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(content)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict) or not content.endswith(b"\n"):
        raise _broken(name, number, "it is no line of an export")
    return entry


def _require_header(entry: dict[str, Any], name: str) -> None:
    if entry.get("format") != FORMAT:
        raise StoreError(f"{name} is no export of templates; make one with `sigedge store export`.")
    if entry.get("version") != FORMAT_VERSION:
        raise StoreError(
            f"{name} is an export of version {entry.get('version')}, this sigedge reads {FORMAT_VERSION}; import it "
            "with the sigedge that made it."
        )


def _user(entry: dict[str, Any], name: str, number: int) -> StoredTemplates:
    try:
        user, identity, created = (_text(entry[field]) for field in ("user", "identity", "created"))
        raw = [base64.b64decode(_text(one["vector"]), validate=True) for one in entry["templates"]]
        vectors = np.stack([np.frombuffer(one, "<f4") for one in raw]).astype(np.float32)
        times = tuple(_text(one["created"]) for one in entry["templates"])
        checked(user, vectors, identity)
    except (KeyError, TypeError, ValueError, StoreError) as error:
        raise _broken(name, number, f"it holds no user with templates: {error}") from None
    return StoredTemplates(user, identity, created, vectors, times)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is no text")
    return value


def _broken(name: str, number: int, why: str) -> StoreError:
    return StoreError(f"Line {number} of {name} cannot be used ({why}); export the templates again.")
