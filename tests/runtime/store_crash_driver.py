"""Kills a writing process again and again, and compares the store with what was acknowledged.

    python store_crash_driver.py STORE KILLS KEY SEED

A child changes the store (enrols, adds, replaces, removes) and writes a byte to a pipe after each call that returned.
It is killed with SIGKILL at a random instant. The store must then hold what the acknowledged calls made of it, or that
and the one call that was under way, wholly. With a KEY (hexadecimal, or empty) the child also encrypts the store anew
now and then. Prints one JSON object: kills, acknowledged calls, calls that were done but not acknowledged, users.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback

import numpy as np

from sigedge_runtime.store import TemplateStore

IDENTITY = "tiny:abababababab:tiny-int8-tflite:0123456789ab"
SIZE = 300
MOST_CALLS = 30
Model = dict[str, list[int]]


def row(number: int) -> np.ndarray:
    return np.random.RandomState(number).normal(size=(1, SIZE)).astype(np.float32)


def plan(model: Model, seed: int) -> list[tuple[str, str, list[int]]]:
    """Calls of one child: what to do, with whom, and the seeds of the templates."""
    draw, calls, names = random.Random(seed), [], list(model)
    for i in range(MOST_CALLS):
        what = draw.choices(("new", "add", "replace", "remove"), (5, 3, 2, 2))[0]
        templates = [seed * 1000 + i * 10 + k for k in range(draw.randint(1, 4))]
        name = f"user {seed}-{i}" if what == "new" or not names else draw.choice(names)
        if what == "remove" and name in names:
            names.remove(name)
        elif name not in names:
            names.append(name)
        calls.append((what, name, templates))
    return calls


def apply(model: Model, call: tuple[str, str, list[int]]) -> Model:
    what, name, templates = call
    after = dict(model)
    if what == "remove" and name in after:
        del after[name]
    else:
        after[name] = ([] if what == "replace" else after.get(name, [])) + templates
    return after


def change(store: TemplateStore, model: Model, call: tuple[str, str, list[int]]) -> None:
    what, name, templates = call
    vectors = np.concatenate([row(number) for number in templates])
    if what == "remove" and name in model:
        store.remove(name)
    else:
        (store.replace if what == "replace" else store.add)(name, vectors, IDENTITY)


def child(path: str, key: bytes | str, model: Model, seed: int, pipe: int) -> None:
    with TemplateStore(path, key=key, busy_timeout_ms=20_000) as store:
        os.write(pipe, b"o")
        if key and seed % 7 == 0:
            store.encrypt(key)
        for call in plan(model, seed):
            change(store, model, call)
            os.write(pipe, b".")
            model = apply(model, call)


def run_and_kill(path: str, key: bytes | str, model: Model, seed: int, pace: float) -> tuple[int, float]:
    """How many calls a child acknowledged before it was killed, and seconds that one took it.

    It is killed somewhere in the time of two calls, `pace` seconds each as the child before it had, after up to three
    were acknowledged; or one time in four while it opens the store.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            child(path, key, model, seed, writing)
            time.sleep(600)  # it is killed, never ends
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    draw = random.Random(seed)
    with os.fdopen(reading, "rb", buffering=0) as acknowledged:
        awaited = 1 + draw.randrange(4) if seed % 4 else 0
        start = time.monotonic()
        for _ in range(awaited):
            acknowledged.read(1)
        pace = (time.monotonic() - start) / awaited if awaited else pace
        time.sleep(draw.uniform(0, 2 * pace))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), f"the child of seed {seed} failed before it was killed"
        return max(0, awaited + len(acknowledged.read()) - 1), pace


def content(path: str, key: bytes | str) -> tuple[dict[str, list[bytes]], tuple[str, ...]]:
    """What the store holds, and what is wrong with it."""
    with TemplateStore(path, key=key, busy_timeout_ms=20_000) as store:
        found = store.check().findings
        return {one.name: [vector.tobytes() for vector in one.vectors] for one in store.stored()}, found


def expected(model: Model, rows: dict[int, bytes]) -> dict[str, list[bytes]]:
    for number in (n for numbers in model.values() for n in numbers):
        rows.setdefault(number, row(number).tobytes())
    return {name: [rows[number] for number in numbers] for name, numbers in model.items()}


def main(path: str, kills: int, key: bytes, seed: int) -> dict[str, int]:
    model: Model = {}
    rows: dict[int, bytes] = {}
    totals = {"kills": 0, "acknowledged": 0, "done_unacknowledged": 0}
    pace = 0.01
    for round_ in range(seed, seed + kills):
        count, pace = run_and_kill(path, key or "", model, round_, pace)
        calls = plan(model, round_)
        for call in calls[:count]:
            model = apply(model, call)
        stored, findings = content(path, key or "")
        assert findings == (), f"after kill {round_}: {findings}"
        if stored != expected(model, rows):
            model = apply(model, calls[count])
            assert stored == expected(model, rows), f"kill {round_}: the store holds neither {count} calls nor one more"
            totals["done_unacknowledged"] += 1
        totals["kills"] += 1
        totals["acknowledged"] += count
    return {**totals, "users": len(model)}


if __name__ == "__main__":
    path, kills, key, seed = sys.argv[1:]
    print(json.dumps(main(path, int(kills), bytes.fromhex(key), int(seed))))
