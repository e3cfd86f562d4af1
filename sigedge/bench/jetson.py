"""What a Jetson tells of itself while it is measured: `nvpmodel -q` and the lines of `tegrastats`.

Formats after NVIDIA's Jetson Linux Developer Guide, "tegrastats utility" and "nvpmodel". Elsewhere neither program is
there, and everything here says that it was not measured.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np

NOT_KNOWN, NOT_MEASURED = "not known", "not measured"
INTERVAL_MS = 100
# The whole module's supply is called VDD_IN on Orin, POM_5V_IN on Nano and TX2; others have it in parts.
WHOLE_BOARD = ("VDD_IN", "POM_5V_IN")

_MEMORY = re.compile(r"\bRAM (\d+)/(\d+)MB")
_CLOCK = re.compile(r"\b(GR3D_FREQ|EMC_FREQ) (\d+)%(?:@\[?(\d+))?")
_CORES = re.compile(r"\bCPU \[([^\]]*)\]")
_CORE = re.compile(r"(\d+)%@(\d+)|(off)")
_TEMPERATURE = re.compile(r"\b([\w-]+)@(-?\d+(?:\.\d+)?)C\b")
_POWER = re.compile(r"\b([A-Z][A-Z0-9_]+) (\d+)(?:mW)?/(\d+)(?:mW)?(?=\s|$)")


@dataclass(frozen=True)
class BoardState:
    """One line of tegrastats.

    Attributes:
        ram_mb, ram_total_mb: memory in use and in all; None where the line does not tell.
        cores: percent of use and MHz of each core that is on.
        clocks: percent of use and MHz (None where it does not tell) of ``GR3D_FREQ`` (GPU) and ``EMC_FREQ`` (memory).
        temperatures: degrees Celsius by sensor.
        power_mw: milliwatts just now by rail.
    """

    ram_mb: int | None = None
    ram_total_mb: int | None = None
    cores: tuple[tuple[int, int], ...] = ()
    clocks: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    power_mw: dict[str, int] = field(default_factory=dict)


def parse_tegrastats(line: str) -> BoardState:
    """Read a line; what it does not hold stays empty."""
    memory, cores = _MEMORY.search(line), _CORES.search(line)
    used, total = (int(memory[1]), int(memory[2])) if memory else (None, None)
    return BoardState(
        ram_mb=used,
        ram_total_mb=total,
        cores=tuple((int(m[1]), int(m[2])) for m in _CORE.finditer(cores[1]) if not m[3]) if cores else (),
        clocks={m[1]: (int(m[2]), int(m[3]) if m[3] else None) for m in _CLOCK.finditer(line)},
        temperatures={m[1]: float(m[2]) for m in _TEMPERATURE.finditer(line)},
        power_mw={m[1]: int(m[2]) for m in _POWER.finditer(line)},
    )


def parse_nvpmodel(text: str) -> str:
    """Name and number of the power mode, e.g. ``"15W (0)"``, out of what `nvpmodel -q` prints; else `NOT_KNOWN`."""
    name = re.search(r"NV Power Mode\s*:\s*(\S+)", text)
    number = re.search(r"^\s*(\d+)\s*$", text, re.MULTILINE)
    if name is None:
        return NOT_KNOWN
    return f"{name[1]} ({number[1]})" if number else name[1]


def power_mode() -> str:
    """The power mode of a Jetson; `NOT_KNOWN` elsewhere."""
    return parse_nvpmodel(_said(["nvpmodel", "-q"]))


class Tegrastats:
    """Collects tegrastats' lines in the background for the length of a block; does nothing where there is none."""

    def __init__(self) -> None:
        self.states: list[BoardState] = []
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Tegrastats:
        """Start it."""
        if shutil.which("tegrastats"):
            command = ["tegrastats", "--interval", str(INTERVAL_MS)]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self._thread = threading.Thread(target=self._collect, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it."""
        if self._process is not None and self._thread is not None:
            self._process.terminate()
            self._process.wait()
            self._thread.join(timeout=5)

    def energy(self) -> str:
        """Mean power of the whole board while it was measured, in words."""
        power = _mean_power(self.states)
        return NOT_MEASURED if power is None else f"{power / 1000:.2f} W of the whole board on average"

    def summary(self) -> dict[str, Any] | None:
        """Mean power, highest memory and temperature, and how often they were read; None where they were not."""
        if not self.states:
            return None
        hottest = [max(state.temperatures.values()) for state in self.states if state.temperatures]
        memory = [state.ram_mb for state in self.states if state.ram_mb is not None]
        return {
            "samples": len(self.states),
            "mean_power_mw": _mean_power(self.states),
            "most_ram_mb": max(memory, default=None),
            "hottest_c": max(hottest, default=None),
        }

    def _collect(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            self.states.append(parse_tegrastats(line))


def _mean_power(states: Sequence[BoardState]) -> float | None:
    for rail in WHOLE_BOARD:
        readings = [state.power_mw[rail] for state in states if rail in state.power_mw]
        if readings:
            return round(float(np.mean(readings)), 1)
    return None


def _said(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
