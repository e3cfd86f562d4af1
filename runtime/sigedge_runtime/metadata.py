"""What a single ``.tflite`` or ``.onnx`` file says of itself, so that it is still usable without its bundle.

An ONNX file holds it in ``metadata_props`` under `KEY`; a TFLite file has a zip archive appended whose one entry is
`ENTRY`, as TensorFlow Lite's own metadata keeps associated files. Engines ignore both. Neither is signed, nor covered
by a sum once the file has left its bundle: take it as a label on a box.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from sigedge_runtime._integrity import hash_file
from sigedge_runtime._protobuf import Field, fields
from sigedge_runtime._records import Record, dump_json, parse_json, require
from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import BundleError
from sigedge_runtime.manifest import Artifact, Manifest, ModelInfo, Tensor
from sigedge_runtime.preprocessing import PreprocessSpec

METADATA_VERSION = 1
KEY = "sigedge"
ENTRY = "sigedge.json"
MAX_BYTES = 2**20

# Numbers of fields in https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: ModelProto and StringStringEntryProto.
METADATA_PROPS, PROP_KEY, PROP_VALUE = 14, 1, 2


@dataclass(frozen=True)
class FileMetadata(Record):
    """What goes into an artefact's file.

    Attributes:
        format_version: `METADATA_VERSION`.
        name: of the artefact, e.g. ``edgesig-int8-tflite``.
        format: as in the manifest.
        precision: as in the manifest.
        input: takes raw canvas values 0 to 255.
        output: the unnormalised embedding.
        score_tolerance: as in the manifest.
        model: the network: name, version, checkpoint, licence.
        preprocess: how an image becomes a canvas.
        decision: fusion, thresholds and calibration.
    """

    format_version: int
    name: str
    format: str
    precision: str
    input: Tensor
    output: Tensor
    score_tolerance: float
    model: ModelInfo
    preprocess: PreprocessSpec | None
    decision: Decision | None

    def __post_init__(self) -> None:
        require(self.format_version == METADATA_VERSION, f"format_version must be {METADATA_VERSION}")

    @classmethod
    def of(cls, manifest: Manifest, artifact: Artifact) -> FileMetadata:
        """What the file of an artefact should say, by its bundle's manifest."""
        return cls(
            METADATA_VERSION,
            artifact.name,
            artifact.format,
            artifact.precision,
            artifact.input,
            artifact.output,
            artifact.score_tolerance,
            manifest.model,
            manifest.preprocess,
            manifest.decision,
        )

    def artifact(self, path: str | os.PathLike[str]) -> Artifact:
        """The entry that an engine needs to run the file at `path`.

        Raises:
            BundleError: what the file says of its tensors is invalid.
        """
        file = Path(path)
        entry = {name: value for name, value in self.to_dict().items() if name in Artifact.__dataclass_fields__}
        found = {"file": file.name, "sha256": hash_file(file), "size": file.stat().st_size}
        return Artifact.from_dict({**entry, **found}, str(file))

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, indent 2, a final newline."""
        return dump_json(self)


def read_metadata(path: str | os.PathLike[str]) -> FileMetadata:
    """Read what a ``.tflite`` or ``.onnx`` file says of itself; needs no engine.

    Raises:
        BundleError: the file cannot be read, says nothing, or says something invalid.
    """
    file = Path(path)
    try:
        if file.exists() and not file.is_file():
            raise BundleError(f"{file} is not a file; name a .tflite or .onnx file.")
        content = file.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BundleError(f"{file} cannot be read ({reason}); check the path.") from None
    text = tflite_metadata(content) if content[4:8] == b"TFL3" else onnx_metadata(content)
    if text is None:
        raise BundleError(f"{file} carries no metadata of sigedge; take the file from a bundle of `sigedge export`.")
    try:
        return FileMetadata.from_dict(parse_json(text.decode("utf-8"), str(file)), str(file))
    except UnicodeDecodeError:
        raise BundleError(f"{file} carries damaged metadata; take the file from its bundle again.") from None


def tflite_metadata(content: bytes) -> bytes | None:
    """The appended entry of a TFLite file; None when there is none, or it is larger than `MAX_BYTES`."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            entry = archive.getinfo(ENTRY)
            plain = entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 0x1
            return archive.read(entry) if plain and entry.file_size <= MAX_BYTES else None
    except (zipfile.BadZipFile, KeyError, EOFError, OSError, NotImplementedError, ValueError):
        return None


def onnx_metadata(content: bytes) -> bytes | None:
    """The value of the property `KEY` of an ONNX file; None when there is none, or it is larger than `MAX_BYTES`."""
    try:
        values = [value for field in fields(content) if (value := onnx_property(field)) is not None]
    except ValueError:
        return None
    return values[-1] if values and len(values[-1]) <= MAX_BYTES else None


def onnx_property(field: Field) -> bytes | None:
    """The value of the property `KEY`, when an ONNX file's outermost field is that.

    Raises:
        ValueError: the field is a property but cannot be read.
    """
    if field.number != METADATA_PROPS:
        return None
    entry = {part.number: part.value for part in fields(field.value)}
    return entry.get(PROP_VALUE, b"") if entry.get(PROP_KEY) == KEY.encode() else None
