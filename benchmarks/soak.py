"""Eight threads verify while one enrols: benchmarks/results/soak-edgesig.json

Usage: python benchmarks/soak.py [--minutes 10] [--threads 8] [--out FILE]

Signatures are synthetic. Ends with code 1 when there was any error or an enrolment was lost.
"""

from __future__ import annotations

import argparse
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


def main(minutes: float, threads: int, out: Path) -> int:
    synthesiser = Synthesiser(SEED)
    signers = [[synthesiser.signer(n).genuine(i).image for i in range(SAMPLES)] for n in range(SIGNERS)]
    with tempfile.TemporaryDirectory() as folder, Verifier.open(store=Path(folder) / "templates.db") as verifier:
        done = soak(verifier, signers, 60 * minutes, threads=threads, report=tell)
        model = verifier.manifest.model
        facts = {"artifact": verifier.artifact.name, "engine": verifier.engine.name}
        digest = verifier.artifact.sha256
    meta = provenance(seed=SEED, model={"name": model.name, "sha256": model.checkpoint_sha256}, artifact_sha256=digest)
    write_result(out, {**done.to_dict(), **facts, "meta": meta})
    print()
    for text, count in done.errors.most_common():
        print(f"{count} times {text}")
    print("\n".join(done.lost), end="\n" if done.lost else "")
    print(
        f"{out}: {done.verifications} verifications, {done.enrolments} enrolments, {sum(done.errors.values())} errors"
    )
    return 1 if done.errors or done.lost else 0


def tell(done: Soak) -> None:
    passed, megabytes = done.memory[-1]
    print(f"\r{passed:5.0f} s  {done.verifications} verified  {done.enrolments} enrolled  {megabytes:.0f} MB", end="")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "soak-edgesig.json")
    options = parser.parse_args()
    try:
        sys.exit(main(options.minutes, options.threads, options.out))
    except SigedgeError as error:
        sys.exit(f"Error: {error}")
