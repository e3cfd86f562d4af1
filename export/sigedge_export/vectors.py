"""Golden vectors: images with the canvases, embeddings and decisions that any device must reproduce.

Plain JSON and image files, so that Java or JavaScript can replay them as well as Python.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge_export.inputs import GoldenImage
from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import ExportError
from sigedge_runtime.images import read_image
from sigedge_runtime.network_vectors import NETWORK_VECTORS_VERSION, NetworkCase, NetworkVectors
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise
from sigedge_runtime.scoring import score

FORMAT_VERSION = 1
REFERENCE = "torch float32"
FILE = "vectors/vectors.json"

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
ENCODING = {".png": [cv2.IMWRITE_PNG_COMPRESSION, 9], ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 90]}


def write_vectors(
    bundle: Path, images: Sequence[GoldenImage], spec: PreprocessSpec, decision: Decision, embed: Embed
) -> NDArray[np.float32]:
    """Write ``vectors/`` into a bundle folder.

    The canvases are made from the files as written, so that what a decoder does to them is part of the
    record.

    Args:
        bundle: folder of the bundle.
        images: at least one signer with two genuine samples or more.
        spec: preprocessing of the bundle.
        decision: fusion and thresholds of the bundle.
        embed: canvases uint8 [N, H, W] to the reference model's embeddings float32 [N, D].

    Returns:
        The embeddings of the images, float32 [N, D].

    Raises:
        ExportError: an id is not unique, an image shows no usable signature, or no signer has two genuine
            samples.
    """
    _check_images(images)
    folder = (bundle / FILE).parent
    (folder / "images").mkdir(parents=True)
    (folder / "canvases").mkdir()
    canvases = np.stack([_write_case(folder, image, spec) for image in images])
    embeddings = embed(canvases)
    content = {
        "format_version": FORMAT_VERSION,
        "reference": REFERENCE,
        "cases": [_case(*row) for row in zip(images, canvases, embeddings, strict=True)],
        "scores": list(_comparisons(images, embeddings, decision)),
    }
    (bundle / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return embeddings


def write_network_vectors(bundle: Path, canvases: NDArray[np.uint8], outputs: NDArray[np.float32]) -> None:
    """Write ``vectors/`` of a classifier or an image network into a bundle folder.

    Args:
        bundle: folder of the bundle.
        canvases: uint8 [N, H, W], at least one.
        outputs: float32 [N, D], of the reference model for the canvases.
    """
    folder = (bundle / FILE).parent
    (folder / "canvases").mkdir(parents=True)
    (folder / "outputs").mkdir()
    cases = []
    for number, (canvas, output) in enumerate(zip(canvases, outputs, strict=True)):
        case = NetworkCase(
            id=f"example-{number}",
            canvas=f"canvases/example-{number}.png",
            canvas_sha256=hashlib.sha256(canvas.tobytes()).hexdigest(),
            output=f"outputs/example-{number}.f32",
        )
        (folder / case.canvas).write_bytes(_encode(canvas, ".png"))
        (folder / case.output).write_bytes(output.astype("<f4").tobytes())
        cases.append(case)
    content = NetworkVectors(NETWORK_VECTORS_VERSION, REFERENCE, tuple(cases))
    (bundle / FILE).write_text(content.to_json(), encoding="utf-8")


def _check_images(images: Sequence[GoldenImage]) -> None:
    if len({image.id for image in images}) != len(images):
        raise ExportError("The golden images repeat an id; give each its own.")
    genuine = [image.signer for image in images if image.label == "genuine"]
    if len(genuine) == len(set(genuine)):
        raise ExportError("The golden images hold no signer with two genuine signatures; give two or more of one.")


def _write_case(folder: Path, golden: GoldenImage, spec: PreprocessSpec) -> NDArray[np.uint8]:
    path = folder / "images" / f"{golden.id}{golden.suffix}"
    path.write_bytes(_encode(golden.image, golden.suffix))
    harmonised = harmonise(read_image(path), spec)
    if not harmonised.quality.usable:
        raise ExportError(
            f"The golden image {golden.id} shows no usable signature ({harmonised.quality.reasons}); give another."
        )
    (folder / "canvases" / f"{golden.id}.png").write_bytes(_encode(harmonised.canvas, ".png"))
    return harmonised.canvas


def _encode(image: NDArray[np.uint8], suffix: str) -> bytes:
    done, data = cv2.imencode(suffix, image, ENCODING[suffix])
    if not done:
        raise ExportError(f"An image of shape {image.shape} cannot be written as {suffix}; give a uint8 image.")
    return data.tobytes()


def _case(golden: GoldenImage, canvas: NDArray[np.uint8], embedding: NDArray[np.float32]) -> dict[str, Any]:
    return {
        "id": golden.id,
        "signer": golden.signer,
        "label": golden.label,
        "image": f"images/{golden.id}{golden.suffix}",
        "canvas": f"canvases/{golden.id}.png",
        "canvas_sha256": hashlib.sha256(canvas.tobytes()).hexdigest(),
        # Nine digits are enough to name a float32 exactly.
        "embedding": [float(f"{value:.9g}") for value in embedding],
    }


def _comparisons(
    images: Sequence[GoldenImage], embeddings: NDArray[np.float32], decision: Decision
) -> Iterator[dict[str, Any]]:
    """Each signer's first genuine sample, and all but the last, against every other image."""
    for signer in dict.fromkeys(image.signer for image in images):
        own = [i for i, image in enumerate(images) if (image.signer, image.label) == (signer, "genuine")]
        for count in sorted({1, len(own) - 1} - {0, -1}):
            references = own[:count]
            for query in (i for i in range(len(images)) if i not in own[: max(1, len(own) - 1)]):
                yield _comparison(images, embeddings, decision, references, query)


def _comparison(
    images: Sequence[GoldenImage],
    embeddings: NDArray[np.float32],
    decision: Decision,
    references: list[int],
    query: int,
) -> dict[str, Any]:
    found = score(embeddings[query], embeddings[references], decision)
    point = decision.operating_point(decision.default_operating_point, len(references))
    return {
        "references": [images[i].id for i in references],
        "query": images[query].id,
        "score": found,
        "accepted": bool(found >= point.threshold),
    }
