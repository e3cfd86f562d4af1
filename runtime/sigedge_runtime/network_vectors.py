"""Golden vectors of a network that is no verifier: canvases, and what the reference model returns for them.

The outputs are raw little-endian float32 files, which a DataView or a ByteBuffer reads as well as numpy.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._records import Record, dump_json, parse_json, require, unique
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import BundleError, ImageError
from sigedge_runtime.images import read_image
from sigedge_runtime.manifest import is_safe_path

NETWORK_VECTORS_VERSION = 1


@dataclass(frozen=True)
class NetworkCase(Record):
    """One canvas with what the reference made of it.

    Attributes:
        id: unique in the file.
        canvas: path of the canvas as PNG, relative to the file of the vectors.
        canvas_sha256: of the canvas's raw bytes, row by row.
        output: path of the reference's output, D little-endian float32 values, relative likewise.
    """

    id: str
    canvas: str
    canvas_sha256: str
    output: str

    def __post_init__(self) -> None:
        require(is_safe_path(self.canvas) and is_safe_path(self.output), "canvas and output must be relative paths")
        require(re.fullmatch(r"[0-9a-f]{64}", self.canvas_sha256) is not None, "canvas_sha256 must be 64 hex digits")


@dataclass(frozen=True)
class NetworkVectors(Record):
    """All golden vectors of a network; `reference` names what computed them, e.g. ``torch float32``."""

    format_version: int
    reference: str
    cases: tuple[NetworkCase, ...]

    def __post_init__(self) -> None:
        require(self.format_version == NETWORK_VECTORS_VERSION, f"format_version must be {NETWORK_VECTORS_VERSION}")
        require(len(self.cases) > 0, "cases must not be empty")
        unique("cases", (case.id for case in self.cases))

    @classmethod
    def from_json(cls, text: str, where: str = "vectors.json") -> NetworkVectors:
        """Read vectors.

        Raises:
            BundleError: not JSON, or against a rule; the sentence names the field.
        """
        return cls.from_dict(parse_json(text, where), where)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, indent 2, a final newline."""
        return dump_json(self)


def read_network_vectors(bundle: Bundle) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Canvases uint8 [N, H, W] and the reference's outputs float32 [N, D] of a bundle.

    Raises:
        BundleError: the vectors are invalid or do not fit the model.
    """
    manifest = bundle.manifest
    path = bundle.path(manifest.vectors)
    vectors = NetworkVectors.from_json(path.read_text(encoding="utf-8", errors="replace"), str(path))
    canvases = np.stack([_canvas(bundle, case) for case in vectors.cases])
    outputs = [np.fromfile(_path(bundle, case.output), "<f4") for case in vectors.cases]
    if any(output.shape != (manifest.model.output_size,) for output in outputs):
        raise BundleError(f"{path} holds outputs of another size than {manifest.model.output_size}; export it again.")
    return canvases, np.stack(outputs).astype(np.float32)


def _canvas(bundle: Bundle, case: NetworkCase) -> NDArray[np.uint8]:
    path = _path(bundle, case.canvas)
    try:
        canvas = read_image(path)
    except ImageError:
        canvas = np.zeros((0, 0), np.uint8)
    if hashlib.sha256(canvas.tobytes()).hexdigest() != case.canvas_sha256:
        raise BundleError(f"The canvas {path} does not have its recorded SHA-256; export the bundle again.")
    if canvas.shape != bundle.manifest.artifacts[0].input.canvas_shape:
        raise BundleError(f"The canvas {path} has another size than the network takes; export the bundle again.")
    return canvas


def _path(bundle: Bundle, relative: str) -> Path:
    return bundle.path(str(PurePosixPath(bundle.manifest.vectors).parent / relative))
