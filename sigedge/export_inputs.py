"""Canvases and images that an export needs: for calibration, for the parity gate and for the golden vectors.

All synthetic ones are drawn from seeds of their own, so that no signer of one set is a signer of another, nor
of any training set drawn from a small seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.data.records import Record
from sigedge.data.splits import Splits, split_signers
from sigedge.synthesis import Sample, ScanConditions, Synthesiser, SyntheticSigner
from sigedge_export.calibration import CalibrationSet, Origin, Population, canvas_hash
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
POPULATION = 1000
GOLDEN_SIDE = 300
_ATTEMPTS = 50


def calibration_set(
    count: int = 200,
    spec: PreprocessSpec | None = None,
    records: Sequence[Record] = (),
    *,
    seed: int = CALIBRATION_SEED,
    population: int = POPULATION,
) -> CalibrationSet:
    """Canvases that show a quantiser the values a network will meet, and where each came from.

    Args:
        count: how many.
        spec: preprocessing of the model; None for the default.
        records: real signatures of training signers. Half of the canvases are drawn from them at random, as far as
            they are usable and different. None of them may belong to an evaluation signer.
        seed: of all that is drawn; the same seed gives the same set.
        population: how many of the records, drawn at random, shall say what the set stands for; 0 leaves that out.

    Raises:
        DataError: records were given and none shows a usable signature.
    """
    spec = spec or PreprocessSpec()
    drawn = _real_canvases(records, max(count // 2, population), spec, seed)
    origins, canvases = [origin for origin, _ in drawn[: count // 2]], [canvas for _, canvas in drawn[: count // 2]]
    people = Synthesiser(seed)
    number = 0
    while len(canvases) < count:
        wanted = min(SAMPLES_PER_CALIBRATION_SIGNER, count - len(canvases))
        canvases += [canvas for _, canvas in _usable(people.signer(number).genuine, wanted, spec)]
        origins += [Origin("synthetic", str(number), seed=seed)] * wanted
        number += 1
    measured = Population.measure(np.stack([canvas for _, canvas in drawn])) if drawn and population else None
    return CalibrationSet(np.stack(canvases), tuple(origins), spec.digest(), seed, measured)


def calibration_canvases(
    count: int = 200, spec: PreprocessSpec | None = None, records: Sequence[Record] = ()
) -> Canvases:
    """The canvases alone of `calibration_set`, uint8 [count, H, W]."""
    return calibration_set(count, spec, records, population=0).canvases


def evaluation_signers(
    records: Sequence[Record], datasets: Iterable[str], splits: Splits, *, fold: int = 0
) -> frozenset[str]:
    """Identities of all validation and test signers, none of whom may calibrate.

    Args:
        records: of an index; they name the signers of data sets that no split covers.
        datasets: names of further data sets, for instance those of a calibration set: two copies of a data set share
            their signers and their split.
        splits: from `sigedge.data.load_splits`; a data set without an entry is for testing altogether.
        fold: which fold is the test part.

    Raises:
        DataError: the fold does not exist.
    """
    names = {record.dataset for record in records} | set(datasets)
    parts = {name: split_signers(records, name, splits, fold=fold) for name in names}
    return frozenset(f"{name}/{signer}" for name, part in parts.items() for signer in part.validation | part.test)


def _real_canvases(
    records: Sequence[Record], count: int, spec: PreprocessSpec, seed: int
) -> list[tuple[Origin, Canvases]]:
    """The first `count` usable and different canvases in an order drawn from the seed, with their origins."""
    found: dict[str, tuple[Origin, Canvases]] = {}
    for index in np.random.default_rng(seed).permutation(len(records)):
        record = records[index]
        canvas = _canvas(record, spec)
        if canvas is not None:
            origin = Origin(record.dataset, record.signer, sha256=hashlib.sha256(record.path.read_bytes()).hexdigest())
            found.setdefault(canvas_hash(canvas), (origin, canvas))
        if len(found) == count:
            break
    if records and count and not found:
        raise DataError(
            f"None of the {len(records)} calibration images shows a usable signature; check {records[0].path.parent}."
        )
    return list(found.values())


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
