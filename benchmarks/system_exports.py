"""Export every network of the systems and put its figures beside what it is for: benchmarks/results/systems.json.

Usage: python benchmarks/system_exports.py [SYSTEM ...]

Reads benchmarks/results/system-SYSTEM.json, which `sigedge evaluate` and the other scripts here wrote. A network's
bundle stands in out/systems; times are those of its int8 TFLite file on one thread. Rows of other systems than those
named stay as they are.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from sigedge.bench.interleaved import time_artifacts
from sigedge.evaluation.results import provenance, write_result
from sigedge.systems import has_system
from sigedge_export.audit import golden_canvases
from sigedge_models import load_checkpoint
from sigedge_runtime.bundle import Bundle, hash_file

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
WEIGHTS = ROOT / "models" / "weights"
OUT = ROOT / "out" / "systems"
ORDER = ("cgan", "forger", "cleaner", "localisation", "signet", "signauth", "siamese_resnet")
COMPARED = "int8-tflite"
CAPABILITY = "sm89"
# What is asked for, until something passes: a model declares in its export.json what it does not offer, and why.
CHOICES = {
    "passed": ("--formats", "onnx,tflite", "--precisions", "float32,int8"),
    "ONNX alone": ("--formats", "onnx", "--precisions", "float32,int8"),
    "float32 alone": ("--formats", "onnx,tflite", "--precisions", "float32"),
}


def main(arguments: list[str]) -> None:
    """One row for each network of each system that has been measured."""
    result = RESULTS / "systems.json"
    kept = json.loads(result.read_text(encoding="utf-8"))["rows"] if arguments and result.is_file() else []
    rows: list[dict[str, Any]] = [row for row in kept if row["system"] not in arguments]
    for system in arguments or ORDER:
        path = RESULTS / f"system-{system}.json"
        if not path.is_file():
            print(f"{system}: not measured yet", file=sys.stderr)
            continue
        for network in json.loads(path.read_text(encoding="utf-8"))["networks"]:
            rows.append({"system": system, **network, **exported(system, network)})
            print(json.dumps(rows[-1]))
    rows.sort(key=lambda row: ORDER.index(row["system"]))
    write_result(result, {"rows": rows, "meta": provenance(compared=COMPARED)})


def exported(system: str, network: dict[str, Any]) -> dict[str, Any]:
    """Size, change and time of the int8 file, and which other formats passed; nothing for what is no network."""
    stem = f"{system}-{network['network']}" if has_system(system) else system
    weights = WEIGHTS / f"{stem}.safetensors"
    if not weights.is_file():
        return {}
    if hash_file(weights) != network["checkpoint_sha256"]:
        sys.exit(f"{weights} is not the checkpoint that {system} was measured with; measure it again.")
    bundle, record = OUT / stem, OUT / f"{stem}.json"
    asked = ["export", str(weights), "--out", str(bundle), "--json", str(record)]
    passed = next((name for name, choice in CHOICES.items() if _run([*asked, *choice]) == 0), "refused")
    built = [precision for precision in ("float32", "int8") if passed != "refused" and _build(bundle, precision)]
    if passed != "passed":
        return {"exported": passed, "tensorrt_rtx": built}
    parity = json.loads(record.read_text(encoding="utf-8"))["parity"]
    row = next(
        row for row in parity["rows"] if row["artifact"].endswith(COMPARED) and row["engine"].startswith("litert")
    )
    with Bundle.open(bundle) as opened:
        artifact = opened.artifact(row["artifact"])
        timings = time_artifacts(opened, golden_canvases(opened))
        times = next(t.times for t in timings if t.artifact == artifact.name and t.engine == "litert")
    return {
        "exported": "passed",
        "int8_size": artifact.size,
        "int8_change": change(parity, row),
        "int8_ms": {"value": statistics.median(times), "p95": float(np.percentile(times, 95)), "n": len(times)},
        "tensorrt_rtx": built,
        "task": load_checkpoint(weights)[1].task,
    }


def change(parity: dict[str, Any], row: dict[str, Any]) -> str:
    """What int8 costs, in the measure of the task."""
    if "eer_difference" in row:
        difference = row["eer_difference"]
        estimate, low, high = (100 * difference[name] for name in ("estimate", "low", "high"))
        return f"{estimate:+.2f} [{low:+.2f}, {high:+.2f}] points of EER"
    if row["changed"] is not None:
        return f"{row['changed']} of {parity['canvases']} classes changed"
    return f"PSNR {row['psnr']:.1f} dB at the worst"


def _build(bundle: Path, precision: str) -> bool:
    return _run(["build-engine", str(bundle), "--precision", precision, "--ahead-of-time", CAPABILITY]) == 0


def _run(arguments: list[str]) -> int:
    return subprocess.run([sys.executable, "-m", "sigedge", *arguments], stdout=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    main(sys.argv[1:])
