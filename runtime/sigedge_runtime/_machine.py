"""What a measurement depends on, read without importing or starting anything."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

_CPU_KEYS = ("model name", "Model", "Hardware", "CPU part")
_GPU_FILES = ("proc/driver/nvidia/gpus/*/information", "proc/device-tree/model")


def cpu_name(file: str = "/proc/cpuinfo") -> str:
    """Architecture and, where Linux tells, name of the processor."""
    architecture = os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "unknown")
    for line in _text(Path(file)).splitlines():
        key, _, value = line.partition(":")
        if key.strip() in _CPU_KEYS:
            return f"{architecture} {value.strip()}"
    return architecture


def gpu_names(root: str = "/") -> tuple[str, ...]:
    """Names of NVIDIA GPUs that the driver lists, or of the board that has one; empty where nothing tells."""
    texts = (_text(path) for pattern in _GPU_FILES for path in sorted(Path(root).glob(pattern)))
    return tuple(text.strip("\0 \n").splitlines()[0] for text in texts if text.strip("\0 \n"))


def usable_cores() -> int:
    """CPU cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_module(name: str) -> bool:
    """Whether a module could be imported, as far as can be told without importing it."""
    try:
        return find_spec(name) is not None
    except (ImportError, AttributeError):  # its package is not there, or is broken
        return False
    except ValueError:  # a module that was put into sys.modules by hand carries no spec
        return True


def module_folder(name: str) -> Path | None:
    """Folder of a package, or of the one that a module lies in; None when it is not installed."""
    try:
        spec = find_spec(name.partition(".")[0])
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def module_stamp(name: str) -> str:
    """Changes when an installed package does: place, size and time of its first file. Empty when there is none."""
    folder = module_folder(name)
    return "" if folder is None else file_stamp(folder / "__init__.py")


def file_stamp(path: Path) -> str:
    """Place, size and time of a file or folder; only its place when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return str(path)
    return f"{path} {found.st_size} {found.st_mtime_ns}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
