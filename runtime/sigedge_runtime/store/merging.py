"""Taking over users from another store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sigedge_runtime.errors import StoreError, TemplateMismatchError
from sigedge_runtime.store.records import StoredTemplates
from sigedge_runtime.store.view import Change

EXISTING = ("refuse", "keep", "replace", "merge")
"""What can be done with a user who is enrolled already."""


@dataclass(frozen=True)
class Merged:
    """How many users and templates were taken over."""

    users: int
    templates: int


def merge(change: Change, users: Iterable[StoredTemplates], existing: str) -> Merged:
    """Add users inside a transaction; see `TemplateStore.merge`."""
    if existing not in EXISTING:
        raise StoreError(f"There is no way {existing!r} to treat enrolled users; choose one of {', '.join(EXISTING)}.")
    here = change.identities()
    counts = [0, 0]
    for given in users:
        if here and given.identity not in here:
            raise TemplateMismatchError(
                f"The templates of {given.name!r} were made by {given.identity}, those in {change.store} by "
                f"{min(here)}; take them over into another store."
            )
        new = _to_insert(change, given, existing)
        if len(new.vectors):
            change.insert(new)
            counts = [counts[0] + 1, counts[1] + len(new.vectors)]
    return Merged(*counts)


def _to_insert(change: Change, given: StoredTemplates, existing: str) -> StoredTemplates:
    """What of a user is to be added, after the old templates are gone that are to go."""
    if change.find(given.name) is None:
        return given
    if existing == "refuse":
        raise StoreError(
            f"{given.name!r} is enrolled in {change.store} already; say whether to keep, replace or merge (--existing)."
        )
    if existing == "keep":
        return _only(given, [])
    if existing == "replace":
        change.delete(given.name)
        return given
    stored = {row.tobytes() for row in change.templates(given.name)[1]}
    return _only(given, [i for i, row in enumerate(given.vectors) if row.tobytes() not in stored])


def _only(given: StoredTemplates, rows: list[int]) -> StoredTemplates:
    return replace(given, vectors=given.vectors[rows], times=tuple(given.times[i] for i in rows))
