"""Small drawn images for the tests of the readers, splits and caches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import Record


def draw_scan(seed: int) -> NDArray[np.uint8]:
    """A scrawl on paper, grey uint8 [120, 300]."""
    rng = np.random.default_rng(seed)
    page = np.full((120, 300), 235, np.uint8)
    points = np.column_stack([np.linspace(30, 270, 14), rng.integers(25, 95, 14)]).astype(np.int32)
    cv2.polylines(page, [points], False, (40,), 3, cv2.LINE_AA)
    return page


@pytest.fixture
def scan() -> Callable[[int], NDArray[np.uint8]]:
    return draw_scan


@pytest.fixture
def folder_set(tmp_path: Path) -> Path:
    """Three signers with 4 genuine and 3 forged samples each: signer/{genuine,forged}/NN.png."""
    root = tmp_path / "set"
    for signer in range(3):
        for label, count in (("genuine", 4), ("forged", 3)):
            folder = root / f"person{signer}" / label
            folder.mkdir(parents=True)
            for sample in range(1, count + 1):
                seed = 1000 * signer + 100 * (label == "forged") + sample
                cv2.imwrite(str(folder / f"{sample:02d}.png"), draw_scan(seed))
    return root


@pytest.fixture
def records_of() -> Callable[..., list[Record]]:
    """Records of signers 1..n that name no files: `records_of("cedar-half", 55)`."""

    def make(dataset: str, signers: int, genuine: int = 3, forged: int = 2) -> list[Record]:
        return [
            Record(Path(f"{dataset}/{signer}-{label}-{sample}.png"), dataset, str(signer), label, sample)
            for signer in range(1, signers + 1)
            for label, count in (("genuine", genuine), ("forged", forged))
            for sample in range(1, count + 1)
        ]

    return make
