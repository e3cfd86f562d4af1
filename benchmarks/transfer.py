"""Train on one, test on another: benchmarks/results/transfer-edgesig.json.

Usage: python benchmarks/transfer.py CHECKPOINT...

Each checkpoint is exported as int8 TFLite with its own thresholds, and that file is scored on the test signers of every
data set, those that it was not trained on among them. CEDAR is fold 0. What accuracy-NAME-DATASET.json holds of
the same checkpoint already is taken from there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from sigedge.cli.inputs import default_data, read_part
from sigedge.evaluation.bundle import evaluate_bundle
from sigedge.evaluation.results import provenance, read_result, write_result
from sigedge_models import load_checkpoint
from sigedge_runtime.bundle import hash_file

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CACHE = ROOT / ".cache" / "canvases"
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
    write_result(RESULTS / "transfer-edgesig.json", result)


def row(checkpoint: Path) -> dict[str, Any]:
    """One training and its figures by data set and number of references."""
    _, info = load_checkpoint(checkpoint)
    found: dict[str, Any] = {}
    bundle: Path | None = None
    for dataset, counts in DATASETS.items():
        result = known(info.name, dataset, checkpoint)
        if result is None:
            bundle = bundle or exported(info.name, checkpoint)
            result = measured(bundle, dataset, counts)
        blocks = result["references"]
        swap = {"reference_swap_auc": result["leak_gates"]["reference_swap_auc"]}
        found[dataset] = {count: {name: block[name] for name in KEPT} | swap for count, block in blocks.items()}
        shown = (f"{count}: {100 * block['eer_skilled']:.1f} %" for count, block in blocks.items())
        print(f"{info.name} on {dataset}, skilled EER by references: {', '.join(shown)}", flush=True)
    return {"model": result["meta"]["model"], "trained_on": sorted(info.training["data"]), "datasets": found}


def known(name: str, dataset: str, checkpoint: Path) -> dict[str, Any] | None:
    """The result of `sigedge evaluate` for a shipped verifier, where it was made with this checkpoint."""
    path = RESULTS / f"accuracy-{name}-{dataset}.json"
    result = read_result(path) if path.is_file() else None
    same = result is not None and result["meta"]["model"]["checkpoint_sha256"] == hash_file(checkpoint)
    return result if same else None


def exported(name: str, checkpoint: Path) -> Path:
    """The checkpoint's bundle."""
    bundle = ROOT / "out" / "transfer" / name
    command = ["export", str(checkpoint), "--out", str(bundle), "--formats", "tflite", "--precisions", "int8"]
    subprocess.run([sys.executable, "-m", "sigedge", *command], check=True)
    return bundle


def measured(bundle: Path, dataset: str, counts: tuple[int, ...]) -> dict[str, Any]:
    """The deployed file on test signers."""
    records = read_part(default_data() / "index.csv", [dataset], "test", splits=None, fold=0)
    return evaluate_bundle(bundle, records, reference_counts=counts, cache=CACHE, progress=False).result


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main([Path(argument) for argument in sys.argv[1:]])
