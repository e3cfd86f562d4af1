"""The files that targets are given: case number N of a campaign is the same bytes everywhere."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from sigedge.fuzzing.mutations import mutate
from sigedge.fuzzing.samples import FORMATS, image_files
from sigedge.fuzzing.targets import IDENTITY, TEMPLATE_SIZE
from sigedge_runtime._protobuf import length_field
from sigedge_runtime.bundle import DEFAULT_BUNDLE, MANIFEST, Bundle, zip_bundle
from sigedge_runtime.metadata import KEY, METADATA_PROPS, PROP_KEY, PROP_VALUE, tflite_metadata
from sigedge_runtime.store import TemplateStore

Cases = Callable[[int, int], bytes]

MEAN_RANDOM_BYTES = 2000
"""Mean length of a file of random bytes; lengths are drawn from an exponential distribution."""

# First bytes that bring random bytes past the look at the format.
_MAGIC = (
    b"\x89PNG\r\n\x1a\n",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x28\x08\0\0\0\0",
    b"\xff\xd8\xff",
    b"\xff\xd8\xff\xc0\0\x0b\x08\0\x28\0\x40\1\1\x11\0\xff",
    b"BM",
    b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x40\0\0\0\x28\0\0\0\1\0\x08\0\1\0\0\0",
    b"II*\0\x08\0\0\0\x04\0",
    b"MM\0*\0\0\0\x08\0\x04",
    b"RIFF\0\0\0\0WEBPVP8 ",
    b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x3f\xc0\x09\0",
    b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x12\0\0\0\x3f\0\0\x27\0\0",
)


def random_bytes(seed: int, number: int) -> bytes:
    """Random bytes of random length; every other file begins as an image does."""
    draw = np.random.default_rng([seed, number])
    magic = _MAGIC[int(draw.integers(len(_MAGIC)))] if number % 2 else b""
    return magic + draw.bytes(1 + int(draw.exponential(MEAN_RANDOM_BYTES)))


def mutated_image(seed: int, number: int) -> bytes:
    """A damaged file of each format in turn."""
    draw = np.random.default_rng([seed, number])
    files = _image_files(seed)[FORMATS[number % len(FORMATS)]]
    return mutate(files[int(draw.integers(len(files)))], draw)


def mutated_manifest(seed: int, number: int) -> bytes:
    """Manifest or golden vectors of the shipped bundle: values changed within the JSON, or bytes damaged."""
    draw = np.random.default_rng([seed, number])
    text = _texts()[number % 2]
    if draw.random() < 0.3:
        return mutate(text, draw)
    return json.dumps(_change(json.loads(text), draw)).encode()


def mutated_artifact(seed: int, number: int) -> bytes:
    """A damaged TFLite or ONNX file that carries its metadata."""
    draw = np.random.default_rng([seed, number])
    files = _artifacts()
    return mutate(files[int(draw.integers(len(files)))], draw)


def mutated_zip(seed: int, number: int) -> bytes:
    """A damaged zip file of a small bundle, mostly damaged where its directory is."""
    draw = np.random.default_rng([seed, number])
    whole = _zip_file()
    if draw.random() < 0.7:
        start = whole.find(b"PK\1\2")
        return whole[:start] + mutate(whole[start:], draw)
    return mutate(whole, draw)


def mutated_store(seed: int, number: int) -> bytes:
    """A damaged store of three users."""
    draw = np.random.default_rng([seed, number])
    whole = _store_file()
    start = int(draw.integers(len(whole) // 512)) * 512 if draw.random() < 0.7 else 0
    return whole[:start] + mutate(whole[start:], draw)


CASES: dict[str, tuple[str, Cases]] = {
    "random bytes": ("image", random_bytes),
    "mutated images": ("image", mutated_image),
    "mutated manifests": ("manifest", mutated_manifest),
    "mutated artefacts": ("embedded", mutated_artifact),
    "mutated bundles": ("bundle", mutated_zip),
    "mutated stores": ("store", mutated_store),
}


def _change(value: object, draw: np.random.Generator) -> object:
    """JSON with one value, somewhere, changed for another or left out."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = str(draw.choice(sorted(value)))
        if draw.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: _change(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        place = int(draw.integers(len(value)))
        return [*value[:place], _change(value[place], draw), *value[place + (draw.random() < 0.8) :]]
    return _ODD[int(draw.integers(len(_ODD)))]


_ODD: tuple[object, ...] = (
    *(None, True, 0, -1, 1, 2**31, 2**63, 10**400, 1e308, -0.5, 1e-320, "", "\0", "../x", "CON", "\ud800", "x" * 3000),
    *([], {}, [None], [[]] * 50, {"": {}}, "tflite", "int8", "NHWC", "verification", "0" * 64),
)


@cache
def _image_files(seed: int) -> dict[str, tuple[bytes, ...]]:
    return image_files(seed)


@cache
def _texts() -> tuple[bytes, bytes]:
    """The manifest, and golden vectors of two cases, since whole ones take long to parse."""
    with Bundle.open() as bundle:
        manifest = (bundle.root / MANIFEST).read_bytes()
        vectors = json.loads(bundle.path(bundle.manifest.vectors).read_bytes())
    cases = vectors["cases"][:2]
    names = [case["id"] for case in cases]
    score = {**vectors["scores"][0], "references": names[:1], "query": names[1]}
    return manifest, json.dumps({**vectors, "cases": cases, "scores": [score]}).encode()


@cache
def _artifacts() -> tuple[bytes, ...]:
    """The end of each shipped TFLite file, where its metadata is, and an ONNX message that holds the same."""
    with Bundle.open() as bundle:
        files = [bundle.path(artifact.file).read_bytes() for artifact in bundle.artifacts(format="tflite")]
    texts = [text for text in map(tflite_metadata, files) if text]
    entries = [length_field(PROP_KEY, KEY.encode()) + length_field(PROP_VALUE, text) for text in texts]
    return (*(content[-30_000:] for content in files), *(length_field(METADATA_PROPS, entry) for entry in entries))


@cache
def _zip_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return zip_bundle(DEFAULT_BUNDLE, Path(folder) / "whole.zip").read_bytes()


@cache
def _store_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.db"
        opened = TemplateStore(path)
        for number, user in enumerate(("ada", "bo", "cy")):
            opened.add(user, np.full((3, TEMPLATE_SIZE), number + 0.5, np.float32), IDENTITY)
        opened.close()
        return path.read_bytes()
