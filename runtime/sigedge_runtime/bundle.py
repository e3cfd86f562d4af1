"""Opening, checking and writing bundles: one folder, or a zip file of it.

The SHA-256 sums show damage and mix-ups. Who wrote a bundle is shown by its signature alone: open it with the public
keys that are trusted.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from sigedge_runtime._integrity import (
    MANIFEST,
    check_artifact,
    check_files,
    hash_file,
    hash_files,
    hash_tree,
    parse_manifest,
    read_manifest,
    read_signature,
)
from sigedge_runtime._zip import extract_zip
from sigedge_runtime.atomic import atomic_path, write_atomically
from sigedge_runtime.errors import BundleError
from sigedge_runtime.manifest import Artifact, Manifest
from sigedge_runtime.signing import SIGNATURE, KeyFile, Signature, check_signature, sign_manifest

__all__ = [
    "DEFAULT_BUNDLE",
    "MANIFEST",
    "SIGNATURE",
    "Bundle",
    "hash_file",
    "hash_files",
    "hash_tree",
    "sign_bundle",
    "write_manifest",
    "zip_bundle",
]

SHIPPED = Path(__file__).parent / "bundles"
"""Folder of the bundles that are part of this package; each can be opened by its name alone."""
DEFAULT_BUNDLE = SHIPPED / "edgesig"

# Run the small, exact-everywhere int8 file where an engine can. dynamic_range and int16_activations come after the
# float files: older engines may refuse the first, and none hands the second to XNNPACK. QDQ ONNX comes last because a
# CPU runs it slower than float32, unoptimised, and it exists for accelerators.
_PREFERENCE = (
    ("tflite", "int8"),
    ("tflite", "mixed"),
    ("tflite", "float16"),
    ("tflite", "float32"),
    ("tflite", "dynamic_range"),
    ("tflite", "int16_activations"),
    ("onnx", "float32"),
    ("onnx", "float16"),
    ("onnx", "int8"),
)


class Bundle:
    """A checked bundle; use it as a context manager or call `close`, which removes what was unpacked.

    Attributes:
        root: folder of its files.
        manifest: what it says of itself.
        name: what it was opened as, for messages.
        signature: what ``manifest.sig`` holds, None without one; proves nothing unless the bundle was opened with
            `trusted_keys`.
    """

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        name: str,
        signature: Signature | None = None,
        unpacked: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        """Use `Bundle.open`."""
        self.root = root
        self.manifest = manifest
        self.name = name
        self.signature = signature
        self._unpacked = unpacked

    @classmethod
    def open(
        cls, path: str | os.PathLike[str] | None = None, *, trusted_keys: Sequence[KeyFile] | None = None
    ) -> Bundle:
        """Open a bundle and check every file in it.

        Args:
            path: a folder or a ``.zip`` file, or the name of a bundle that ships inside this package, such as
                ``"edgesig-clean"``, where there is no such file; ``edgesig`` by default.
            trusted_keys: PEM files of Ed25519 public keys, one of which must have signed the bundle; None asks for no
                signature.

        Raises:
            BundleError: there is no bundle there, or its manifest is invalid.
            BundleIntegrityError: a file is missing, unexpected or differs from its recorded SHA-256, or no trusted
                key signed the bundle.
            SigningError: a trusted key cannot be read, or the package cryptography is not installed.
        """
        source = DEFAULT_BUNDLE if path is None else _found(Path(path))
        if path is None and not source.is_dir():
            raise BundleError("This installation ships no default bundle; name a bundle made by `sigedge export`.")
        if source.is_dir():
            return cls._checked(source, str(source), trusted_keys)
        if not source.exists():
            raise BundleError(f"The bundle {source} does not exist; check the path or make it with `sigedge export`.")
        if not source.is_file():
            raise BundleError(f"{source} is neither a folder nor a file; name a bundle's folder or its zip file.")
        unpacked = tempfile.TemporaryDirectory(prefix="sigedge-")
        try:
            root = Path(unpacked.name)
            extract_zip(source, root)
            return cls._checked(root, str(source), trusted_keys, unpacked)
        except BaseException:
            unpacked.cleanup()
            raise

    @classmethod
    def _checked(
        cls,
        root: Path,
        name: str,
        trusted_keys: Sequence[KeyFile] | None,
        unpacked: tempfile.TemporaryDirectory[str] | None = None,
    ) -> Bundle:
        """Read manifest and signature, trust them if asked to, and hold every file against the manifest."""
        content = read_manifest(root, name)
        signature = read_signature(root, name)
        if trusted_keys is not None:
            check_signature(content, signature, trusted_keys, name)
        manifest = parse_manifest(content, name)
        check_files(hash_files(root), manifest, name)
        for artifact in manifest.artifacts:
            check_artifact(root / artifact.file, artifact, name)
        return cls(root, manifest, name, signature, unpacked)

    def path(self, relative: str) -> Path:
        """Location of a file, or of a ``saved_model`` folder, that the manifest lists.

        Raises:
            BundleError: the manifest does not list it.
        """
        listed = relative in self.manifest.files or any(relative == entry.file for entry in self.manifest.artifacts)
        if not listed:
            raise BundleError(f"The bundle {self.name} lists no file {relative!r}; name a path from its manifest.")
        return self.root / relative

    def artifacts(self, *, format: str | None = None, precision: str | None = None) -> tuple[Artifact, ...]:
        """All artefacts the runtime can run, of that format and precision, best for a device first."""
        found = [
            artifact
            for artifact in self.manifest.artifacts
            if (artifact.format, artifact.precision) in _PREFERENCE
            and format in (None, artifact.format)
            and precision in (None, artifact.precision)
        ]
        return tuple(sorted(found, key=lambda artifact: _PREFERENCE.index((artifact.format, artifact.precision))))

    def artifact(self, name: str | None = None, *, format: str | None = None, precision: str | None = None) -> Artifact:
        """One artefact: by its name, or the best for a device of that format and precision.

        Raises:
            BundleError: there is none; the sentence lists what there is.
        """
        if name is None:
            found = self.artifacts(format=format, precision=precision)
        else:
            found = tuple(artifact for artifact in self.manifest.artifacts if artifact.name == name)
        if found:
            return found[0]
        wanted = name or " ".join(part for part in (precision, format) if part) or "runnable"
        names = ", ".join(artifact.name for artifact in self.manifest.artifacts)
        raise BundleError(f"The bundle {self.name} has no {wanted} artefact; it holds {names}.")

    def close(self) -> None:
        """Remove unpacked files; the bundle's paths are invalid afterwards."""
        if self._unpacked is not None:
            self._unpacked.cleanup()

    def __enter__(self) -> Bundle:
        """Return the bundle itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the bundle."""
        self.close()


def _found(path: Path) -> Path:
    """The path, or the bundle of that name which ships inside this package where nothing lies at the path."""
    shipped = SHIPPED / path.name
    try:
        return shipped if path.parent == Path() and not path.exists() and shipped.is_dir() else path
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BundleError(f"The bundle {path} cannot be looked for ({error.strerror}); check the path.") from None


def write_manifest(folder: str | os.PathLike[str], manifest: Manifest) -> Path:
    """Write ``manifest.json`` into a bundle folder, all at once, and return its path."""
    return write_atomically(Path(folder) / MANIFEST, manifest.to_json().encode())


def sign_bundle(path: str | os.PathLike[str], key_file: KeyFile) -> Signature:
    """Sign an intact bundle, in place of an earlier signature.

    Args:
        path: a folder, which gets a ``manifest.sig``, or a ``.zip`` file, which is written anew, all at once.
        key_file: Ed25519 private key in unencrypted PEM, of `signing.generate_key`.

    Raises:
        BundleError: there is no intact bundle.
        SigningError: the key cannot be used, or the package cryptography is not installed.
    """
    with Bundle.open(path) as bundle:
        signature = sign_manifest((bundle.root / MANIFEST).read_bytes(), key_file)
        write_atomically(bundle.root / SIGNATURE, signature.to_bytes())
        if bundle.root != Path(path):
            zip_bundle(bundle.root, path)
    return signature


def zip_bundle(folder: str | os.PathLike[str], zip_path: str | os.PathLike[str]) -> Path:
    """Write a checked bundle folder as a zip file that is equal byte for byte on every machine.

    Files are stored, not compressed: sorted, with a fixed date and mode. A device can map them from the archive.

    Raises:
        BundleError: the folder is no intact bundle.
    """
    root, target = Path(folder), Path(zip_path)
    bundle = Bundle.open(root)
    signature = [] if bundle.signature is None else [SIGNATURE]
    with atomic_path(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted([MANIFEST, *signature, *bundle.manifest.files]):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, (root / name).read_bytes())
    return target
