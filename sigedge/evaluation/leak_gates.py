"""Measure the leak gates of a data set, raw and preprocessed, and store them as a result file.

python -m sigedge.evaluation.leak_gates --index INDEX.csv --dataset NAME --json FILE
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sigedge.data import CanvasCache, Record, iter_grey, read_any, track
from sigedge.data.cache import DEFAULT_FOLDER
from sigedge.data.records import SkippedFile
from sigedge.evaluation.leaks import measure_leaks
from sigedge.evaluation.results import provenance, write_result
from sigedge_runtime.errors import SigedgeError


def measure_dataset_leaks(
    records: Sequence[Record], *, cache: str | Path = DEFAULT_FOLDER, seed: int = 0, progress: bool = True
) -> dict[str, Any]:
    """Leak gates of records, raw and preprocessed, without duplicates and unusable images.

    Args:
        records: records of one data set; the more signers, the surer the figures.
        cache: folder of the canvas cache.
        seed: seed of the probes.
        progress: show bars when standard error is a terminal.

    Returns:
        What `measure_leaks` returns, with ``dataset``, ``read``, ``skipped`` (file names), ``duplicates``,
        ``unusable``, the digest of the ``preprocess`` spec and the provenance.

    Raises:
        DataError: no image could be read.
    """
    canvases = CanvasCache(cache).canvases(records, progress=progress)
    unique = canvases.unique()
    chosen = unique.usable()
    skipped: list[SkippedFile] = []
    shown = track(chosen.records, "Probing raw images", enabled=progress)
    raw = (image for _, image in iter_grey(shown, skipped))
    return {
        "dataset": ", ".join(sorted({record.dataset for record in chosen.records})),
        "read": canvases.report.read,
        "skipped": [file.path.name for file in canvases.report.skipped],
        "duplicates": len(canvases) - len(unique),
        "unusable": len(unique) - len(chosen),
        **measure_leaks(chosen.records, raw, chosen.canvases, seed=seed),
        "meta": provenance(seed=seed, preprocess=CanvasCache(cache).spec.digest()),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns 0, 1 when the gate fails, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m sigedge.evaluation.leak_gates", description=__doc__)
    parser.add_argument("--index", required=True, help="index.csv or folder of a data set")
    parser.add_argument("--dataset", help="data set inside the index; all by default")
    parser.add_argument("--json", required=True, help="result file to write")
    parser.add_argument("--cache", default=str(DEFAULT_FOLDER), help="folder of the canvas cache")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        records = read_any(options.index, dataset=options.dataset)
        result = measure_dataset_leaks(records, cache=options.cache, seed=options.seed)
        write_result(options.json, result)
    except SigedgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    for name in ("raw", "canvas"):
        print(f"{name}: " + ", ".join(f"{key} {_shown(result[name][key])}" for key in _FIGURES))
    return 1 if result["passed"] is False else 0


_FIGURES = ("background_ink_auc", "skeleton_auc")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
