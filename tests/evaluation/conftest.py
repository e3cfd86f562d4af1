"""Small evaluated sets: embeddings with a signer's direction and forgeries off it, and drawn images of four hands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import Record

Known = tuple[list[Record], NDArray[np.float32]]


def make_records(signers: int = 6, genuine: int = 8, forged: int = 6, dataset: str = "drawn") -> list[Record]:
    return [
        Record(Path(f"{signer}/{label}/{sample:02d}.png"), dataset, str(signer), label, sample)  # type: ignore[arg-type]
        for signer in range(1, signers + 1)
        for label, count in (("genuine", genuine), ("forged", forged))
        for sample in range(1, count + 1)
    ]


@pytest.fixture
def known() -> Callable[..., Known]:
    """`known(noise=0.2, offset=0.5, leak=0.0)`: records and embeddings.

    `offset` is how far a forgery lies from its victim, `leak` how far every genuine embedding lies along one
    direction that all signers share, as if the scanner were seen.
    """

    def make(noise: float = 0.2, offset: float = 0.8, leak: float = 0.0, seed: int = 0, **sizes: int) -> Known:
        records = make_records(**sizes)
        rng = np.random.default_rng(seed)
        centres = {record.signer: rng.normal(size=32) for record in records}
        shared = np.zeros(32)
        shared[0] = 6.0
        rows = []
        for record in records:
            row = centres[record.signer] + noise * rng.normal(size=32)
            row = row + leak * shared if record.genuine else row + offset * rng.normal(size=32)
            rows.append(row)
        return records, np.array(rows, np.float32)

    return make


def hands() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Four signers with a shape of their own; their forgers get it less right."""
    for signer in range(4):
        shape = np.random.default_rng(signer).integers(20, 100, 12)
        for label, count, error in (("genuine", 6, 4), ("forged", 5, 14)):
            for sample in range(count):
                rng = np.random.default_rng([signer, sample, error])
                heights = shape + rng.normal(0, error, 12)
                points = np.column_stack([np.linspace(20, 280, 12), heights]).astype(np.int32)
                image = np.full((120, 300), 230, np.uint8)
                cv2.polylines(image, [points], False, (50,), 3, cv2.LINE_AA)
                yield f"{signer}/{label}/{sample:02d}.png", image


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    root = tmp_path / "hands"
    for name, image in hands():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), image)
    return root
