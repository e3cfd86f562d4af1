"""What the chain must be given to prove itself: labelled canvases for parity, and golden images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.errors import ExportError


@dataclass(frozen=True)
class ParitySet:
    """Canvases whose pairs an artefact and the reference model both have to decide.

    Attributes:
        canvases: uint8 [N, H, W].
        signers: whose signature each canvas shows or claims to show.
        genuine: bool [N]; False for a skilled forgery.
        source: where the canvases came from, for the report.
    """

    canvases: NDArray[np.uint8]
    signers: tuple[str, ...]
    genuine: NDArray[np.bool_]
    source: str

    def __post_init__(self) -> None:
        count = len(self.signers)
        if self.canvases.ndim != 3 or len(self.canvases) != count or self.genuine.shape != (count,):
            raise ExportError(
                f"A parity set needs as many canvases as signers and labels, not {len(self.canvases)}, "
                f"{count} and {self.genuine.size}; give one signer and one label for each canvas."
            )


@dataclass(frozen=True)
class Pairs:
    """Comparisons of a reference with a query, P of them, as indices into a parity set.

    Attributes:
        reference: int [P], always a genuine canvas.
        query: int [P].
        kind: int8 [P], one of `GENUINE`, `SKILLED` and `RANDOM`.
        signer: int [P], the signer of the reference, numbered from 0.
    """

    reference: NDArray[np.intp]
    query: NDArray[np.intp]
    kind: NDArray[np.int8]
    signer: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.reference)


GENUINE, SKILLED, RANDOM = 0, 1, 2


@dataclass(frozen=True)
class GoldenImage:
    """An image that goes into a bundle's golden vectors.

    Attributes:
        id: unique name, used for the file.
        signer: whose signature it shows or claims to show.
        label: genuine, or a skilled forgery.
        image: uint8 grey [H, W], BGR [H, W, 3] or BGRA [H, W, 4].
        suffix: file type to store it as. A JPEG should be grey: its decoding is the same everywhere, while
            the colour up-sampling of decoders differs.
    """

    id: str
    signer: str
    label: Literal["genuine", "skilled"]
    image: NDArray[np.uint8]
    suffix: Literal[".png", ".jpg"] = ".png"


def make_pairs(samples: ParitySet) -> Pairs:
    """All genuine-genuine and genuine-skilled pairs of each signer, and first genuine samples across signers.

    Raises:
        ExportError: there is no genuine pair, or nothing to tell genuine samples from.
    """
    names = sorted(set(samples.signers))
    owner = np.array([names.index(signer) for signer in samples.signers])
    rows: list[tuple[int, int, int]] = []
    first: list[int] = []
    for number in range(len(names)):
        genuine = np.flatnonzero((owner == number) & samples.genuine).tolist()
        forged = np.flatnonzero((owner == number) & ~samples.genuine).tolist()
        rows += [(a, b, GENUINE) for i, a in enumerate(genuine) for b in genuine[i + 1 :]]
        rows += [(a, b, SKILLED) for a in genuine for b in forged]
        first += genuine[:1]
    rows += [(a, b, RANDOM) for a in first for b in first if a != b]
    table = np.array(rows, dtype=np.intp).reshape(-1, 3)
    kinds = table[:, 2].astype(np.int8)
    if not (kinds == GENUINE).any() or not (kinds != GENUINE).any():
        raise ExportError(
            f"The parity set ({samples.source}) holds no pair of genuine signatures of one signer, or no "
            "forgery; give two genuine signatures or more of each of two signers or more."
        )
    return Pairs(table[:, 0], table[:, 1], kinds, owner[table[:, 0]])
