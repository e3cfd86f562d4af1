"""From names and templates to what lies in the file, and back: as they are, or sealed with AES-256-GCM.

What is sealed is bound to the store, the user and the identity (as associated data), so that nothing in the file can be
put in the place of something else. Each has a random nonce of 96 bits (NIST SP 800-38D, 8.2.2: at most 2**32 under one
key). The two keys in use, one for sealing and one for the hash of names, are derived from the given key and the
store's id by HKDF-SHA256 (RFC 5869).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from importlib import import_module
from types import ModuleType
from typing import Protocol

from sigedge_runtime.errors import StoreError, StoreKeyError

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Codec(Protocol):
    """How one store keeps names and templates."""

    key_check: bytes | None
    """What the file holds to tell the right key; None when nothing is encrypted."""

    def handle(self, name: str) -> str:
        """What a user is found by."""

    def seal_name(self, name: str) -> bytes | None:
        """What is stored beside the handle."""

    def open_name(self, handle: str, sealed: bytes | None) -> str:
        """The name; raises StoreError when it was altered."""

    def seal(self, vector: bytes, handle: str, identity: str) -> bytes:
        """A template, as it is stored."""

    def open(self, blob: bytes, handle: str, identity: str) -> bytes:
        """The template; raises StoreError when it was altered."""


class Plain:
    """Stores names and templates as they are."""

    key_check: bytes | None = None

    def handle(self, name: str) -> str:
        """The name itself."""
        return name

    def seal_name(self, name: str) -> None:
        """Nothing."""

    def open_name(self, handle: str, sealed: bytes | None) -> str:
        """The handle itself."""
        return handle

    def seal(self, vector: bytes, handle: str, identity: str) -> bytes:
        """The template itself."""
        return vector

    def open(self, blob: bytes, handle: str, identity: str) -> bytes:
        """The template itself."""
        return blob


class Sealed:
    """Stores them encrypted.

    Args:
        key: 32 bytes.
        store_id: of the store.
        store: its name, for sentences.
        key_check: what the file holds; None makes a new one.

    Raises:
        StoreKeyError: the key is not the one that `key_check` was made with, or cryptography is not installed.
    """

    def __init__(self, key: bytes, store_id: bytes, store: str, key_check: bytes | None = None) -> None:
        self._id, self._store = store_id, store
        self._cipher = _library("ciphers.aead").AESGCM(_derive(key, store_id, b"templates"))
        self._invalid = _library("exceptions", "cryptography").InvalidTag
        self._names = _derive(key, store_id, b"names")
        self.key_check: bytes | None = key_check or self._encrypt(b"", b"key")
        try:
            self._decrypt(self.key_check or b"", b"key")
        except self._invalid:
            raise StoreKeyError(f"The key does not open {store}; give the one that it was encrypted with.") from None

    def handle(self, name: str) -> str:
        """HMAC-SHA256 of the name: 64 hexadecimal digits, and of no use without the key."""
        return hmac.new(self._names, name.encode(), hashlib.sha256).hexdigest()

    def seal_name(self, name: str) -> bytes:
        """The name, encrypted."""
        return self._encrypt(name.encode(), b"name", self.handle(name).encode())

    def open_name(self, handle: str, sealed: bytes | None) -> str:
        """The name, decrypted."""
        try:
            return self._decrypt(sealed or b"", b"name", handle.encode()).decode()
        except self._invalid:
            raise self._damage("name") from None

    def seal(self, vector: bytes, handle: str, identity: str) -> bytes:
        """The template, encrypted."""
        return self._encrypt(vector, b"template", handle.encode(), identity.encode())

    def open(self, blob: bytes, handle: str, identity: str) -> bytes:
        """The template, decrypted."""
        try:
            return self._decrypt(blob, b"template", handle.encode(), identity.encode())
        except self._invalid:
            raise self._damage("template") from None

    def _encrypt(self, content: bytes, *bound: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + bytes(self._cipher.encrypt(nonce, content, self._bind(bound)))

    def _decrypt(self, blob: bytes, *bound: bytes) -> bytes:
        if len(blob) < _NONCE_BYTES + _TAG_BYTES:
            raise self._invalid
        return bytes(self._cipher.decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], self._bind(bound)))

    def _bind(self, parts: tuple[bytes, ...]) -> bytes:
        """Each part with its length, so that no two lists read alike."""
        return b"".join(len(part).to_bytes(4, "little") + part for part in (self._id, *parts))

    def _damage(self, what: str) -> StoreError:
        return StoreError(
            f"{self._store} is damaged: a {what} in it was altered and cannot be decrypted; restore the store from a "
            "backup or enrol again."
        )


def _derive(key: bytes, store_id: bytes, purpose: bytes) -> bytes:
    hashes, kdf = _library("hashes"), _library("kdf.hkdf")
    derived = kdf.HKDF(hashes.SHA256(), KEY_BYTES, salt=store_id, info=b"sigedge template store: " + purpose)
    return bytes(derived.derive(key))


def _library(module: str, package: str = "cryptography.hazmat.primitives") -> ModuleType:
    try:
        return import_module(f"{package}.{module}")
    except ImportError as error:
        raise StoreKeyError(
            f"An encrypted store needs the package cryptography ({error}); install it with: "
            "pip install 'sigedge[encrypt]'."
        ) from None
