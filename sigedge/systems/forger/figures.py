"""The forger's figures, drawn from synthetic signers and from numbers: losses, results sheet, spectra, error rates.

python -m sigedge.systems.forger.figures RUN RESULT FOLDER
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sigedge.evaluation.results import read_result
from sigedge.systems.forger.drawing import forge
from sigedge.systems.forger.pairs import Pairs, new_attempts
from sigedge.systems.forger.processing import PROCESSINGS
from sigedge.systems.forger.specimens import (
    BONA_FIDE,
    Specimens,
    drawn_by_cgan,
    forged_and_real,
    joined,
    synthetic_pairs,
)
from sigedge.systems.forger.spectra import log_spectra
from sigedge.systems.forger.subject import Subject, load_subject
from sigedge_runtime.atomic import atomic_path
from sigedge_runtime.errors import DataError

LOSSES = ("discriminator", "adversarial", "difference")
_SHEET_ROWS = 8
_SIGNERS = 20  # of whom spectra are averaged
_SEED = 900_043


def read_log(run: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every column of a run's CSV logs; a resumed run has several, which follow each other.

    Raises:
        DataError: there is no log.
    """
    logs = sorted(run.glob("csv/version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1]))
    if not logs:
        raise DataError(f"{run} holds no log of a training; name the folder of a network's run.")
    columns: dict[str, dict[int, float]] = {}
    for log in logs:
        with log.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if value and name != "step":
                        columns.setdefault(name, {})[int(row["step"])] = float(value)
    return {name: (sorted(found), [found[step] for step in sorted(found)]) for name, found in columns.items()}


def loss_figure(runs: Mapping[str, Path]) -> Figure:
    """The losses of each generator's training, a column each, and below them what validation measured."""
    figure, axes = plt.subplots(2, len(runs), figsize=(4.2 * len(runs), 4.6), sharex="col", squeeze=False)
    for column, (name, run) in enumerate(runs.items()):
        log = read_log(run)
        for loss in LOSSES:
            axes[0, column].plot(*log[loss], label=loss)
        axes[0, column].set_title(name)
        axes[1, column].plot(*log["psnr"], color="black")
        axes[1, column].set_xlabel("batches")
    axes[0, 0].set_ylabel("loss")
    axes[1, 0].set_ylabel("validation PSNR, dB")
    axes[0, 0].legend(frameon=False)
    return figure


def results_sheet(subject: Subject, rows: int = _SHEET_ROWS) -> Figure:
    """Centre line, mask, drawings of each generator and the ink of test signers, a row each; synthetic."""
    pairs = synthetic_pairs(subject.recipe, "test", rows)
    shown = pairs.select(range(0, len(pairs), subject.recipe.signers.samples))
    columns = {"centre line": shown.lines, "mask": shown.masks}
    columns |= {name: forge(network, shown) for name, network in subject.generators.items()}
    columns |= {"as written": shown.targets, "new attempt": _attempt(subject, shown)}
    figure, grid = plt.subplots(rows, len(columns), figsize=(1.75 * len(columns), 0.95 * rows), squeeze=False)
    for axes, (title, images) in zip(grid.T, columns.items(), strict=True):
        axes[0].set_title(title, fontsize=8)
        for cell, image in zip(axes, images, strict=True):
            cell.imshow(255 - image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    _bare(grid)
    return figure


def spectrum_figure(specimens: Specimens) -> Figure:
    """The average spectrum of synthetic scans and of each generator, and below how each differs from the scans."""
    species = list(dict.fromkeys(specimens.species))
    means = {name: log_spectra(specimens.of(name).images).mean(axis=0) for name in species}
    figure, grid = plt.subplots(2, len(species), figsize=(3.0 * len(species), 3.6), squeeze=False)
    for column, name in enumerate(species):
        grid[0, column].set_title(name, fontsize=9)
        shown = grid[0, column].imshow(means[name], cmap="magma", vmin=-3, vmax=1)
        difference = means[name] - means[BONA_FIDE]
        change = grid[1, column].imshow(difference, cmap="coolwarm", vmin=-0.5, vmax=0.5)
    _bare(grid)
    figure.colorbar(shown, ax=grid[0], label="log10 |DCT|")
    figure.colorbar(change, ax=grid[1], label="less scans")
    return figure


def error_figure(result: Mapping[str, Any]) -> Figure:
    """EER of the shipped detector and of the one without processed images, by source and processing."""
    rows = [row for row in result["detection"] if row["attack"] == "forgers"]
    sources, trained = (list(dict.fromkeys(row[key] for row in rows)) for key in ("source", "trained"))
    figure, grid = plt.subplots(1, len(trained), figsize=(4.2 * len(trained), 3.0), sharey=True, squeeze=False)
    for axes, how in zip(grid[0], trained, strict=True):
        for number, source in enumerate(sources):
            _error_bars(axes, [row for row in rows if (row["source"], row["trained"]) == (source, how)], number, source)
        axes.set_title(f"detector: {how}", fontsize=9)
        axes.set_xticks(range(len(PROCESSINGS)), list(PROCESSINGS))
        axes.axhline(50, color="grey", linewidth=0.6)
    grid[0, 0].set_ylabel("EER, % (50: chance)")
    grid[0, 0].legend(frameon=False, fontsize=7)
    return figure


def draw(run: Path, result: Path, folder: Path) -> list[Path]:
    """All figures of a run and its result file, as PNG.

    Args:
        run: folder of a training, with its checkpoints and logs.
        result: what `evaluate` found.
        folder: where they go.

    Raises:
        DataError: the run has no logs, or the result cannot be read.
        CheckpointError: a checkpoint is missing.
    """
    subject = load_subject(run)
    scans = synthetic_pairs(subject.recipe, "test", _SIGNERS)
    figures = {
        "losses": loss_figure({name: run / name for name in subject.generators}),
        "results": results_sheet(subject),
        "spectra": spectrum_figure(joined([forged_and_real(scans, subject.generators, _SEED), *_cgan(subject)])),
        "errors": error_figure(read_result(result)),
    }
    return [_save(figure, folder / f"{name}.png") for name, figure in figures.items()]


def _cgan(subject: Subject) -> list[Specimens]:
    return [] if subject.cgan is None else [drawn_by_cgan(subject.cgan, subject.cgan_signers, _SIGNERS, _SEED)]


def _attempt(subject: Subject, pairs: Pairs) -> NDArray[np.uint8]:
    return forge(subject.generators["generator"], new_attempts(pairs, np.random.default_rng(_SEED)))


def _error_bars(axes: Any, rows: Sequence[Mapping[str, Any]], number: int, label: str) -> None:
    places = [list(PROCESSINGS).index(row["processing"]) + 0.15 * number - 0.2 for row in rows]
    values = np.array([100 * row["eer"] for row in rows])
    ends = 100 * np.array([row["eer_ci95"] for row in rows])
    spans = np.maximum(np.abs(ends.T - values), 0)
    axes.errorbar(places, values, spans, fmt="o", markersize=3, linewidth=1, label=label)


def _bare(grid: NDArray[Any]) -> None:
    for axes in grid.ravel():
        axes.set_xticks([])
        axes.set_yticks([])


def _save(figure: Figure, path: Path) -> Path:
    with atomic_path(path) as partial:
        # No date and no version inside, so that equal figures are equal files.
        figure.savefig(partial, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return path


def main(arguments: Sequence[str]) -> int:
    """Draw the figures of a run."""
    run, result, folder = map(Path, arguments)
    for path in draw(run, result, folder):
        print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
