"""The self-test that opening asks for: replayed once for everything it depends on, then remembered.

Replaying the golden vectors takes a cold process longer than all the rest up to a first verdict. Its outcome depends on
the bundle, on the code and the libraries that compute, and on the processor: where all of them are as they were when it
passed, it need not pass again. A failure is never remembered.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import cv2
import numpy as np

from sigedge_runtime import _user_cache
from sigedge_runtime._machine import cpu_name, gpu_names, module_stamp
from sigedge_runtime.bundle import MANIFEST, Bundle
from sigedge_runtime.engines import Engine

CACHE = "selftests"
_PACKAGE = Path(__file__).parent


def require_selftest(bundle: Bundle, engine: Engine, wanted: bool | None) -> None:
    """Replay the golden vectors of a bundle on an open engine, and refuse to serve when they differ.

    Args:
        bundle: opened.
        engine: open, on an artefact of the bundle.
        wanted: True replays them; None does so unless they passed here before; False does nothing.

    Raises:
        SelftestError: this device does not decide as the reference does.
    """
    if wanted is False:
        return
    key = _key(bundle, engine)
    if wanted is None and isinstance(_user_cache.load(CACHE, key), dict):
        return
    from sigedge_runtime.selftest import replay, require_passed

    report = replay(bundle, engine)
    require_passed(report, bundle)
    _user_cache.keep(CACHE, key, {"date": time.strftime("%Y-%m-%d"), "engine": engine.name, **report.to_dict()})


def _key(bundle: Bundle, engine: Engine) -> list[object]:
    """Everything that the outcome depends on. The manifest holds the SHA-256 of every other file of the bundle."""
    manifest = hashlib.sha256((bundle.root / MANIFEST).read_bytes()).hexdigest()
    code = sorted(entry for folder in ("", "engines", "tensorrt") for entry in _stamps(_PACKAGE / folder))
    libraries = [np.__version__, module_stamp("numpy"), cv2.__version__, module_stamp("cv2")]
    runs = [engine.artifact.name, engine.name, engine.stamp(), engine.threads]
    return [manifest, code, libraries, runs, cpu_name(), gpu_names()]


def _stamps(folder: Path) -> list[str]:
    """Name, size and time of each source file in a folder."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(".py")]
    return [f"{folder.name}/{name} {facts.st_size} {facts.st_mtime_ns}" for name, facts in found]
