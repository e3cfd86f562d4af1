"""Noisy documents: signatures under stamps, seals, print and lines, on cheques and pages, with known clean truth."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from pydantic import Field

from sigedge.systems.cleaner.documents import Documents
from sigedge.systems.cleaner.marks import Shape, printed_text, ruled_lines, seal, stamp
from sigedge.systems.cleaner.regions import Image, on_white
from sigedge.training.recipe import Section

_MARKS = {"text": printed_text, "ruled": ruled_lines, "stamp": stamp, "seal": seal}
KINDS = ("cheque", "page", *_MARKS)
"""What may lie under and over a signature."""


class NoiseSettings(Section):
    """How likely and how strong each kind of noise is; pairs are (least, most).

    Attributes:
        cheque: probability that the paper is a piece of a cheque.
        page: probability that it is a piece of a printed page; plain paper otherwise.
        text: probability of a few printed lines over the signature.
        ruled: probability of ruled lines over it.
        stamp: probability of an office stamp over it.
        seal: probability of a round seal over it.
        strength: darkness, 0 to 1, of what is printed or stamped where it covers the paper fully.
        ink: darkness, 0 to 1, of the signature's full ink; of clean regions too.
        paper: grey level of the paper, 0 to 255.
        light: largest loss of light across the region, share.
        blur: sigma of the scan's blur, pixels.
        grain: standard deviation of the scan's noise, grey levels.
        jpeg: probability that the scan went through JPEG of quality 40 to 95.
    """

    cheque: float = Field(default=0.35, ge=0, le=1)
    page: float = Field(default=0.25, ge=0, le=1)
    text: float = Field(default=0.3, ge=0, le=1)
    ruled: float = Field(default=0.3, ge=0, le=1)
    stamp: float = Field(default=0.3, ge=0, le=1)
    seal: float = Field(default=0.25, ge=0, le=1)
    strength: tuple[float, float] = (0.35, 0.85)
    ink: tuple[float, float] = (0.65, 1.0)
    paper: tuple[float, float] = (215.0, 255.0)
    light: float = Field(default=0.08, ge=0, lt=1)
    blur: tuple[float, float] = (0.0, 0.7)
    grain: tuple[float, float] = (0.0, 4.0)
    jpeg: float = Field(default=0.4, ge=0, le=1)


class NoisyDocument(NamedTuple):
    """A signature on a document, and what it would look like alone.

    Attributes:
        dirty: uint8 [H, W], the scanned region.
        clean: uint8 [H, W], the same ink on white paper.
        kinds: the kinds of noise in it, of `KINDS`.
    """

    dirty: Image
    clean: Image
    kinds: tuple[str, ...]


def noisy_document(
    ink: Image, documents: Documents, rng: np.random.Generator, settings: NoiseSettings | None = None
) -> NoisyDocument:
    """Lay noise under and over a signature, at least one kind of it.

    Ink over paper multiplies the light that the paper returns; what is printed over ink multiplies again or, half of
    the time, leaves the darker of the two (opaque ink).

    Args:
        ink: uint8 [H, W], 0 for paper and 255 for full ink, e.g. from `place`.
        documents: where pieces of cheques and pages come from.
        rng: source of randomness; the result is a function of its state and of the arguments.
        settings: the defaults when None.
    """
    settings = settings or NoiseSettings()
    kinds, shape = _drawn_kinds(settings, rng), (ink.shape[0], ink.shape[1])
    clean = on_white(ink, rng.uniform(*settings.ink))
    page = _paper(kinds, documents, shape, rng, settings)
    page = _under(page, clean, multiply=rng.random() < 0.5)
    for kind in kinds:
        if kind in _MARKS:
            mark = on_white(_MARKS[kind](shape, rng), rng.uniform(*settings.strength))
            page = _under(page, mark, multiply=rng.random() < 0.5)
    return NoisyDocument(_scanned(page, rng, settings), clean, kinds)


def _drawn_kinds(settings: NoiseSettings, rng: np.random.Generator) -> tuple[str, ...]:
    chances = {kind: float(getattr(settings, kind)) for kind in KINDS}
    background = rng.random()
    kinds = [kind for kind in _MARKS if rng.random() < chances[kind]]
    if background < chances["cheque"]:
        kinds.insert(0, "cheque")
    elif background < chances["cheque"] + chances["page"]:
        kinds.insert(0, "page")
    return tuple(kinds) if kinds else (str(rng.choice(list(_MARKS))),)


def _paper(
    kinds: tuple[str, ...],
    documents: Documents,
    shape: Shape,
    rng: np.random.Generator,
    settings: NoiseSettings,
) -> Image:
    if "cheque" in kinds:
        return documents.cheque(shape, rng)
    paper = np.full(shape, round(rng.uniform(*settings.paper)), np.uint8)
    if "page" not in kinds:
        return paper
    printed = documents.page(shape, rng)
    faded = np.asarray(255 - (255.0 - printed) * rng.uniform(*settings.strength), np.uint8)
    return _under(paper, faded, multiply=True)


def _under(page: Image, ink: Image, *, multiply: bool) -> Image:
    """The page with ink on it, both uint8 [H, W]: light is multiplied, or the darker of the two stays."""
    blended = cv2.multiply(page, ink, scale=1 / 255) if multiply else cv2.min(page, ink)
    return np.asarray(blended, np.uint8)


def _scanned(page: Image, rng: np.random.Generator, settings: NoiseSettings) -> Image:
    """Uneven light, blur, grain and compression of a scan."""
    height, width = page.shape
    across, down = rng.uniform(-settings.light, settings.light, 2)
    light = 1 - np.abs(across * np.linspace(0, 1, width)[None, :] + down * np.linspace(0, 1, height)[:, None])
    blur = rng.uniform(*settings.blur)
    scan = cv2.GaussianBlur(page * light, (0, 0), blur) if blur > 0.2 else page * light
    scan = scan + rng.normal(0, 1, page.shape) * rng.uniform(*settings.grain)
    grey = np.asarray(np.clip(scan, 0, 255), np.uint8)
    if rng.random() >= settings.jpeg:
        return grey
    _, encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)
