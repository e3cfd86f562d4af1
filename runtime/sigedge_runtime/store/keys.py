"""Where the key of an encrypted store comes from.

A source is a short text: ``file:PATH``, ``env:NAME`` (a variable that holds the key itself), or ``keyring:NAME`` (an
entry of the operating system's keyring, under the service sigedge). The key is 32 random bytes, written as base64.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from importlib import import_module
from pathlib import Path
from typing import Any

from sigedge_runtime.errors import StoreKeyError
from sigedge_runtime.store.codec import KEY_BYTES

KEY_VARIABLE = "SIGEDGE_STORE_KEY"
"""The environment variable that holds the source of the key where none is given."""
SERVICE = "sigedge"
"""The keyring's service name."""
_FORMS = "file:PATH, keyring:NAME or env:NAME"
_MAX_TEXT = 256


def chosen_source(key: str | None) -> str:
    """The source to use: the given one, else that of `KEY_VARIABLE`; empty when there is none."""
    return os.environ.get(KEY_VARIABLE, "") if key is None else key


def read_key(source: str) -> bytes:
    """The key, 32 bytes, that a source holds.

    Raises:
        StoreKeyError: the source is of no known form or holds no key, or other users can read the file.
    """
    kind, place = _split(source)
    text = {"file": _from_file, "env": _from_environment, "keyring": _from_keyring}[kind](place)
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreKeyError(
            f"{source} holds no key, which is {KEY_BYTES} bytes in base64; make one with `sigedge store new-key`."
        )
    return key


def make_key(source: str) -> None:
    """Draw a key and put it into a file (mode 0600) or the keyring; none that is there is overwritten.

    Raises:
        StoreKeyError: there is a key already, or it cannot be written, or the source is an environment variable.
    """
    kind, place = _split(source)
    text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    if kind == "file":
        _write_new(Path(place), text)
    elif kind == "keyring":
        _into_keyring(place, text)
    else:
        raise StoreKeyError(
            f"A key cannot be put into the environment variable {place} from here; make it with "
            "`sigedge store new-key file:PATH` and let the variable hold what is in the file."
        )


def _split(source: str) -> tuple[str, str]:
    kind, _, place = source.partition(":")
    if kind not in ("file", "env", "keyring") or not place:
        raise StoreKeyError(f"The key source {source!r} is unknown; write {_FORMS}.")
    return kind, os.path.expanduser(place) if kind == "file" else place


def _from_file(place: str) -> str:
    try:
        with open(place, encoding="ascii", errors="replace") as file:
            if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise StoreKeyError(f"The key file {place} can be read by other users; run: chmod 600 {place}")
            return file.read(_MAX_TEXT)
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise StoreKeyError(f"The key file {place} cannot be read ({text}); check its path.") from None


def _from_environment(place: str) -> str:
    text = os.environ.get(place)
    if text is None:
        raise StoreKeyError(f"The environment variable {place} is not set; let it hold the key of the store.")
    return text


def _from_keyring(place: str) -> str:
    keyring = _keyring()
    try:
        text: str | None = keyring.get_password(SERVICE, place)
    except keyring.errors.KeyringError as error:
        raise _no_keyring(error) from None
    if text is None:
        raise StoreKeyError(
            f"The keyring holds no key {place!r} of {SERVICE}; make one with `sigedge store new-key keyring:{place}`."
        )
    return text


def _into_keyring(place: str, text: str) -> None:
    keyring = _keyring()
    try:
        if keyring.get_password(SERVICE, place) is not None:
            raise StoreKeyError(f"The keyring holds a key {place!r} already, maybe the only copy; choose another.")
        keyring.set_password(SERVICE, place, text)
    except keyring.errors.KeyringError as error:
        raise _no_keyring(error) from None


def _keyring() -> Any:
    try:
        import_module("keyring.errors")
        return import_module("keyring")
    except ImportError as error:
        raise StoreKeyError(
            f"A key in the keyring needs the package keyring ({error}); install it with: "
            "pip install 'sigedge[keyring]'."
        ) from None


def _no_keyring(error: Exception) -> StoreKeyError:
    return StoreKeyError(
        f"The keyring here cannot be used ({' '.join(str(error).split())}); keep the key in a file: file:PATH."
    )


def _write_new(path: Path, text: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise StoreKeyError(f"{path} exists and may be the only copy of a key; name another file.") from None
    except OSError as error:
        raise StoreKeyError(f"{path} cannot be written ({error.strerror}); name another file.") from None
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise
