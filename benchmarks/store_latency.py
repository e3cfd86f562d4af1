"""How long the template store takes, plain and encrypted: benchmarks/results/store-latency.json.

Usage: python benchmarks/store_latency.py [USERS [REPEATS [OUT]]]

A store of USERS (default 100,000) synthetic users with five templates of 320 values each. Timed: a user's templates
read for the first time and again, an enrolment of five, a removal, the revision, the gallery as a whole and in parts.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sigedge.evaluation.results import provenance, write_result
from sigedge_runtime.store import StoredTemplates, TemplateStore

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks" / "results" / "store-latency.json"
IDENTITY, TEMPLATES, SIZE, SEED = "synthetic", 5, 320, 0
KEY = bytes(range(32))
NOW = "2000-01-01T00:00:00+00:00"


def milliseconds(call: Callable[[int], object], repeats: int) -> dict[str, float | int]:
    """Percentiles over calls with 0, 1, ..."""
    found = []
    for i in range(repeats):
        start = time.perf_counter()
        call(i)
        found.append(1000 * (time.perf_counter() - start))
    p50, p95, p99 = (float(value) for value in np.percentile(found, [50, 95, 99]))
    return {"n": repeats, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "max_ms": max(found)}


def measure(path: Path, key: bytes | str, users: int, repeats: int) -> dict[str, Any]:
    draw = np.random.default_rng(SEED)
    new = [draw.normal(size=(TEMPLATES, SIZE)).astype(np.float32) for _ in range(repeats)]
    asked = [f"user {i}" for i in draw.integers(0, users, repeats)]
    with TemplateStore(path, key=key) as store:
        everybody = (
            StoredTemplates(
                f"user {i}", IDENTITY, NOW, draw.normal(size=(TEMPLATES, SIZE)).astype(np.float32), (NOW,) * TEMPLATES
            )
            for i in range(users)
        )
        store.merge(everybody)
        store.templates(asked[0], IDENTITY)
        return {
            "first_read": milliseconds(lambda i: store.templates(asked[i], IDENTITY), repeats),
            "read_again": milliseconds(lambda i: store.templates(asked[0], IDENTITY), repeats),
            "revision": milliseconds(lambda i: store.revision(), repeats),
            "enrol": milliseconds(lambda i: store.add(f"new {i}", new[i], IDENTITY), repeats),
            "remove": milliseconds(lambda i: store.remove(f"new {i}"), repeats),
            "gallery": milliseconds(lambda i: store.gallery(IDENTITY), 3),
            "gallery_in_parts": milliseconds(lambda i: sum(len(part.users) for part in store.galleries(IDENTITY)), 3),
            "megabytes": path.stat().st_size / 1e6,
        }


def main(users: int = 100_000, repeats: int = 500, out: Path = OUT) -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "plain": measure(Path(folder) / "plain.db", "", users, repeats),
            "encrypted": measure(Path(folder) / "encrypted.db", KEY, users, repeats),
        }
    shape = {"users": users, "templates_per_user": TEMPLATES, "values_per_template": SIZE}
    write_result(out, {**shape, **found, "meta": provenance(seed=SEED, sqlite=sqlite3.sqlite_version)})
    for name, timings in found.items():
        for what, figures in timings.items():
            print(name, what, figures if isinstance(figures, float) else f"{figures['p50_ms']:.3f} ms (median)")


if __name__ == "__main__":
    if len(sys.argv) > 4:
        sys.exit(__doc__)
    main(*(int(word) for word in sys.argv[1:3]), *(Path(word) for word in sys.argv[3:]))
