"""Result files: where a figure came from travels with it, and no file is half-written."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import sigedge
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import DataError

_PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "scikit-learn",
    "ai-edge-litert",
    "tflite-runtime",
    "onnxruntime",
)


def provenance(**facts: Any) -> dict[str, Any]:
    """Date (UTC), machine and versions, joined by the caller's facts (seed, model hash and the like)."""
    versions = {"sigedge": sigedge.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": versions,
        **facts,
    }


def cpu_name() -> str:
    """Name of the processor as the system gives it, else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def write_result(path: str | Path, result: Mapping[str, Any]) -> None:
    """Write a result as JSON, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    text = json.dumps(result, indent=2, sort_keys=True, allow_nan=False) + "\n"
    try:
        write_atomically(Path(path), text.encode())
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error}); choose another file.") from error


def read_result(path: str | Path) -> dict[str, Any]:
    """Read a result file.

    Raises:
        DataError: it is missing or no JSON object.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a result file ({error}); measure it again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is no result file; measure it again.")
    return content
