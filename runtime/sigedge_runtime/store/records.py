"""What a template store returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class StoredUser:
    """A user of the store: `identity` is what made the templates, `created` an ISO 8601 time in UTC."""

    name: str
    templates: int
    identity: str
    created: str


@dataclass(frozen=True)
class StoredTemplates:
    """All that is stored of one user.

    Attributes:
        name: of the user.
        identity: what made the templates.
        created: when the user was enrolled, ISO 8601 in UTC.
        vectors: float32 [K, D], oldest first.
        times: when each was stored, K ISO 8601 times in UTC.
    """

    name: str
    identity: str
    created: str
    vectors: NDArray[np.float32]
    times: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    """Templates of several users: float32 [K, D], those of `users[i]` being the next `sizes[i]` rows."""

    users: tuple[str, ...]
    sizes: NDArray[np.intp]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class StoreFacts:
    """What can be told of a store without its key.

    Attributes:
        schema_version: of the file.
        store_id: 32 hexadecimal digits, drawn when the store was made.
        encrypted: whether templates and names are.
        users: how many.
        templates: how many.
        identities: for each of what made the templates, of how many users.
        revision: see `TemplateStore.revision`.
        erasure_pending: whether the log may still hold what was removed.
        size: bytes of the file with its log.
    """

    schema_version: int
    store_id: str
    encrypted: bool
    users: int
    templates: int
    identities: dict[str, int]
    revision: str
    erasure_pending: bool
    size: int
