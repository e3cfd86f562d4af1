"""Score every signer of CEDAR by the model that never saw the signer: benchmarks/results/accuracy-edgesig-folds.json.

Usage: python benchmarks/folds.py RUNS

RUNS holds five checkpoints, RUNS/0/edgesig.safetensors to RUNS/4, each of `sigedge train --fold N`. Each is exported as
int8 TFLite with its own thresholds, and that file is what is scored.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sigedge.cli.inputs import default_data, read_part
from sigedge.evaluation.bundle import Evaluation, evaluate_bundle
from sigedge.evaluation.folds import join_folds
from sigedge.evaluation.results import write_result

ROOT = Path(__file__).resolve().parent.parent
DATASET = "cedar-half"
FOLDS = 5


def main(runs: Path) -> None:
    """Export and score every fold, then join them."""
    result = join_folds([measured(runs / str(fold) / "edgesig.safetensors", fold) for fold in range(FOLDS)])
    write_result(ROOT / "benchmarks" / "results" / "accuracy-edgesig-folds.json", result)


def measured(checkpoint: Path, fold: int) -> Evaluation:
    """The deployed file of a fold on the fold's test signers."""
    bundle = ROOT / "out" / "folds" / str(fold)
    command = ["export", str(checkpoint), "--out", str(bundle), "--formats", "tflite", "--precisions", "int8"]
    subprocess.run([sys.executable, "-m", "sigedge", *command], check=True)
    records = read_part(default_data() / "index.csv", [DATASET], "test", splits=None, fold=fold)
    found = evaluate_bundle(bundle, records, cache=ROOT / ".cache" / "canvases", progress=False)
    shown = (f"{k}: {100 * figures['eer_skilled']:.1f} %" for k, figures in found.result["references"].items())
    print(f"fold {fold}, skilled EER by references: {', '.join(shown)}", flush=True)
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
