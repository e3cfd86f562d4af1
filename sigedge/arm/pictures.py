"""Source images of every kind that people hand in, drawn from a seed, and real scans where there are any."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.arm.job import Picture
from sigedge_runtime.errors import DataError

Image = NDArray[np.uint8]

SYNTHETIC = "synthetic"
ODD = "odd"
_SUFFIXES = (".png", ".jpg", ".bmp", ".tif", ".webp")
_PHOTO = (3000, 4000)


def write_pictures(folder: Path, signers: int, seed: int) -> list[Picture]:
    """Draw signatures of synthetic signers and odd pictures, in every format that is read.

    Args:
        folder: to write the files to.
        signers: how many synthetic signers, each with six genuine samples and two skilled forgeries.
        seed: of all that is drawn.

    Returns:
        The pictures, odd ones last.

    Raises:
        DataError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for number, (signer, image) in enumerate(_signatures(signers, seed)):
        path = folder / f"signature-{number:03d}{_SUFFIXES[number % len(_SUFFIXES)]}"
        pictures.append(_written(path, image, SYNTHETIC, signer))
    for name, odd in _odd_pictures(seed):
        pictures.append(_written(folder / name, odd, ODD))
    return pictures


def read_scans(index: Path, count: int, seed: int) -> list[Picture]:
    """As many real scans as wanted, or all, drawn from every data set of an index; nothing is copied.

    Raises:
        DataError: the index cannot be used.
    """
    from sigedge.data import read_index

    records = sorted(read_index(index), key=lambda record: (record.dataset, str(record.path)))
    chosen = random.Random(seed).sample(records, min(count, len(records)))
    return [Picture(str(record.path.resolve()), record.dataset) for record in chosen]


def _signatures(signers: int, seed: int) -> Iterator[tuple[str, Image]]:
    from sigedge.synthesis import Synthesiser

    population = Synthesiser(seed)
    for number in range(signers):
        signer = population.signer(number)
        for sample in [*map(signer.genuine, range(6)), *map(signer.skilled_forgery, range(2))]:
            yield f"{SYNTHETIC}-{number}", sample.image


def _odd_pictures(seed: int) -> Iterator[tuple[str, NDArray[np.integer[Any]]]]:
    """Photos, transparency, 16 bits, noise, printed lines, tiny and empty pictures."""
    from sigedge.synthesis import Synthesiser

    rng = np.random.default_rng(seed)
    image = Synthesiser(seed + 1).signer(0).genuine(0).image
    grey = image if image.ndim == 2 else _image(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    photo = _photo(grey, rng)
    yield "photo.jpg", photo
    yield "photo-turned.webp", _image(np.rot90(photo[::2, ::2]))
    yield "transparent.png", _image(np.dstack([np.zeros((*grey.shape, 3), np.uint8), 255 - grey]))
    yield "half-transparent.webp", _image(np.dstack([grey, grey, grey, np.maximum(64, 255 - grey)]))
    yield "sixteen-bits.png", grey.astype(np.uint16) * 257
    yield "noisy.png", _noisy(grey, rng, 25.0)
    yield "speckled.bmp", _speckled(grey, rng)
    yield "ruled.tif", _ruled(grey)
    yield "faint.png", _image(200 + grey // 5)
    yield "inverted.png", _image(255 - grey)
    for size in ((8, 8), (40, 16), (97, 31)):
        yield f"tiny-{size[0]}.png", _image(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
    yield "long.png", _image(cv2.resize(grey, (5000, 40), interpolation=cv2.INTER_AREA))
    yield "white.png", np.full((200, 300), 255, np.uint8)
    yield "black.jpg", np.zeros((200, 300), np.uint8)
    yield "noise.png", rng.integers(0, 256, (300, 400, 3), np.uint8)
    yield "uneven.jpg", _shaded(_image(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)), 0.7)


def _photo(grey: Image, rng: np.random.Generator) -> Image:
    """Twelve megapixels of it, unevenly lit, with the noise of a sensor."""
    height, width = _PHOTO
    large = cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return _noisy(_shaded(_image(cv2.cvtColor(large, cv2.COLOR_GRAY2BGR)), 0.4), rng, 6.0)


def _shaded(image: Image, loss: float) -> Image:
    light = 1 - loss * np.linspace(0, 1, image.shape[1])[None, :, None]
    return _image(np.rint(image * light))


def _noisy(image: Image, rng: np.random.Generator, deviation: float) -> Image:
    noise = rng.normal(0, deviation, image.shape).astype(np.float32)
    return _image(np.clip(np.rint(image + noise), 0, 255))


def _speckled(grey: Image, rng: np.random.Generator) -> Image:
    specks = rng.random(grey.shape)
    return _image(np.where(specks < 0.02, 0, np.where(specks > 0.98, 255, grey)))


def _ruled(grey: Image) -> Image:
    ruled = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    ruled[:: max(8, grey.shape[0] // 6)] = (170, 120, 120)
    return _image(ruled)


def _image(array: NDArray[np.generic]) -> Image:
    return np.ascontiguousarray(array).astype(np.uint8)


def _written(path: Path, image: NDArray[np.integer[Any]], source: str, signer: str = "") -> Picture:
    if not cv2.imwrite(str(path), image):
        raise DataError(f"{path} cannot be written; free some disk space or name another folder.")
    return Picture(str(path.resolve()), source, signer)
