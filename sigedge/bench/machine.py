"""What a measurement was made on: without it a latency figure means nothing."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "sigedge",
    "numpy",
    "opencv-python-headless",
    "ai-edge-litert",
    "tflite-runtime",
    "onnxruntime",
    "torch",
    "scipy",
)
NOT_KNOWN = "not known"


def describe_machine() -> dict[str, str | int]:
    """Processor, cores, frequency governor, memory, system and Python; "not known" where unreadable."""
    return {
        "cpu": _cpu_name(),
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 0,
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        "governor": _read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_mb": _memory_mb(),
        "os": _os_name(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def library_versions() -> dict[str, str]:
    """Versions of the installed packages that a verification runs through."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def peak_rss_mb() -> float:
    """Largest resident set of this process so far, in MiB.

    Linux keeps `getrusage`'s figure across exec, so that a child would inherit its parent's peak; VmHWM starts anew.
    """
    for line in _lines("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def _cpu_name() -> str:
    for line in _lines("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return platform.processor() or NOT_KNOWN


def _memory_mb() -> int:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def _os_name() -> str:
    for line in _lines("/etc/os-release"):
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip().strip('"')
    return platform.system()


def _read_line(path: str) -> str:
    return next(iter(_lines(path)), NOT_KNOWN)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
