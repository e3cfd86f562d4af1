"""Eight threads verify while one enrols: benchmarks/results/soak-edgesig.json

Usage: python benchmarks/soak.py [--minutes 10] [--threads 8] [--out FILE]

Signatures are synthetic. Ends with code 1 when there was any error, an enrolment was lost, or memory grew by more than
`MOST_GROWTH` in a soak of five minutes or more. The C library keeps one pool of memory for all threads here: with one
for each, memory goes up and down so much that a small leak would not show.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from sigedge.bench.soak import Soak, soak
from sigedge.evaluation.results import provenance, write_result
from sigedge.synthesis import Synthesiser
from sigedge_runtime import Verifier
from sigedge_runtime.errors import SigedgeError

ROOT = Path(__file__).resolve().parent.parent
SEED = 900_004
SIGNERS, SAMPLES = 6, 6
MOST_GROWTH = 1.0
"""MB a minute, above which a soak fails."""
POOLS = "MALLOC_ARENA_MAX"


def main(minutes: float, threads: int, out: Path) -> int:
    synthesiser = Synthesiser(SEED)
    signers = [[synthesiser.signer(n).genuine(i).image for i in range(SAMPLES)] for n in range(SIGNERS)]
    with tempfile.TemporaryDirectory() as folder, Verifier.open(store=Path(folder) / "templates.db") as verifier:
        done = soak(verifier, signers, 60 * minutes, threads=threads, report=tell)
        model = verifier.manifest.model
        facts = {"artifact": verifier.artifact.name, "engine": verifier.engine.name, "pools": os.environ[POOLS]}
        digest = verifier.artifact.sha256
    meta = provenance(seed=SEED, model={"name": model.name, "sha256": model.checkpoint_sha256}, artifact_sha256=digest)
    result = {**done.to_dict(), **facts, "meta": meta}
    write_result(out, result)
    print()
    for text, count in done.errors.most_common():
        print(f"{count} times {text}")
    print("\n".join(done.lost), end="\n" if done.lost else "")
    print(
        f"{out}: {done.verifications} verifications, {done.enrolments} enrolments, {sum(done.errors.values())} errors"
    )
    growing = minutes >= 5 and not (result["mb_per_minute"] or 0) <= MOST_GROWTH
    print(f"Memory grew by {result['mb_per_minute'] or 0:.2f} MB a minute once warm")
    return 1 if done.errors or done.lost or growing else 0


def tell(done: Soak) -> None:
    passed, megabytes = done.memory[-1]
    print(f"\r{passed:5.0f} s  {done.verifications} verified  {done.enrolments} enrolled  {megabytes:.0f} MB", end="")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "soak-edgesig.json")
    options = parser.parse_args()
    if POOLS not in os.environ:  # the C library reads it when a process begins
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, POOLS: "1"})
    try:
        sys.exit(main(options.minutes, options.threads, options.out))
    except SigedgeError as error:
        sys.exit(f"Error: {error}")
