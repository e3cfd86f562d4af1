"""Figures of a verifier of pairs: two signatures with their difference score, and a confusion matrix.

Files hold no date, so that equal figures are equal files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sigedge.evaluation.metrics import Floats
from sigedge.evaluation.pairs import PairVerdict
from sigedge.evaluation.voting import KINDS
from sigedge_runtime.errors import DataError

Image = NDArray[np.uint8]

YES, NO, INK = "#11703f", "#a8252f", "#1d2330"
OUTCOMES = ("accepted", "rejected")


def draw_pairs(pairs: Sequence[tuple[str, Image, Image, PairVerdict]], path: Path) -> Path:
    """Draw pairs of signatures, a row each, with the difference score and the verdict beneath.

    Args:
        pairs: a title, the reference, the questioned signature (uint8 grey [H, W] or BGR [H, W, 3]), and the verdict.
        path: image file to write; its ending names the format.

    Returns:
        `path`.

    Raises:
        DataError: there is no pair, or the file cannot be written.
    """
    if not pairs:
        raise DataError("There is no pair to draw; give at least one.")
    figure = Figure(figsize=(7, 2.2 * len(pairs)), dpi=100, layout="constrained")
    rows = figure.subfigures(len(pairs), squeeze=False)[:, 0]
    for row, (title, reference, questioned, verdict) in zip(rows, pairs, strict=True):
        row.suptitle(title, fontsize=10, color=INK)
        for axes, image in zip(row.subplots(1, 2), (reference, questioned), strict=True):
            _show(axes, image)
        word, colour = ("genuine", YES) if verdict.genuine else ("forged", NO)
        scores = f"difference {verdict.difference:.2f}, similarity {verdict.similarity:.2f}: {word}"
        row.supxlabel(scores, fontsize=10, color=colour)
    return _save(figure, path)


def draw_confusion(matrix: Floats, path: Path, *, title: str = "") -> Path:
    """Draw a normalised confusion matrix: a row for each kind of trial, and the shares accepted and rejected.

    Args:
        matrix: float64 [3, 2] of `sigedge.evaluation.voting.confusion_matrix`, 0 to 1.
        path: image file to write; its ending names the format.
        title: stands above it.

    Returns:
        `path`.

    Raises:
        DataError: the matrix has another shape, or the file cannot be written.
    """
    if matrix.shape != (len(KINDS), len(OUTCOMES)):
        raise DataError(
            f"A confusion matrix {list(matrix.shape)} cannot be drawn; it has a row for each of {[*KINDS]}."
        )
    figure = Figure(figsize=(4.2, 3.4), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(OUTCOMES)), OUTCOMES)
    axes.set_yticks(range(len(KINDS)), [*KINDS])
    axes.set_title(title, fontsize=10, color=INK)
    axes.tick_params(length=0)
    for (row, column), share in np.ndenumerate(matrix):
        axes.text(column, row, f"{100 * share:.1f} %", ha="center", va="center", color="white" if share > 0.6 else INK)
    return _save(figure, path)


def _show(axes: Axes, image: Image) -> None:
    axes.imshow(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#d5d5d5")


def _save(figure: Figure, path: Path) -> Path:
    no_date: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with rc_context({"svg.hashsalt": path.name}):
            figure.savefig(path, metadata=no_date, facecolor="white")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be drawn ({error}); name a .png or .svg file that can be written.") from error
    return path
