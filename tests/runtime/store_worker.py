"""One process of the concurrency tests: python store_worker.py STORE KEY WHAT NUMBER.

``enrol``: enrols 20 users of its own and 20 times one that all share. ``read``: reads again and again until the file
STORE.stop is there; nothing that it has seen may go away or be half there. ``hold``: opens the store twice, waits for a
line, enrols, waits for another line. Prints what it did as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from sigedge_runtime.store import TemplateStore

IDENTITY = "tiny:abababababab:tiny-int8-tflite:0123456789ab"
ROUNDS = 20
PATIENCE_MS = 60_000


def vectors(value: float) -> np.ndarray:
    """Three templates, all of one value: those of one enrolment."""
    return np.full((3, 16), value, np.float32)


def enrol(store: TemplateStore, number: int) -> dict[str, int]:
    for i in range(ROUNDS):
        store.add(f"user {number}-{i}", vectors(i), IDENTITY)
        store.add("shared", vectors(number * ROUNDS + i), IDENTITY)
    return {"enrolled": ROUNDS}


def read(store: TemplateStore, stop: Path) -> dict[str, int]:
    seen, reads = 0, 0
    while not stop.exists() or reads == 0:
        users = store.users()
        assert all(user.templates % 3 == 0 for user in users), "a half enrolment"
        assert len(users) >= seen, "an enrolment was lost"
        seen = len(users)
        if seen:
            gallery = store.gallery(IDENTITY)
            assert len(gallery.users) >= seen and gallery.sizes.sum() == len(gallery.vectors)
            for user in gallery.users:
                rows = store.templates(user, IDENTITY)
                assert len(rows) % 3 == 0 and (rows[::3] == rows[2::3]).all(), "enrolments are mixed"
        reads += 1
    return {"reads": reads, "users": seen}


def hold(store: TemplateStore, path: str, key: str) -> dict[str, int]:
    with TemplateStore(path, key=bytes.fromhex(key) or ""):
        print("open", flush=True)
        sys.stdin.readline()
        count = store.add("late", vectors(1), IDENTITY)
        print("enrolled", flush=True)
        sys.stdin.readline()
        return {"templates": count}


if __name__ == "__main__":
    path, key, what, number = sys.argv[1:]
    with TemplateStore(path, key=bytes.fromhex(key) or "", busy_timeout_ms=PATIENCE_MS) as opened:
        if what == "enrol":
            done = enrol(opened, int(number))
        elif what == "read":
            done = read(opened, Path(f"{path}.stop"))
        else:
            done = hold(opened, path, key)
    print(json.dumps(done))
