"""Where on a page the signatures are: strokes grouped into boxes, boxes scored by what handwriting looks like.

from sigedge_runtime import read_image
from sigedge_runtime.localisation import find_signatures

for box in find_signatures(read_image("contract.png")):
    print(box)

No network: candidates are groups of pen strokes (`_strokes`), and boosted trees over ratios of pixel counts say how
well a candidate is expected to frame a signature. Their numbers lie in `localisation.json` beside this file. Nested
candidates compete and the best stays. Image operations are integer arithmetic, and quotients and sums come in a fixed
order: nothing here rounds differently from one device to the next.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._records import Record, parse_json, require
from sigedge_runtime._strokes import FEATURES, Floats, Ints, find_candidates
from sigedge_runtime._trees import BoostedTrees
from sigedge_runtime.errors import BundleError

SCORER = Path(__file__).with_suffix(".json")
# Two boxes show the same ink when this share of the smaller one lies in the other.
SHARED = 0.5


@dataclass(frozen=True)
class SignatureBox:
    """A place on a page that shows a signature.

    Attributes:
        left, top, width, height: of the box around its ink, pixels of the page.
        score: overlap (intersection over union) that the box is expected to have with a signature, 0 to 1.
    """

    left: int
    top: int
    width: int
    height: int
    score: float

    def to_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Scorer(Record):
    """How candidates are judged.

    Attributes:
        trees: from features to the expected overlap.
        minimum_score: boxes below it are no signatures; chosen on validation pages.
    """

    trees: BoostedTrees
    minimum_score: float

    def __post_init__(self) -> None:
        require(self.trees.features == FEATURES, "its features are not those that this version of sigedge measures")
        require(0.0 <= self.minimum_score <= 1.0, "minimum_score lies outside 0 to 1")


def find_signatures(
    image: NDArray[np.uint8], *, minimum_score: float | None = None, scorer: Scorer | None = None
) -> list[SignatureBox]:
    """Find the signatures on a page.

    Args:
        image: a whole page, uint8, grey [H, W], BGR [H, W, 3] or BGRA [H, W, 4]; dark ink on lighter paper.
        minimum_score: boxes that score less are left out, 0 to 1; the scorer's own minimum when None.
        scorer: how candidates are judged; the one shipped with sigedge when None.

    Returns:
        Boxes, best first; none overlaps another by half.

    Raises:
        ImageError: the array is not uint8 or has another number of dimensions or channels.
        BundleError: the scorer shipped with sigedge is damaged.
    """
    scorer = scorer or shipped_scorer()
    least = scorer.minimum_score if minimum_score is None else minimum_score
    boxes, features = find_candidates(image)
    scores = np.clip(scorer.trees.evaluate(features), 0.0, 1.0)
    chosen = [index for index in without_nested(boxes, scores) if scores[index] >= least]
    return [_box(boxes[index], scores[index]) for index in chosen]


def read_scorer(path: Path) -> Scorer:
    """The scorer in a file.

    Raises:
        BundleError: the file is missing or holds no scorer of this version.
    """
    try:
        return Scorer.from_dict(parse_json(path.read_text(encoding="utf-8"), str(path)), str(path))
    except (OSError, UnicodeDecodeError, BundleError) as error:
        # The remedy of a bundle's record is another one than this file's.
        problem = str(error).partition(";")[0]
        raise BundleError(f"{path} cannot be read as a scorer ({problem}); install sigedge again.") from None


@cache
def shipped_scorer() -> Scorer:
    """The scorer that comes with sigedge; errors as `read_scorer`."""
    return read_scorer(SCORER)


def without_nested(boxes: Ints, scores: Floats) -> list[int]:
    """Indices of the boxes that stay, best score first, when of two that show the same ink the better one stays.

    Args:
        boxes: int64 [M, 4], left, top, right, bottom.
        scores: float64 [M]; of equal ones the earlier box is the better.
    """
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        corners = np.maximum(boxes[best, :2], boxes[order, :2]), np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = np.prod(np.maximum(0, corners[1] - corners[0]), axis=1)
        order = order[shared < SHARED * np.minimum(areas[best], areas[order])]
    return kept


def _box(corners: Ints, score: np.float64) -> SignatureBox:
    left, top, right, bottom = corners.tolist()
    return SignatureBox(left, top, right - left, bottom - top, float(score))
