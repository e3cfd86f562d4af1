"""Fixed cases for everything a device reads from strangers: benchmarks/results/fuzz.json

Usage: python benchmarks/fuzz/campaign.py [--scale 1] [--out FILE]

The same cases each time, in processes of their own. Images are read twice, with other garbage in fresh memory each
time, so that pixels that nobody wrote show. Ends with code 1 when any case ended otherwise than documented.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sigedge.evaluation.results import provenance, write_result
from sigedge.fuzzing.campaign import Report, run
from sigedge_runtime.errors import SigedgeError

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = 2026
# Cases of each kind: ten million random bytes, a thousand images of each format, and what a minute allows of the rest.
COUNTS = {
    "random bytes": 5400,
    "mutated images": 5000,
    "mutated manifests": 2000,
    "mutated artefacts": 10_000,
    "mutated bundles": 1000,
    "mutated stores": 2000,
}
IMAGES = ("random bytes", "mutated images")


def main(scale: float, out: Path) -> int:
    rows, failed = [], False
    for kind, count in COUNTS.items():
        row, defects = measured(kind, max(1, round(count * scale)))
        rows.append(row)
        failed |= bool(defects)
        print(f"{kind}: {row['cases']} cases, {row['bytes']} bytes, {row['outcomes']}, {len(defects)} defects")
        print("\n".join(defects), end="\n" if defects else "")
    write_result(out, {"rows": rows, "meta": provenance(seed=SEED)})
    return 1 if failed else 0


def measured(kind: str, count: int) -> tuple[dict[str, object], list[str]]:
    """A row of the result, and what must not be."""
    report = run(kind, SEED, count, environment={"MALLOC_PERTURB_": "85"})
    unsure = unwritten(report, run(kind, SEED, count, environment={"MALLOC_PERTURB_": "170"})) if kind in IMAGES else []
    defects = [*report.defects, *(f"case {number}: pixels that nobody wrote" for number in unsure)]
    return {**report.to_dict(), "defects": defects}, defects


def unwritten(first: Report, second: Report) -> list[int]:
    """Cases that gave other pixels when fresh memory held other garbage."""
    return [number for number, outcome in first.digests.items() if second.digests.get(number) != outcome]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="times as many cases")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "fuzz.json")
    options = parser.parse_args()
    try:
        sys.exit(main(options.scale, options.out))
    except SigedgeError as error:
        sys.exit(f"Error: {error}")
