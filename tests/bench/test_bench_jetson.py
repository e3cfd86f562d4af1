"""What a Jetson says, in lines written after NVIDIA's documentation; none was at hand."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.bench.jetson import NOT_KNOWN, NOT_MEASURED, Tegrastats, parse_nvpmodel, parse_tegrastats, power_mode

ORIN = (
    "01-02-2030 03:04:05 RAM 2801/7620MB (lfb 4x2MB) SWAP 0/3810MB (cached 0MB) "
    "CPU [12%@1510,0%@1510,off,off,3%@729,100%@1510] EMC_FREQ 1%@2133 GR3D_FREQ 45%@[624] NVDEC off "
    "cpu@48.5C soc2@47.25C gpu@-256C tj@49.1C VDD_IN 5232mW/5107mW VDD_CPU_GPU_CV 1084mW/1000mW VDD_SOC 1445mW/1400mW"
)
NANO = (
    "RAM 1216/3964MB (lfb 330x4MB) IRAM 0/252kB(lfb 252kB) CPU [19%@102,16%@102,12%@102,15%@102] EMC_FREQ 3%@1600 "
    "GR3D_FREQ 0% PLL@28.5C CPU@31C PMIC@100C GPU@29C POM_5V_IN 1532/1600 POM_5V_GPU 40/40 POM_5V_CPU 163/200"
)
NVPMODEL = "NV Power Mode: 15W\n0\n"


def test_a_line_of_an_orin() -> None:
    found = parse_tegrastats(ORIN)
    assert (found.ram_mb, found.ram_total_mb) == (2801, 7620)
    assert found.cores == ((12, 1510), (0, 1510), (3, 729), (100, 1510)), "cores that are off are left out"
    assert found.clocks == {"EMC_FREQ": (1, 2133), "GR3D_FREQ": (45, 624)}
    assert found.temperatures == {"cpu": 48.5, "soc2": 47.25, "gpu": -256.0, "tj": 49.1}
    assert found.power_mw == {"VDD_IN": 5232, "VDD_CPU_GPU_CV": 1084, "VDD_SOC": 1445}


def test_a_line_of_a_nano() -> None:
    found = parse_tegrastats(NANO)
    assert found.clocks["GR3D_FREQ"] == (0, None) and len(found.cores) == 4
    assert found.power_mw == {"POM_5V_IN": 1532, "POM_5V_GPU": 40, "POM_5V_CPU": 163}
    assert found.temperatures["PLL"] == 28.5 and found.ram_mb == 1216


@given(st.text(max_size=200))
def test_no_line_is_a_surprise(line: str) -> None:
    found = parse_tegrastats(line)
    assert all(value >= 0 for value in found.power_mw.values())
    assert parse_nvpmodel(line)


def test_the_power_mode() -> None:
    assert parse_nvpmodel(NVPMODEL) == "15W (0)"
    assert parse_nvpmodel("NV Fan Mode:quiet\nNV Power Mode: MAXN\n") == "MAXN"
    assert parse_nvpmodel("") == NOT_KNOWN


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path for programs that speak like a Jetson's."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_a_board_is_watched_while_it_works(tools: Path) -> None:
    program(tools / "nvpmodel", "printf 'NV Power Mode: 15W\\n0\\n'")
    program(tools / "tegrastats", f"echo '{ORIN}'\necho '{ORIN.replace('5232mW', '6232mW')}'\nexec sleep 60")
    assert power_mode() == "15W (0)"
    with Tegrastats() as board:
        deadline = time.monotonic() + 30
        while len(board.states) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert board.energy() == "5.73 W of the whole board on average"
    assert board.summary() == {"samples": 2, "mean_power_mw": 5732.0, "most_ram_mb": 2801, "hottest_c": 49.1}


def test_elsewhere_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with Tegrastats() as board:
        pass
    assert board.energy() == NOT_MEASURED and board.summary() is None and power_mode() == NOT_KNOWN
