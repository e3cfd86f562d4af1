"""Pictures of cgan, drawn from its result file and by its generator.

python -m sigedge.systems.cgan.figures RESULT --models FOLDER [--out FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sigedge.evaluation.results import read_result
from sigedge.systems.cgan.experiment import DEPLOYED, open_subject
from sigedge.systems.cgan.storage import STORAGES, stored
from sigedge_runtime.atomic import atomic_path

INK, SOFT, ACCENT = "#1d2330", "#8a92a0", "#a8252f"
GENUINE_SHOWN, DRAWN_SHOWN, GAP = 2, 6, 6

_CURVES = {
    "generator": (("discriminator_loss", "generator_loss"), ("signer_accuracy",)),
    "judge": (("loss", "validation_loss"), ("all_outputs_right", "validation_all_outputs_right")),
    "classifier": (("loss", "validation_loss"), ("signer_accuracy", "validation_signer_accuracy")),
}


def draw_result(result: Mapping[str, Any], out: Path) -> list[Path]:
    """All plots of a result.

    Args:
        result: what `experiment.evaluate` returned.
        out: folder, made when missing.

    Returns:
        The files: ``curves.png``, ``confusion.png`` and ``storage.png``.
    """
    return [
        _saved(_curves(result["history"]), out / "curves.png"),
        _saved(_confusion(result), out / "confusion.png"),
        _saved(_storage(result), out / "storage.png"),
    ]


def sample_sheet(models: Path, path: Path, *, cache: Path) -> Path:
    """Two genuine synthetic signatures of every signer, and beside them what the generator draws.

    Args:
        models: folder of the checkpoints.
        path: file to write, PNG.
        cache: folder for canvases and synthetic signers.

    Raises:
        CheckpointError: a checkpoint is missing.
    """
    subject = open_subject(models, cache)
    unseen, drawn = subject.signatures.fresh, stored(subject.drawn, "grey").astype(np.uint8)
    rows = []
    for signer in range(len(subject.names)):
        own, made = unseen.images[unseen.labels == signer], drawn[subject.labels == signer]
        rows.append(_row([*own[:GENUINE_SHOWN], *made[:DRAWN_SHOWN]]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as partial:
        partial.write_bytes(cv2.imencode(".png", 255 - np.vstack(rows))[1].tobytes())
    return path


def _row(images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Images in a row, a line between the genuine and the drawn ones."""
    height = images[0].shape[0]
    line = np.full((height, GAP), 0, np.uint8)
    line[:, GAP // 2] = 90
    return np.hstack([*images[:GENUINE_SHOWN], line, *images[GENUINE_SHOWN:]])


def _curves(histories: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(10, 5), dpi=80)
    grid = figure.subplots(2, len(_CURVES), sharex="col")
    for column, (network, rows) in zip(grid.T, _CURVES.items(), strict=True):
        column[0].set_title(network, color=INK)
        column[-1].set_xlabel("epoch")
        for axes, names in zip(column, rows, strict=True):
            for name, style in zip(names, ("-", "--"), strict=False):
                _curve(axes, histories[network], name, style)
            axes.legend(fontsize=7, frameon=False)
    return figure


def _curve(axes: Axes, history: list[dict[str, float]], name: str, style: str) -> None:
    points = [(epoch["epoch"], epoch[name]) for epoch in history if name in epoch]
    axes.plot(*zip(*points, strict=True), style, color=INK, linewidth=1, label=name.replace("_", " "))


def _confusion(result: Mapping[str, Any]) -> Figure:
    """Of the shipped judge on its test part, and of the classifier on what the generator drew."""
    judge, classifier = result["judges"][DEPLOYED]["test"], result["classifiers"]["all"]["generated_grey"]
    parts = {
        "judge: signer": judge["signers"]["confusion"],
        "judge: generated or genuine": judge["kinds"]["confusion"],
        "classifier: signer, generated": classifier["confusion"],
    }
    figure = Figure(figsize=(10, 3.6), dpi=80)
    for axes, (title, counts) in zip(figure.subplots(1, len(parts)), parts.items(), strict=True):
        _matrix(axes, title, np.array(counts))
    return figure


def _matrix(axes: Axes, title: str, counts: NDArray[np.int64]) -> None:
    axes.imshow(counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Greys", vmin=0, vmax=1)
    axes.set(title=title, xlabel="found", ylabel="right", xticks=range(len(counts)), yticks=range(len(counts)))
    axes.title.set_fontsize(9)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if row == column else ACCENT
        if count:
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=6)


def _storage(result: Mapping[str, Any]) -> Figure:
    """Accuracy on generated or genuine of judges and rules, by how images were stored."""
    figure = Figure(figsize=(7, 3.2), dpi=80)
    axes = figure.subplots()
    lines = {f"judge trained on {how}": result["judges"][how]["stored_as"] for how in STORAGES}
    for (label, found), style in zip(lines.items(), ("o-", "s--", "^:"), strict=True):
        _with_intervals(axes, [found[how]["kinds"] for how in STORAGES], style, INK, label)
    fractions = [result["rules"]["fractions"][how] for how in STORAGES]
    _with_intervals(axes, fractions, "x-", ACCENT, "rule: a value is no whole number")
    axes.axhline(0.5, color=SOFT, linewidth=0.8)
    axes.set(xticks=range(len(STORAGES)), xticklabels=STORAGES, ylim=(0.4, 1.02), ylabel="accuracy")
    axes.set_title("generated or genuine, by how the images were stored", fontsize=9)
    axes.legend(fontsize=7, frameon=False, loc="lower left")
    return figure


def _with_intervals(axes: Axes, shares: list[dict[str, Any]], style: str, colour: str, label: str) -> None:
    values = np.array([share["value"] for share in shares])
    ends = np.array([share["ci95"] for share in shares])
    errors = np.abs(np.stack([values - ends[:, 0], ends[:, 1] - values]))
    axes.errorbar(range(len(values)), values, errors, fmt=style, color=colour, label=label, capsize=2, linewidth=1)


def _saved(figure: Figure, path: Path) -> Path:
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as partial:
        # No date and no version inside, so that equal pictures are equal files.
        figure.savefig(partial, format="png", metadata={"Software": None}, facecolor="white")
    return path


def main(arguments: list[str] | None = None) -> None:
    """Draw all pictures of a result file."""
    parser = argparse.ArgumentParser(prog="python -m sigedge.systems.cgan.figures", description=__doc__)
    parser.add_argument("result", type=Path, help="system-cgan.json")
    parser.add_argument("--models", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--out", type=Path, default=Path("out/cgan"))
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    options = parser.parse_args(arguments)
    written = draw_result(read_result(options.result), options.out)
    written.append(sample_sheet(options.models, options.out / "samples.png", cache=options.cache))
    print("\n".join(f"written: {path}" for path in written))


if __name__ == "__main__":
    main()
