"""Writing into a ``.tflite`` or ``.onnx`` file what it is; `sigedge_runtime.metadata` reads it.

Both ways only append: the bytes of the model stay as the converter wrote them, so that nothing can compute otherwise.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from sigedge_runtime._protobuf import fields, length_field
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.bundle import Bundle, hash_file, hash_files, write_manifest
from sigedge_runtime.errors import ExportError
from sigedge_runtime.manifest import Artifact, Manifest
from sigedge_runtime.metadata import (
    ENTRY,
    KEY,
    METADATA_PROPS,
    PROP_KEY,
    PROP_VALUE,
    FileMetadata,
    onnx_property,
    read_metadata,
)


def label_bundle(folder: Path) -> Manifest:
    """Write into every ``.tflite`` and ``.onnx`` file of a bundle folder what the manifest says of it.

    The files change, and so the manifest is written anew with their sums; a signature does not fit it any more.

    Args:
        folder: of an intact bundle.

    Returns:
        The new manifest.

    Raises:
        BundleError: the folder is no intact bundle.
        ExportError: a file is not of the format that the manifest declares.
    """
    with Bundle.open(folder) as bundle:
        manifest = bundle.manifest
    artifacts = tuple(_label(folder, manifest, artifact) for artifact in manifest.artifacts)
    labelled = replace(manifest, artifacts=artifacts, files=hash_files(folder))
    write_manifest(folder, labelled)
    return labelled


def _label(folder: Path, manifest: Manifest, artifact: Artifact) -> Artifact:
    if artifact.format not in EMBEDDERS:
        return artifact
    path = folder / artifact.file
    embed_metadata(path, FileMetadata.of(manifest, artifact))
    return replace(artifact, sha256=hash_file(path), size=path.stat().st_size)


def embed_metadata(path: Path, metadata: FileMetadata) -> None:
    """Write metadata into a file of one of the formats of `EMBEDDERS`, in place of earlier metadata, all at once.

    Args:
        path: the file; the same file with the same metadata always becomes the same bytes.
        metadata: what it says; its format decides how.

    Raises:
        ExportError: files of that format carry none, or this file is not of it.
    """
    if metadata.format not in EMBEDDERS:
        formats = ", ".join(EMBEDDERS)
        raise ExportError(f"{path} cannot carry metadata: only files of {formats} do; leave it out.")
    try:
        content = EMBEDDERS[metadata.format](path.read_bytes(), metadata.to_json().encode())
    except (ValueError, zipfile.BadZipFile) as error:
        raise ExportError(f"{path} is no sound {metadata.format} file ({error}); export it again.") from None
    write_atomically(path, content)
    if read_metadata(path) != metadata:
        raise ExportError(f"{path} does not return the metadata written into it; report this as a bug.")


def _into_onnx(model: bytes, text: bytes) -> bytes:
    # Parts of a repeated field may lie anywhere in a message: one more at the end is one more property.
    parts = list(fields(model))
    if not parts:
        raise ValueError("it is empty")
    kept = b"".join(model[part.start : part.end] for part in parts if onnx_property(part) is None)
    entry = length_field(PROP_KEY, KEY.encode()) + length_field(PROP_VALUE, text)
    return kept + length_field(METADATA_PROPS, entry)


def _into_tflite(model: bytes, text: bytes) -> bytes:
    if model[4:8] != b"TFL3":
        raise ValueError("it has no TFL3 mark")
    content = BytesIO(_without_archive(model))
    with zipfile.ZipFile(content, "a", zipfile.ZIP_STORED) as archive:
        entry = zipfile.ZipInfo(ENTRY, date_time=(1980, 1, 1, 0, 0, 0))
        entry.create_system, entry.external_attr = 3, 0o100644 << 16
        archive.writestr(entry, text)
    return content.getvalue()


def _without_archive(model: bytes) -> bytes:
    """The file without an archive of ours; one of somebody else's is no reason to lose it."""
    if not zipfile.is_zipfile(BytesIO(model)):
        return model
    with zipfile.ZipFile(BytesIO(model)) as archive:
        if archive.namelist() != [ENTRY]:
            raise ValueError(f"it carries an archive of {', '.join(archive.namelist())[:100]}")
        return model[: archive.infolist()[0].header_offset]


EMBEDDERS: dict[str, Callable[[bytes, bytes], bytes]] = {"onnx": _into_onnx, "tflite": _into_tflite}
