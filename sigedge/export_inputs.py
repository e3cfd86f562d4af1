"""Canvases and images that an export needs: for calibration, for the parity gate and for the golden vectors.

All synthetic ones are drawn from seeds of their own, so that no signer of one set is a signer of another, nor
of any training set drawn from a small seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.data.records import Record
from sigedge.synthesis import Sample, ScanConditions, Synthesiser, SyntheticSigner
from sigedge_export.inputs import GoldenImage, ParitySet
from sigedge_runtime.errors import DataError, ImageError
from sigedge_runtime.images import read_image
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise

Canvases = NDArray[np.uint8]
Image = NDArray[np.uint8]

CALIBRATION_SEED = 900_001
PARITY_SEED = 900_002
GOLDEN_SEED = 900_003

SAMPLES_PER_CALIBRATION_SIGNER = 4
GOLDEN_SIDE = 300
_ATTEMPTS = 50


def calibration_canvases(
    count: int = 200, spec: PreprocessSpec | None = None, records: Sequence[Record] = ()
) -> Canvases:
    """Canvases that show a quantiser the values a network will meet.

    Args:
        count: how many.
        spec: preprocessing of the model; None for the default.
        records: real signatures, for instance of the training part; half of the canvases, evenly spread over
            the records, come from them as far as they are usable. None of them may belong to an evaluation
            signer.

    Returns:
        uint8 [count, H, W].

    Raises:
        DataError: records were given and none shows a usable signature.
    """
    spec = spec or PreprocessSpec()
    real = _real_canvases(records, count // 2, spec)
    synthetic: list[Canvases] = []
    people = Synthesiser(CALIBRATION_SEED)
    number = 0
    while len(real) + len(synthetic) < count:
        signer = people.signer(number)
        wanted = min(SAMPLES_PER_CALIBRATION_SIGNER, count - len(real) - len(synthetic))
        synthetic += [canvas for _, canvas in _usable(signer.genuine, wanted, spec)]
        number += 1
    return np.stack([*real, *synthetic])


def _real_canvases(records: Sequence[Record], count: int, spec: PreprocessSpec) -> list[Canvases]:
    canvases: list[Canvases] = []
    for index in np.unique(np.linspace(0, len(records) - 1, count).astype(int)) if records else ():
        canvas = _canvas(records[index], spec)
        if canvas is not None:
            canvases.append(canvas)
    if records and not canvases:
        raise DataError(
            f"None of the {len(records)} calibration images shows a usable signature; check {records[0].path.parent}."
        )
    return canvases


def _canvas(record: Record, spec: PreprocessSpec) -> Canvases | None:
    try:
        harmonised = harmonise(read_image(record.path), spec)
    except ImageError:
        return None
    return harmonised.canvas if harmonised.quality.usable else None


def synthetic_parity_set(
    signers: int = 16, genuine: int = 6, skilled: int = 6, spec: PreprocessSpec | None = None
) -> ParitySet:
    """Synthetic signers, each with genuine samples and skilled forgeries.

    Args:
        signers: how many people.
        genuine: genuine samples of each.
        skilled: skilled forgeries of each.
        spec: preprocessing of the model; None for the default.
    """
    spec = spec or PreprocessSpec()
    people = Synthesiser(PARITY_SEED)
    samples: list[tuple[Sample, Canvases]] = []
    for signer in map(people.signer, range(signers)):
        samples += _usable(signer.genuine, genuine, spec)
        samples += _usable(signer.skilled_forgery, skilled, spec)
    return ParitySet(
        canvases=np.stack([canvas for _, canvas in samples]),
        signers=tuple(f"synthetic-{sample.signer}" for sample, _ in samples),
        genuine=np.array([sample.label == "genuine" for sample, _ in samples]),
        source=f"{signers} synthetic signers, {genuine} genuine and {skilled} skilled forgeries each",
    )


def parity_set_from_records(records: Sequence[Record], source: str, spec: PreprocessSpec | None = None) -> ParitySet:
    """Real signatures for parity; unusable images are left out.

    Args:
        records: genuine and forged signatures of two signers or more.
        source: how reports shall call them.
        spec: preprocessing of the model; None for the default.

    Raises:
        DataError: no record shows a usable signature.
    """
    spec = spec or PreprocessSpec()
    found = [(record, canvas) for record in records if (canvas := _canvas(record, spec)) is not None]
    if not found:
        raise DataError(f"None of the {len(records)} images of {source} shows a usable signature; check the folder.")
    return ParitySet(
        canvases=np.stack([canvas for _, canvas in found]),
        signers=tuple(record.identity for record, _ in found),
        genuine=np.array([record.genuine for record, _ in found]),
        source=source,
    )


def golden_images(signers: int = 4, spec: PreprocessSpec | None = None) -> list[GoldenImage]:
    """Small images for golden vectors: three genuine samples and a skilled forgery of each signer.

    Between them they cover what a device meets: grey, colour and transparent PNG, and grey JPEG.
    """
    spec = spec or PreprocessSpec()
    people = Synthesiser(GOLDEN_SEED)
    return [golden for number in range(signers) for golden in _golden_signer(people.signer(number), spec)]


def _golden_signer(signer: SyntheticSigner, spec: PreprocessSpec) -> list[GoldenImage]:
    name = f"synthetic-{signer.index}"
    (grey, _), (colour, _), (jpeg, _) = _usable(signer.genuine, 3, spec)
    forgery, _ = _usable(lambda index: signer.skilled_forgery(index, ScanConditions.clean()), 1, spec)[0]
    return [
        GoldenImage(f"{name}-genuine-0", name, "genuine", _small(_grey(grey.image))),
        GoldenImage(f"{name}-genuine-1", name, "genuine", _small(_colour(colour.image))),
        GoldenImage(f"{name}-genuine-2", name, "genuine", _small(_grey(jpeg.image)), ".jpg"),
        GoldenImage(f"{name}-skilled-0", name, "skilled", _transparent(_small(_grey(forgery.image)))),
    ]


def _usable(draw: Callable[[int], Sample], count: int, spec: PreprocessSpec) -> list[tuple[Sample, Canvases]]:
    """The first `count` samples that pass as usable signatures, with their canvases."""
    found: list[tuple[Sample, Canvases]] = []
    for sample in _first(draw):
        harmonised = harmonise(sample.image, spec)
        if harmonised.quality.usable:
            found.append((sample, harmonised.canvas))
        if len(found) == count:
            break
    else:
        raise DataError(f"A synthetic signer gave {len(found)} usable samples, not {count}; change the preprocessing.")
    return found


def _first(draw: Callable[[int], Sample]) -> Iterator[Sample]:
    return map(draw, range(_ATTEMPTS))


def _grey(image: Image) -> Image:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.uint8)


def _colour(image: Image) -> Image:
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR).astype(np.uint8)


def _small(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = GOLDEN_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _transparent(grey: Image) -> Image:
    """Black ink whose opacity is the darkness of `grey`, as a signature pad stores it: BGRA."""
    black = np.zeros_like(grey)
    return np.dstack([black, black, black, 255 - grey])
