"""Train on one, test on another: benchmarks/results/transfer-edgesig.json.

Usage: python benchmarks/transfer.py CHECKPOINT...

Each checkpoint is exported as int8 TFLite with its own thresholds, and that file is scored on the test signers of every
data set, those that it was not trained on among them. CEDAR is fold 0.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from sigedge.cli.inputs import default_data, read_part
from sigedge.evaluation.bundle import evaluate_bundle
from sigedge.evaluation.results import provenance, write_result
from sigedge_models import load_checkpoint

ROOT = Path(__file__).resolve().parent.parent
DATASETS = {"cedar-half": (1, 5, 10), "bhsig260-hindi": (1, 5, 10), "sigcomp2009-nfi": (1, 3)}
KEPT = (
    "signers",
    "eer_skilled",
    "eer_skilled_ci95",
    "eer_random",
    "cllr",
    "min_cllr",
    "far_skilled",
    "far_random",
    "frr",
)


def main(checkpoints: list[Path]) -> None:
    """Score every checkpoint on every data set."""
    result = {"rows": [row(checkpoint) for checkpoint in checkpoints], "meta": provenance(seed=0, fold=0)}
    write_result(ROOT / "benchmarks" / "results" / "transfer-edgesig.json", result)


def row(checkpoint: Path) -> dict[str, Any]:
    """One training and its figures by data set and number of references."""
    _, info = load_checkpoint(checkpoint)
    bundle = ROOT / "out" / "transfer" / info.name
    command = ["export", str(checkpoint), "--out", str(bundle), "--formats", "tflite", "--precisions", "int8"]
    subprocess.run([sys.executable, "-m", "sigedge", *command], check=True)
    found: dict[str, Any] = {}
    for dataset, counts in DATASETS.items():
        records = read_part(default_data() / "index.csv", [dataset], "test", splits=None, fold=0)
        evaluation = evaluate_bundle(bundle, records, reference_counts=counts, cache=ROOT / ".cache", progress=False)
        blocks = evaluation.result["references"]
        found[dataset] = {count: {name: block[name] for name in KEPT} for count, block in blocks.items()}
        shown = (f"{count}: {100 * block['eer_skilled']:.1f} %" for count, block in blocks.items())
        print(f"{info.name} on {dataset}, skilled EER by references: {', '.join(shown)}", flush=True)
    model = evaluation.result["meta"]["model"]
    return {"model": model, "trained_on": sorted(info.training["data"]), "datasets": found}


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main([Path(argument) for argument in sys.argv[1:]])
