"""Who made a bundle: an Ed25519 signature (RFC 8032) over its manifest, which names every other file by SHA-256.

The signature lies beside the manifest as ``manifest.sig``. Its key id only says which key to try; trust comes from the
public keys that the reader brings along. Needs the package cryptography, which is imported when a key is used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sigedge_runtime._records import Record, dump_json, one_of, parse_json, require
from sigedge_runtime.errors import BundleError, BundleIntegrityError, SigningError

SIGNATURE = "manifest.sig"
ALGORITHM = "ed25519"
SIGNATURE_VERSION = 1
SIGNATURE_BYTES = 64
MAX_FILE_BYTES = 4096
"""No key and no signature file is longer; a longer file is not read."""

KeyFile = str | os.PathLike[str]

# What is signed begins with these words, so that a signature made for something else never fits a manifest.
_DOMAIN = b"sigedge bundle manifest, signature version 1\0"
_KEY_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Signature(Record):
    """The content of ``manifest.sig``.

    Attributes:
        format_version: `SIGNATURE_VERSION`.
        algorithm: ``ed25519``.
        key_id: SHA-256 of the raw public key (32 bytes), 64 hexadecimal digits.
        signature: base64 of the 64 bytes.
    """

    format_version: int
    algorithm: str
    key_id: str
    signature: str

    def __post_init__(self) -> None:
        require(self.format_version == SIGNATURE_VERSION, f"format_version must be {SIGNATURE_VERSION}")
        one_of("algorithm", self.algorithm, (ALGORITHM,))
        require(_KEY_ID.fullmatch(self.key_id) is not None, "key_id must be 64 lower-case hexadecimal digits")
        require(len(self.raw) == SIGNATURE_BYTES, f"signature must hold {SIGNATURE_BYTES} bytes")
        require(base64.b64encode(self.raw).decode() == self.signature, "signature must be canonical base64")

    @property
    def raw(self) -> bytes:
        """The 64 bytes."""
        try:
            return base64.b64decode(self.signature, validate=True)
        except (ValueError, binascii.Error):
            return b""

    @classmethod
    def from_bytes(cls, content: bytes, where: str = SIGNATURE) -> Signature:
        """Read a signature file, which has exactly one way to be written.

        Raises:
            BundleIntegrityError: it is no such file.
        """
        try:
            found = cls.from_dict(parse_json(content.decode("utf-8"), where), where)
        except (BundleError, UnicodeDecodeError) as error:
            raise BundleIntegrityError(f"{where} is no signature ({error}); sign the bundle again.") from None
        if found.to_bytes() != content:
            raise BundleIntegrityError(f"{where} was altered after it was written; sign the bundle again.")
        return found

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, indent 2, a final newline."""
        return dump_json(self).encode()


def generate_key(path: KeyFile) -> str:
    """Make a signing key: the private half at `path` (PEM, PKCS 8, mode 0600), the public beside it as ``<path>.pub``.

    Args:
        path: file to write; neither it nor the ``.pub`` file may exist.

    Returns:
        The key id.

    Raises:
        SigningError: a file is in the way or cannot be written, or cryptography is not installed.
    """
    ed25519, serialization = _library("asymmetric.ed25519"), _library("serialization")
    key = ed25519.Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    target = Path(path)
    _write_new(target, private, 0o600)
    try:
        _write_new(public_file(target), public, 0o644)
    except SigningError:
        target.unlink()
        raise
    return _key_id(key.public_key())


def public_file(path: KeyFile) -> Path:
    """Where `generate_key` puts the public half of the key at `path`."""
    target = Path(path)
    return target.with_name(f"{target.name}.pub")


def sign_manifest(content: bytes, key_file: KeyFile) -> Signature:
    """Sign the exact bytes of a manifest.

    Raises:
        SigningError: the file is no Ed25519 private key in unencrypted PEM, or cryptography is not installed.
    """
    key = _load(key_file, private=True)
    signature = base64.b64encode(key.sign(_DOMAIN + content)).decode()
    return Signature(SIGNATURE_VERSION, ALGORITHM, _key_id(key.public_key()), signature)


def check_signature(
    content: bytes, signature: Signature | None, trusted_keys: Sequence[KeyFile], name: str = "it"
) -> None:
    """Refuse a manifest that none of the trusted keys signed.

    Args:
        content: exact bytes of ``manifest.json``.
        signature: what ``manifest.sig`` holds; None when there is none.
        trusted_keys: PEM files of Ed25519 public keys; an empty list trusts nobody.
        name: of the bundle, for the sentence.

    Raises:
        BundleIntegrityError: there is no signature, or it is by another key, or of another manifest.
        SigningError: a trusted key cannot be read, or cryptography is not installed.
    """
    exceptions = _library("exceptions", "cryptography")
    keys = [_load(file, private=False) for file in trusted_keys]
    if signature is None:
        raise BundleIntegrityError(f"The bundle {name} is not signed; sign it with `sigedge bundle sign`.")
    by_id = {_key_id(key): key for key in keys}
    if signature.key_id not in by_id:
        raise BundleIntegrityError(
            f"The bundle {name} is signed by the key {signature.key_id[:16]}, which is not trusted here; get the "
            "bundle from whom you trust, or the public key of who signed it."
        )
    try:
        by_id[signature.key_id].verify(signature.raw, _DOMAIN + content)
    except exceptions.InvalidSignature:
        raise BundleIntegrityError(
            f"The bundle {name} was altered: its manifest is not the one that was signed; get the bundle again."
        ) from None


def _library(module: str, package: str = "cryptography.hazmat.primitives") -> ModuleType:
    from importlib import import_module

    try:
        return import_module(f"{package}.{module}")
    except ImportError as error:
        raise SigningError(
            f"Signatures need the package cryptography ({error}); install it with: pip install 'sigedge[sign]'."
        ) from None


def _load(path: KeyFile, *, private: bool) -> Any:
    """The key object in a PEM file."""
    ed25519, serialization = _library("asymmetric.ed25519"), _library("serialization")
    exceptions = _library("exceptions", "cryptography")
    kind = ed25519.Ed25519PrivateKey if private else ed25519.Ed25519PublicKey
    content = _read_key(path)
    try:
        key = (
            serialization.load_pem_private_key(content, None) if private else serialization.load_pem_public_key(content)
        )
    except (ValueError, TypeError, exceptions.UnsupportedAlgorithm):
        key = None
    if not isinstance(key, kind):
        half = "private" if private else "public"
        raise SigningError(
            f"{path} is no Ed25519 {half} key in unencrypted PEM; make a pair with `sigedge bundle keygen`, which "
            "writes the public half as the .pub file."
        )
    return key


def _read_key(path: KeyFile) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise SigningError(f"The key {path} cannot be read ({error.strerror}); check its path.") from None


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not be there yet, with its final permissions from the first byte on."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise SigningError(f"{path} exists and may be the only copy of a key; name another file.") from None
    except OSError as error:
        raise SigningError(f"{path} cannot be written ({error.strerror}); name another file.") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except BaseException:
        path.unlink()
        raise


def _key_id(public_key: Any) -> str:
    raw: bytes = public_key.public_bytes_raw()
    return hashlib.sha256(raw).hexdigest()
