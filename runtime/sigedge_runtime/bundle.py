"""Opening, checking and writing bundles: one folder, or a zip file of it.

The SHA-256 sums show damage and mix-ups. They do not show who wrote the bundle: get bundles over a trusted way.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from sigedge_runtime._zip import extract_zip
from sigedge_runtime.errors import BundleError, BundleIntegrityError
from sigedge_runtime.manifest import Artifact, Manifest

MANIFEST = "manifest.json"
DEFAULT_BUNDLE = Path(__file__).parent / "bundles" / "edgesig"

# Run the small, exact-everywhere int8 file where an engine can; QDQ ONNX comes last because a CPU runs it slower
# than float32, unoptimised, and it exists for accelerators.
_PREFERENCE = (
    ("tflite", "int8"),
    ("tflite", "float16"),
    ("tflite", "float32"),
    ("onnx", "float32"),
    ("onnx", "float16"),
    ("onnx", "int8"),
)


class Bundle:
    """A checked bundle; use it as a context manager or call `close`, which removes what was unpacked."""

    def __init__(
        self, root: Path, manifest: Manifest, name: str, unpacked: tempfile.TemporaryDirectory[str] | None = None
    ) -> None:
        """Use `Bundle.open`."""
        self.root = root
        self.manifest = manifest
        self.name = name
        self._unpacked = unpacked

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Bundle:
        """Open a bundle and check every file in it.

        Args:
            path: a folder or a ``.zip`` file; default: the bundle that ships inside this package.

        Raises:
            BundleError: there is no bundle there, or its manifest is invalid.
            BundleIntegrityError: a file is missing, unexpected or differs from its recorded SHA-256.
        """
        source = DEFAULT_BUNDLE if path is None else Path(path)
        if path is None and not source.is_dir():
            raise BundleError("This installation ships no default bundle; name a bundle made by `sigedge export`.")
        if source.is_dir():
            return cls(source, _check_folder(source, str(source)), str(source))
        if not source.exists():
            raise BundleError(f"The bundle {source} does not exist; check the path or make it with `sigedge export`.")
        unpacked = tempfile.TemporaryDirectory(prefix="sigedge-")
        try:
            root = Path(unpacked.name)
            extract_zip(source, root)
            return cls(root, _check_folder(root, str(source)), str(source), unpacked)
        except BaseException:
            unpacked.cleanup()
            raise

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
    """SHA-256 of each file below a folder by relative path; a ``manifest.json`` at its top is left out.

    Raises:
        BundleIntegrityError: there is a symbolic link or another thing that is no plain file.
    """
    root = Path(folder)
    paths = {path.relative_to(root).as_posix(): path for path in _plain_files(root)}
    return {name: hash_file(path) for name, path in sorted(paths.items()) if name != MANIFEST}


def write_manifest(folder: str | os.PathLike[str], manifest: Manifest) -> Path:
    """Write ``manifest.json`` into a bundle folder, all at once, and return its path."""
    target = Path(folder) / MANIFEST
    partial = target.with_name(f".{MANIFEST}.{os.getpid()}")
    try:
        partial.write_text(manifest.to_json(), encoding="utf-8")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def zip_bundle(folder: str | os.PathLike[str], zip_path: str | os.PathLike[str]) -> Path:
    """Write a checked bundle folder as a zip file that is equal byte for byte on every machine.

    Files are stored, not compressed: sorted, with a fixed date and mode. A device can map them from the archive.

    Raises:
        BundleError: the folder is no intact bundle.
    """
    root, target = Path(folder), Path(zip_path)
    manifest = _check_folder(root, str(root))
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted([MANIFEST, *manifest.files]):
                entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                entry.create_system, entry.external_attr = 3, 0o100644 << 16
                archive.writestr(entry, (root / name).read_bytes())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _plain_files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        for path in (Path(folder) / name for name in [*folders, *files]):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise BundleIntegrityError(f"{path} is not a plain file; a bundle holds no links, copy it again.")
        yield from (Path(folder) / name for name in files)


def _check_folder(root: Path, name: str) -> Manifest:
    """Read the manifest and hold every file against it."""
    try:
        manifest = Manifest.from_json((root / MANIFEST).read_text(encoding="utf-8"), f"{name}: {MANIFEST}")
    except (OSError, UnicodeDecodeError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise BundleError(f"{name} is not a bundle: its {MANIFEST} {reason}; name the folder that holds it.") from None
    _check_files(hash_files(root), manifest, name)
    for artifact in manifest.artifacts:
        _check_artifact(root / artifact.file, artifact, name)
    return manifest


def _check_files(found: dict[str, str], manifest: Manifest, name: str) -> None:
    remedy = "copy or export the bundle again"
    if missing := sorted(set(manifest.files) - set(found)):
        raise BundleIntegrityError(f"The bundle {name} lacks {', '.join(missing)}; {remedy}.")
    if extra := sorted(set(found) - set(manifest.files)):
        raise BundleIntegrityError(f"The bundle {name} holds {', '.join(extra)}, not in its manifest; {remedy}.")
    if altered := sorted(path for path in found if found[path] != manifest.files[path]):
        raise BundleIntegrityError(f"The bundle {name} was altered: {', '.join(altered)}; {remedy}.")


def _check_artifact(path: Path, artifact: Artifact, name: str) -> None:
    if artifact.format == "saved_model":
        size = sum(file.stat().st_size for file in _plain_files(path))
        intact = size == artifact.size and hash_tree(path) == artifact.sha256
    else:
        intact = path.stat().st_size == artifact.size
    if not intact:
        raise BundleIntegrityError(f"The bundle {name} declares {artifact.file} wrongly; export the bundle again.")
