"""What is fuzzed: each target takes bytes and either copes with them or raises what it must not.

A `Target` returns a word for the outcome. What a caller can expect of bytes from strangers is that very function: any
exception that leaves it is a defect.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sigedge_runtime import metadata
from sigedge_runtime._headers import read_header
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import BundleError, ImageError, SigedgeError, StoreError
from sigedge_runtime.images import MIN_SIDE, read_image
from sigedge_runtime.manifest import Manifest
from sigedge_runtime.preprocessing import harmonise
from sigedge_runtime.store import TemplateStore
from sigedge_runtime.vectors import Vectors

Target = Callable[[bytes], str]

MAX_PIXELS = 4_000_000
"""Limit of the image target: below the default, so that thousands of lying headers are tried in a minute."""
IDENTITY = "fuzz:000000000000:fuzz:000000000000"
TEMPLATE_SIZE = 64


def image(data: bytes) -> str:
    """Read and harmonise: a sentence, or an image within the limits and the same canvas each time."""
    try:
        pixels = read_image(data, max_pixels=MAX_PIXELS)
    except ImageError as error:
        return refusal(error)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise AssertionError(f"an image of {pixels.dtype} {pixels.shape}")
    if min(pixels.shape[:2]) < MIN_SIDE or pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise AssertionError(f"an image of {pixels.shape}, outside the limits")
    header = read_header(data)
    if header and header.format != "tiff" and sorted(pixels.shape[:2]) != sorted((header.width, header.height)):
        raise AssertionError(f"an image of {pixels.shape} behind a header of {header}")
    canvas = harmonise(pixels).canvas
    if not set(np.unique(canvas)) <= {0, 255}:
        raise AssertionError("a canvas that is not of two levels")
    # The sum shows, when a file is read again, whether any pixel came out of memory that nobody wrote to.
    return f"read {zlib.crc32(pixels.tobytes()):08x}"


def manifest(data: bytes) -> str:
    """A manifest and golden vectors out of any text, written again to the same values."""
    text = data.decode("utf-8", errors="replace")
    outcomes = []
    for kind in (Manifest, Vectors):
        try:
            record = kind.from_json(text)
        except BundleError as error:
            outcomes.append(refusal(error))
            continue
        if kind.from_json(record.to_json()) != record:
            raise AssertionError(f"a {kind.__name__} that is not read as it was written")
        outcomes.append("read")
    return min(outcomes)


def embedded(data: bytes) -> str:
    """What a single TFLite or ONNX file says of itself."""
    found = metadata.tflite_metadata(data) or metadata.onnx_metadata(data)
    return "refused" if found is None else "read"


def bundle(data: bytes) -> str:
    """A zip file of a bundle, unpacked and held against its manifest; nothing stays behind."""
    with tempfile.TemporaryDirectory(prefix="sigedge-fuzz-") as folder:
        path = Path(folder) / "fuzzed.zip"
        path.write_bytes(data)
        try:
            with Bundle.open(path) as opened:
                return f"read {len(opened.manifest.files)}"
        except BundleError as error:
            return refusal(error)


def store(data: bytes) -> str:
    """A template store out of any file: opened, listed, read, added to."""
    with tempfile.TemporaryDirectory(prefix="sigedge-fuzz-") as folder:
        path = Path(folder) / "fuzzed.db"
        path.write_bytes(data)
        try:
            opened = TemplateStore(path, busy_timeout_ms=50)
        except StoreError as error:
            return refusal(error)
        try:
            return use_store(opened)
        finally:
            opened.close()


def use_store(opened: TemplateStore) -> str:
    """Everything that a verifier asks of a store."""
    outcomes = [
        outcome(lambda: [opened.templates(user.name, IDENTITY) for user in opened.users()]),
        outcome(lambda: opened.gallery(IDENTITY)),
        outcome(lambda: opened.add("somebody new", np.ones((1, TEMPLATE_SIZE), np.float32), IDENTITY)),
        outcome(lambda: opened.templates("somebody new", IDENTITY)),
    ]
    return min(outcomes)


def outcome(call: Callable[[], object]) -> str:
    """Whether a call went well or failed as a store may."""
    try:
        call()
    except StoreError as error:
        return refusal(error)
    return "written"


def refusal(error: SigedgeError) -> str:
    """The word for a refusal, when its text is one sentence.

    Raises:
        AssertionError: it is none.
    """
    text = str(error)
    if not text.endswith(".") or "Traceback" in text:
        raise AssertionError(f"no sentence: {text!r}")
    return "refused"


TARGETS: dict[str, Target] = {
    "image": image,
    "manifest": manifest,
    "embedded": embedded,
    "bundle": bundle,
    "store": store,
}
