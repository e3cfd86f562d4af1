"""Training curves out of Lightning's CSV logs."""

from __future__ import annotations

import csv
from pathlib import Path

History = list[dict[str, float]]


def read_history(folder: Path) -> History:
    """The figures of every epoch, in order.

    A run that was stopped and went on has a log for each sitting; what the last one says of an epoch counts.

    Args:
        folder: of a run of `sigedge.training.runs.fit`.
    """
    by_step: dict[int, dict[str, float]] = {}
    for log in sorted((folder / "csv").glob("version_*/metrics.csv"), key=_sitting):
        with log.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                _take(by_step, row)
    return [{"epoch": number} | figures for number, (_, figures) in enumerate(sorted(by_step.items()), start=1)]


def _sitting(log: Path) -> int:
    return int(log.parent.name.removeprefix("version_"))


def _take(by_step: dict[int, dict[str, float]], row: dict[str, str]) -> None:
    # By the steps at their end: Lightning's own count of epochs is one too high after a resumed run.
    figures = {name: round(float(value), 5) for name, value in row.items() if value and name not in ("epoch", "step")}
    by_step.setdefault(int(row["step"]), {}).update(figures)
