"""Train the flagship's last part for folds of CEDAR: RUNS/FOLD/edgesig.safetensors.

Usage: python benchmarks/train_folds.py RUNS INITIAL [FOLD...]

INITIAL is the checkpoint of recipe-without-cedar.yaml, which has seen no signer of CEDAR. All five folds are trained
when none is named; a fold that is there already is left alone. `folds.py` scores them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sigedge.cli.inputs import default_data
from sigedge.training import train

ROOT = Path(__file__).resolve().parent.parent
FOLDS = 5


def main(runs: Path, initial: Path, folds: list[int]) -> None:
    """Train what is missing; an interrupted fold goes on."""
    for fold in folds:
        if not (runs / str(fold) / "edgesig.safetensors").is_file():
            train("edgesig", default_data(), runs / str(fold), initial=initial, cache=ROOT / ".cache", fold=fold)
            print(f"fold {fold} is trained", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(fold) for fold in sys.argv[3:]] or list(range(FOLDS)))
