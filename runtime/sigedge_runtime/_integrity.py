"""Holding the files of a bundle against its manifest."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sigedge_runtime._names import alike
from sigedge_runtime.errors import BundleError, BundleIntegrityError
from sigedge_runtime.manifest import Artifact, Manifest
from sigedge_runtime.signing import MAX_FILE_BYTES, SIGNATURE, Signature

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 16 * 2**20


def hash_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def hash_tree(folder: str | os.PathLike[str]) -> str:
    """SHA-256 over a folder: of the sorted lines ``<sha256>  <relative path>`` of all its files."""
    lines = (f"{digest}  {path}\n" for path, digest in sorted(hash_files(folder).items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def hash_files(folder: str | os.PathLike[str]) -> dict[str, str]:
    """SHA-256 of each file below a folder by relative path; the manifest and its signature at the top are left out.

    Raises:
        BundleIntegrityError: there is a symbolic link or another thing that is no plain file.
    """
    root = Path(folder)
    paths = {path.relative_to(root).as_posix(): path for path in _plain_files(root)}
    return {name: hash_file(path) for name, path in sorted(paths.items()) if name not in (MANIFEST, SIGNATURE)}


def read_manifest(root: Path, name: str) -> bytes:
    """Exact bytes of a bundle folder's manifest.

    Raises:
        BundleError: there is none, or it cannot be read.
    """
    try:
        return _read_plain(root / MANIFEST, MAX_MANIFEST_BYTES)
    except OSError as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise BundleError(f"{name} is not a bundle: its {MANIFEST} {reason}; name the folder that holds it.") from None


def parse_manifest(content: bytes, name: str) -> Manifest:
    """What the bytes of a manifest say.

    Raises:
        BundleError: it is no valid manifest.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{name}: {MANIFEST} is no text ({error}); export the bundle again.") from None
    return Manifest.from_json(text, f"{name}: {MANIFEST}")


def read_signature(root: Path, name: str) -> Signature | None:
    """The signature in a bundle folder; None when there is none.

    Raises:
        BundleError: it cannot be read, or is no signature.
    """
    try:
        content = _read_plain(root / SIGNATURE, MAX_FILE_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BundleError(f"{name}: its {SIGNATURE} cannot be read ({error}); check its permissions.") from None
    return Signature.from_bytes(content, f"{name}: {SIGNATURE}")


def check_files(found: dict[str, str], manifest: Manifest, name: str) -> None:
    """Hold the sums of the files found against those of the manifest.

    Raises:
        BundleIntegrityError: a file is missing, extra or altered, or two names differ in case alone.
    """
    remedy = "copy or export the bundle again"
    if doubled := alike([MANIFEST, SIGNATURE, *manifest.files]):
        raise BundleIntegrityError(
            f"The bundle {name} lists {doubled[0]!r} twice, or in two ways that some file systems take for one; "
            "export the bundle again."
        )
    if missing := sorted(set(manifest.files) - set(found)):
        raise BundleIntegrityError(f"The bundle {name} lacks {', '.join(missing)}; {remedy}.")
    if extra := sorted(set(found) - set(manifest.files)):
        raise BundleIntegrityError(f"The bundle {name} holds {', '.join(extra)}, not in its manifest; {remedy}.")
    if altered := sorted(path for path in found if found[path] != manifest.files[path]):
        raise BundleIntegrityError(f"The bundle {name} was altered: {', '.join(altered)}; {remedy}.")


def check_artifact(path: Path, artifact: Artifact, name: str) -> None:
    """Hold an artefact's file or folder against what the manifest says of it.

    Raises:
        BundleIntegrityError: its size or sum differs.
    """
    if artifact.format == "saved_model":
        size = sum(file.stat().st_size for file in _plain_files(path))
        intact = size == artifact.size and hash_tree(path) == artifact.sha256
    else:
        intact = path.stat().st_size == artifact.size
    if not intact:
        raise BundleIntegrityError(f"The bundle {name} declares {artifact.file} wrongly; export the bundle again.")


def _plain_files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        for path in (Path(folder) / name for name in [*folders, *files]):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise _not_plain(path)
        yield from (Path(folder) / name for name in files)


def _read_plain(path: Path, limit: int) -> bytes:
    """The bytes of a plain file that is not longer than the limit."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise _not_plain(path)
    if found.st_size > limit:
        raise BundleIntegrityError(f"{path} is longer than {limit} bytes; copy or export the bundle again.")
    return path.read_bytes()


def _not_plain(path: Path) -> BundleIntegrityError:
    return BundleIntegrityError(f"{path} is not a plain file; a bundle holds no links, copy it again.")
