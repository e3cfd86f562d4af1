"""The labelled signatures of a few synthetic signers, in place of a set of 1,000 that cannot be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.data import CanvasCache, CanvasSet, ReadReport, read_folders, signers_of
from sigedge.synthesis import cached_dataset
from sigedge.systems.cgan.recipe import Canvas, CganRecipe
from sigedge_runtime.errors import DataError
from sigedge_runtime.preprocessing import PreprocessSpec

Images = NDArray[np.uint8]
PARTS = ("train", "validation", "test", "fresh")
SPARE = 4
"""Samples drawn beyond those wanted of each signer: a few show no usable signature."""


@dataclass(frozen=True)
class Labelled:
    """Images and whose signatures they show.

    Attributes:
        images: uint8 [N, H, W], paper 0 and ink 255, antialiased.
        labels: int64 [N], signers counted from 0.
    """

    images: Images
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Signatures:
    """The samples of all signers by part, and how reading them went."""

    train: Labelled
    validation: Labelled
    test: Labelled
    fresh: Labelled
    names: tuple[str, ...]
    report: ReadReport

    def original(self) -> Labelled:
        """Training, validation and test samples together: the set proper."""
        return joined([self.train, self.validation, self.test])


def load_signatures(recipe: CganRecipe, cache: Path) -> Signatures:
    """Draw the signers' samples, or read what was drawn before.

    Args:
        recipe: the signers and the canvas.
        cache: folder for samples and canvases.

    Raises:
        DataError: a signer has too few usable samples, or the cache cannot be written.
    """
    signers = recipe.signers
    wanted = {part: getattr(signers, part) for part in PARTS}
    each = sum(wanted.values()) + SPARE
    folder = cached_dataset(cache, signers=signers.count, genuine=each, forged=0, seed=signers.seed)
    read = CanvasCache(cache / "canvases", preprocessing(recipe.canvas)).canvases(read_folders(folder))
    usable = read.usable()
    parts = divide(usable, wanted)
    return Signatures(**parts, names=tuple(signers_of(usable.records)), report=read.report)


def preprocessing(canvas: Canvas) -> PreprocessSpec:
    """The preprocessing that gives canvases of this size."""
    return PreprocessSpec(
        canvas_height=canvas.height, canvas_width=canvas.width, margin=canvas.margin, stroke_width=canvas.stroke_width
    )


def divide(canvases: CanvasSet, wanted: dict[str, int]) -> dict[str, Labelled]:
    """Divide every signer's samples, in the order in which they were drawn.

    Args:
        canvases: usable genuine samples of all signers.
        wanted: samples of each signer by part.

    Raises:
        DataError: a signer has too few.
    """
    rows: dict[str, list[int]] = {}
    for row, record in enumerate(canvases.records):
        rows.setdefault(record.signer, []).append(row)
    for signer, own in rows.items():
        if len(own) < sum(wanted.values()):
            raise DataError(
                f"Signer {signer} has {len(own)} usable samples and the recipe divides {sum(wanted.values())}; "
                "ask for fewer, or choose another seed of signers."
            )
    parts, start = {}, 0
    for part, count in wanted.items():
        chosen = [own[start : start + count] for own in rows.values()]
        parts[part] = Labelled(
            softened(canvases.canvases[np.concatenate(chosen)]), np.repeat(np.arange(len(rows)), count)
        )
        start += count
    return parts


def softened(canvases: Images) -> Images:
    """Two-level canvases as an antialiased picture of 256 levels, which a generator can learn by degrees.

    A Gaussian of half a pixel leaves more than half of a pixel's weight to itself, so that the canvas comes back
    exactly where the picture is cut at 128.

    Args:
        canvases: uint8 [N, H, W], 0 or 255.

    Returns:
        uint8 [N, H, W].
    """
    return np.stack([np.asarray(cv2.GaussianBlur(canvas, (3, 3), 0.5), np.uint8) for canvas in canvases])


def joined(parts: Sequence[Labelled]) -> Labelled:
    """Several parts one after the other."""
    return Labelled(np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts]))


def summary(recipe: CganRecipe, signatures: Signatures) -> dict[str, object]:
    """What was drawn, for a checkpoint's header and the card."""
    skipped = [f"{skip.path.name}: {skip.reason}" for skip in signatures.report.skipped]
    return {"synthetic": recipe.signers.model_dump(), "read": signatures.report.read, "skipped": skipped}
