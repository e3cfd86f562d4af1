"""Measure every artefact of a full bundle on test signers: benchmarks/results/parity-MODEL-DATASET-test.json.

Usage: python benchmarks/parity_results.py BUNDLE [CHECKPOINT]

The research data are looked for as everywhere: in SIGEDGE_DATA, else ../shared/data. The pages go to out/report.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sigedge.cli.inputs import default_data
from sigedge_runtime.bundle import Bundle

ROOT = Path(__file__).resolve().parent.parent
DATASETS = ("cedar-half", "bhsig260-hindi")
FOLD = 0


def main(arguments: list[str]) -> None:
    """Run `sigedge report` once for each data set."""
    bundle = Path(arguments[0])
    with Bundle.open(bundle) as opened:
        model = opened.manifest.model.name
    checkpoint = arguments[1] if len(arguments) > 1 else str(ROOT / "models" / "weights" / f"{model}.safetensors")
    for dataset in DATASETS:
        name = f"parity-{model}-{dataset}-test"
        options = {
            "--checkpoint": checkpoint,
            "--index": str(default_data() / "index.csv"),
            "--dataset": dataset,
            "--split": "test",
            "--fold": str(FOLD),
            "--out": str(ROOT / "out" / "report" / f"{name}.html"),
            "--json": str(ROOT / "benchmarks" / "results" / f"{name}.json"),
        }
        command = ["report", str(bundle), *(part for option in options.items() for part in option)]
        subprocess.run([sys.executable, "-m", "sigedge", *command], check=True)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1:])
