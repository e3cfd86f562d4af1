"""Phones through adb: a stand-in for adb answers as the tools' documentation says; none was at hand."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
from pathlib import Path
from types import ModuleType

import pytest

from sigedge.bench.android import describe_phone, parse_benchmark_model, parse_properties
from sigedge_runtime.errors import EngineError, EngineUnavailableError

OLD = """STARTING!
Log parameter values verbosely: [0]
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
count=50 first=1234 curr=410 min=400 max=1234 avg=430.5 std=90
count=1000 first=412 curr=405 min=399 max=910 avg=408.25 std=12
Inference timings in us: Init: 4321, First inference: 1234, Warmup (avg): 430.5, Inference (avg): 408.25
Overall peak memory footprint (MB) via periodic monitoring: 6.83984
"""
NEW = OLD.replace("avg=408.25 std=12", "avg=408.25 std=12 p5=400 median=407 p95=420")
PROPERTIES = """[ro.board.platform]: [zuma]
[ro.build.version.release]: [15]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 8]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [Tensor G3]
"""
ADB = """#!/bin/sh
echo "$@" >> "$ADB_LOG"
case "$*" in
  *benchmark_model\\ --graph*) cat "$ADB_SAYS" ;;
  *getprop*) cat "$ADB_PROPERTIES" ;;
  *scaling_governor*) echo schedutil ;;
  *processor*) echo 9 ;;
  *battery*) printf '  level: 80\\n  temperature: 310\\n' ;;
esac
"""


@pytest.fixture(scope="module")
def script(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("android_bench", repository / "benchmarks" / "android_bench.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stand-in for adb on the path; what it says can be changed."""
    adb = tmp_path / "adb"
    adb.write_text(ADB)
    adb.chmod(adb.stat().st_mode | stat.S_IXUSR)
    for name, content in (("says", NEW), ("properties", PROPERTIES), ("log", "")):
        (tmp_path / name).write_text(content)
        monkeypatch.setenv(f"ADB_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "benchmark_model").write_text("")
    return tmp_path


def test_what_the_tool_prints() -> None:
    found = parse_benchmark_model(OLD)
    assert found is not None and found.count == 1000 and found.mean_ms == pytest.approx(0.40825)
    assert (found.init_ms, found.first_ms) == (pytest.approx(4.321), pytest.approx(1.234))
    assert (found.least_ms, found.most_ms) == (pytest.approx(0.399), pytest.approx(0.91))
    assert found.percentiles == {} and found.peak_mb == 6.83984 and found.delegate == "XNNPACK"
    newer = parse_benchmark_model(NEW)
    assert newer is not None and newer.percentiles == {"p5": 0.4, "p50": 0.407, "p95": 0.42}
    assert parse_benchmark_model("error: not found") is None


def test_what_a_phone_is() -> None:
    found = describe_phone(parse_properties(PROPERTIES), "schedutil\n", 9)
    assert found["cpu"] == "Google Tensor G3" and found["model"] == "Google Pixel 8" and found["os"] == "Android 15"
    assert describe_phone({}, "", 0)["governor"] == "not known"


def test_a_phone_is_measured_and_left_clean(script: ModuleType, phone: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench-pixel-8.json"
    script.main(
        [str(phone / "benchmark_model"), "--device-id", "pixel-8", "--cpus", "f0", "--threads", "2", "--out", str(out)]
    )
    found = json.loads(out.read_text())
    assert found["device_id"] == "pixel-8" and found["board"] == {"battery_level": "80", "battery_temperature": "310"}
    (run,) = found["runs"]
    assert run["stages_ms"]["infer"]["p50"] == 0.407 and run["threads"] == 2 and len(run["sha256"]) == 64
    log = (phone / "log").read_text()
    assert "taskset f0" in log and "--num_threads=2" in log and log.strip().splitlines()[-1].startswith("shell rm -r")


def test_a_tool_of_another_architecture_is_told(script: ModuleType, phone: Path, tmp_path: Path) -> None:
    (phone / "says").write_text("/data/local/tmp/benchmark_model: not executable: 64-bit ELF file\n")
    with pytest.raises(EngineError, match="not executable"):
        script.main([str(phone / "benchmark_model"), "--device-id", "p", "--out", str(tmp_path / "o.json")])
    assert not (tmp_path / "o.json").exists()


def test_without_a_tool_or_adb_one_sentence_says_so(
    script: ModuleType, phone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineUnavailableError, match=r"docs/performance\.md"):
        script.main([str(tmp_path / "nothing"), "--device-id", "p"])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineUnavailableError, match="adb is not installed"):
        script.main([str(phone / "benchmark_model"), "--device-id", "p"])


def test_no_phone_is_told(script: ModuleType, phone: Path) -> None:
    adb = phone / "adb"
    adb.write_text("#!/bin/sh\necho 'adb: no devices/emulators found'; exit 1\n")
    with pytest.raises(EngineUnavailableError, match="No phone answers"):
        script.main([str(phone / "benchmark_model"), "--device-id", "p"])


def test_a_device_id_must_fit_into_a_file_name(script: ModuleType) -> None:
    with pytest.raises(SystemExit):
        script.parse(["tool", "--device-id", "../up"])
