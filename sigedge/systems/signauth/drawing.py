"""Draw a result of the classifier: its confusions, and what its rejection costs.

python -m sigedge.systems.signauth.drawing RESULT OUT
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sigedge.evaluation.results import read_result

CONFUSION, REJECTION = "confusion.png", "rejection.png"


def draw_result(result: Mapping[str, Any], out: Path) -> list[Path]:
    """Write two small pictures of the first experiment of a result.

    Args:
        result: of `evaluation.evaluate_models`.
        out: folder; made when missing.

    Returns:
        The confusion matrix of the known people, and the ROC curves of known people against everybody else.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib.figure import Figure

    out.mkdir(parents=True, exist_ok=True)
    experiment = result["experiments"][0]
    pictures = []
    for name, draw in ((CONFUSION, _draw_confusion), (REJECTION, _draw_rejection)):
        figure = Figure(figsize=(4, 3.4), layout="constrained")
        draw(figure.subplots(), experiment)
        # Without the version of matplotlib the same figures give the same file.
        figure.savefig(out / name, dpi=110, metadata={"Software": None})
        pictures.append(out / name)
    return pictures


def _draw_confusion(axes: Any, experiment: Mapping[str, Any]) -> None:
    counts = experiment["closed"]["confusion"]
    axes.imshow(counts, cmap="Blues")
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            if count:
                colour = "white" if count > max(map(max, counts)) / 2 else "black"
                axes.text(column, row, count, ha="center", va="center", color=colour, fontsize=7)
    axes.set(xlabel="taken for", ylabel="signature of", title="Known people, test signatures")


def _draw_rejection(axes: Any, experiment: Mapping[str, Any]) -> None:
    score = "energy" if experiment["rejects"] else "max softmax"
    for unknown in ("strangers", "forgeries"):
        found = experiment["open"][score].get(unknown)
        if found:
            falsely, truly = zip(*found["roc"], strict=True)
            axes.plot(falsely, truly, marker="o", markersize=3, label=f"{unknown}, AUROC {found['auroc']:.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="unknown accepted", ylabel="known accepted", title=f"Rejection by {score}", ylim=(0, 1.02))
    axes.legend(loc="lower right", fontsize=8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw from the command line."""
    parser = argparse.ArgumentParser(prog="python -m sigedge.systems.signauth.drawing", description=__doc__)
    parser.add_argument("result", type=Path, help="what `sigedge evaluate signauth --json` wrote")
    parser.add_argument("out", type=Path, help="folder for the pictures")
    options = parser.parse_args(arguments)
    for path in draw_result(read_result(options.result), options.out):
        print(path)


if __name__ == "__main__":
    main()
