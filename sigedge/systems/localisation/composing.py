"""Signatures written on document pages: where sheets show eight signatures on white, a letter has one among text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.data import Record, SkippedFile, iter_grey
from sigedge.data.images import to_grey
from sigedge.data.sheets import Boxes
from sigedge.evaluation.image_features import ink_mask
from sigedge.synthesis import Synthesiser
from sigedge.systems.localisation.pages import Example
from sigedge_runtime._strokes import cut_pieces

Image = NDArray[np.uint8]
# Draws one signature, dark on white and cropped to its ink.
Writer = Callable[[np.random.Generator], Image]

WIDTHS = (0.07, 0.35)
TALLEST = 0.15
MOST_SIGNATURES = 3
TRIES = (5, 40)


def synthetic_writer(seed: int) -> Writer:
    """Every signature by another synthetic signer, under random scan conditions."""
    population, signers = Synthesiser(seed), itertools.count()
    return lambda rng: crop_to_ink(to_grey(population.signer(next(signers)).genuine(0).image))


def real_writer(records: Iterable[Record], skipped: list[SkippedFile]) -> Writer:
    """Signatures drawn from real records; what cannot be read is appended to `skipped`."""
    signatures = [crop_to_ink(image) for _, image in iter_grey(records, skipped)]
    return lambda rng: signatures[int(rng.integers(len(signatures)))]


def crop_to_ink(grey: Image) -> Image:
    """The ink of a signature, uint8 [H, W], everything else 255, cropped to it; specks do not widen it."""
    ink = ink_mask(grey)
    boxes = cut_pieces(ink).boxes
    if not len(boxes):
        return grey
    (left, top), (right, bottom) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return np.where(ink > 0, grey, 255).astype(np.uint8)[top:bottom, left:right]


def composed(pages: Iterable[Example], writer: Writer, copies: int, seed: int) -> Iterator[Example]:
    """Each page `copies` times, with one to three signatures on it and their boxes.

    Args:
        pages: pages without signatures.
        writer: who signs.
        copies: composed pages for each page.
        seed: of sizes and places.
    """
    rng = np.random.default_rng(seed)
    for page in pages:
        for _ in range(copies):
            signatures = [writer(rng) for _ in range(int(rng.integers(1, MOST_SIGNATURES + 1)))]
            yield Example(*write_on(to_grey(page.image), signatures, rng), page.group)


def write_on(page: Image, signatures: Iterable[Image], rng: np.random.Generator) -> tuple[Image, Boxes]:
    """A copy of a grey page with signatures on it, and the boxes of their ink, float64 [N, 4].

    People sign where there is room: of some random places, the one with least ink below is taken. A signature for
    which no place is free of other signatures is left out.
    """
    page = page.copy()
    used = np.asarray(cv2.integral((page < 128).astype(np.uint8)), np.int64)
    boxes: list[tuple[int, int, int, int]] = []
    for signature in signatures:
        signature = _resized(signature, page.shape, rng)
        place = _place(signature.shape, used, boxes, rng)
        if place is not None:
            left, top, right, bottom = place
            page[top:bottom, left:right] = np.minimum(page[top:bottom, left:right], signature)
            boxes.append(place)
    return page, np.array(boxes, dtype=np.float64).reshape(-1, 4)


def _resized(signature: Image, page: tuple[int, ...], rng: np.random.Generator) -> Image:
    height, width = signature.shape
    scale = min(page[1] * rng.uniform(*WIDTHS) / width, page[0] * TALLEST / height)
    size = (max(8, int(width * scale)), max(8, int(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(signature, size, interpolation=interpolation), np.uint8)


def _place(
    shape: tuple[int, ...], used: NDArray[np.int64], taken: list[tuple[int, int, int, int]], rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    height, width = shape
    rows, columns = used.shape
    free: list[tuple[int, tuple[int, int, int, int]]] = []
    for _ in range(int(rng.integers(*TRIES))):
        left, top = int(rng.integers(0, columns - width)), int(rng.integers(0, rows - height))
        right, bottom = left + width, top + height
        if any(left < box[2] and box[0] < right and top < box[3] and box[1] < bottom for box in taken):
            continue
        ink = int(used[bottom, right] - used[top, right] - used[bottom, left] + used[top, left])
        free.append((ink, (left, top, right, bottom)))
    return min(free)[1] if free else None
