"""Small files that spare work the next time: in the user's cache folder, made when first written, never needed."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sigedge_runtime.atomic import write_atomically

FOLDER_VARIABLE = "SIGEDGE_CACHE"


def cache_folder(part: str) -> Path | None:
    """``$SIGEDGE_CACHE/part``, else ``sigedge/part`` in the user's cache folder (XDG Base Directory).

    Returns:
        The folder, which need not exist; None when the user has no home.
    """
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named) / part
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # the specification says to ignore a relative path
        return base / "sigedge" / part
    try:
        return Path.home() / ".cache" / "sigedge" / part
    except RuntimeError:
        return None


def digest(key: object) -> str:
    """32 hexadecimal digits for the plain values of a key."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def load(part: str, key: object) -> Any:
    """What was kept under a key; None when there is nothing that can be read."""
    folder = cache_folder(part)
    if folder is None:
        return None
    with suppress(OSError, ValueError):
        return json.loads((folder / f"{digest(key)}.json").read_text(encoding="utf-8"))
    return None


def keep(part: str, key: object, value: object) -> bool:
    """Keep plain values under a key; False, and no error, when the folder cannot be written to."""
    folder = cache_folder(part)
    if folder is None:
        return False
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = json.dumps(value, indent=1, sort_keys=True).encode()
        write_atomically(folder / f"{digest(key)}.json", content, durable=False)
    except OSError:
        return False
    return True


def is_writable(part: str) -> bool:
    """Whether `keep` can be expected to work; the folder is made."""
    folder = cache_folder(part)
    if folder is None:
        return False
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.access(folder, os.W_OK | os.X_OK)
    return False
