"""Draw the picture of README from the shipped bundle: scan, canvas and verdict of three synthetic signatures.

Usage: python benchmarks/docs_pictures.py [BUNDLE]
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from sigedge.demo.result import Case
from sigedge.demo.run import ask

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "stages.png"
YES, NO, INK, SOFT = "#11703f", "#a8252f", "#1d2330", "#8a92a0"


def main(arguments: list[str]) -> None:
    """Ask the bundle the demo's three questions and draw them."""
    bundle = Path(arguments[0]) if arguments else None
    with tempfile.TemporaryDirectory() as folder:
        _, cases = ask(bundle, Path(folder))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    draw(cases, PICTURE)
    print(f"written: {PICTURE}")


def draw(cases: tuple[Case, ...], path: Path) -> None:
    """A column for each case, a row for each stage; the file holds no date, so that equal pictures are equal files."""
    figure, grid = plt.subplots(3, len(cases), figsize=(11, 4.9), height_ratios=(4, 4, 1.6), dpi=110)
    values = [value for case in cases for value in (case.verdict.score, case.verdict.threshold)]
    ends = math.floor(10 * min(values) - 0.5) / 10, math.ceil(10 * max(values) + 0.5) / 10
    for column, case in zip(grid.T, cases, strict=True):
        column[0].set_title(case.title, fontsize=12, color=INK, fontweight="bold")
        show(column[0], two_to_one(case.picture.scan))
        show(column[1], case.picture.canvas)
        show_verdict(column[2], case, ends)
    for axes, name in zip(grid[:, 0], ("scan", "canvas", "verdict"), strict=True):
        axes.text(-0.04, 0.5, name, transform=axes.transAxes, rotation=90, ha="right", va="center", color=SOFT)
    figure.tight_layout(w_pad=2)
    figure.savefig(path, metadata={"Software": None}, facecolor="white")
    plt.close(figure)


def two_to_one(scan: Any) -> Any:
    """The scan as RGB, with white above and below or at the sides until it is twice as wide as high."""
    image = cv2.cvtColor(scan, cv2.COLOR_GRAY2RGB if scan.ndim == 2 else cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    down, across = max(0, (width // 2 - height) // 2), max(0, (2 * height - width) // 2)
    return cv2.copyMakeBorder(image, down, down, across, across, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def show(axes: Axes, image: Any) -> None:
    """One picture in a thin frame."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#d5d5d5")


def show_verdict(axes: Axes, case: Case, ends: tuple[float, float]) -> None:
    """The score as a bar from one end to the other, and the threshold as a line across it."""
    verdict, low = case.verdict, ends[0]
    colour, word = (YES, "accepted") if verdict.accepted else (NO, "rejected")
    axes.barh(0, verdict.score - low, left=low, color=colour, height=0.5)
    axes.axvline(verdict.threshold, ymax=0.5, color=INK, linestyle="--", linewidth=1.2)
    axes.set(xlim=ends, ylim=(-0.5, 1.4), yticks=[], xticks=ends)
    axes.tick_params(colors=SOFT, labelsize=8)
    axes.spines[["top", "left", "right"]].set_visible(False)
    label = f"{word}: score {verdict.score:.2f}, threshold {verdict.threshold:.2f}"
    axes.text(low, 0.75, label, color=colour, fontsize=10)


if __name__ == "__main__":
    main(sys.argv[1:])
