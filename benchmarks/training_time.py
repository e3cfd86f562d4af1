"""How long the parts of `make train` took: benchmarks/results/training-edgesig.json.

Usage: python benchmarks/training_time.py RUNS

RUNS holds the folders of the parts, as `make train` leaves them in runs/. A part counts from the start that its log
names to its checkpoint; one that was interrupted has several logs, and no time.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from sigedge.evaluation.results import provenance, write_result
from sigedge_models import load_checkpoint
from sigedge_runtime.bundle import hash_file

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("edgesig-clean", "edgesig-without-cedar", "edgesig")


def main(runs: Path) -> None:
    """Read the logs and write the result."""
    rows = [row(runs / part / f"{part}.safetensors") for part in PARTS]
    threads = os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count())
    write_result(
        ROOT / "benchmarks" / "results" / "training-edgesig.json",
        {"rows": rows, "meta": provenance(threads=int(threads), model={"name": "edgesig"})},
    )


def row(checkpoint: Path) -> dict[str, Any]:
    """Steps, images and minutes of one part."""
    _, info = load_checkpoint(checkpoint)
    recipe = info.training["recipe"]
    data = recipe["data"]
    batch = sum(data["signers_per_batch"].values()) * (data["genuine"] + data["forged"])
    steps = recipe["optimisation"]["steps"]
    logs = list(checkpoint.parent.glob("tensorboard/*/events.out.tfevents.*"))
    minutes = (checkpoint.stat().st_mtime - int(logs[0].name.split(".")[3])) / 60 if len(logs) == 1 else None
    found = {"name": info.name, "steps": steps, "images": steps * batch, "minutes": minutes, "seed": info.seed}
    return {**found, "checkpoint_sha256": hash_file(checkpoint)}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
