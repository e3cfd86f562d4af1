"""The script that keeps skipped tests from going unnoticed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite>
  <testcase classname="tests.a" name="test_passed"/>
  <testcase classname="tests.a" name="test_plain"><skipped type="pytest.skip" message="no engine"/></testcase>
  <testcase classname="tests.a" name="test_known"><skipped type="pytest.xfail" message="known"/></testcase>
  {data}
</testsuite></testsuites>
"""
DATA = """<testcase classname="tests.b" name="test_real">
  <properties><property name="research_data" value="true"/></properties>
  <skipped type="pytest.skip" message="research data not found"/></testcase>"""


@pytest.fixture(scope="module")
def skips(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("ci_skips", repository / ".ci" / "skips.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(folder: Path, data: str) -> str:
    path = folder / "junit.xml"
    path.write_text(REPORT.format(data=data))
    return str(path)


def test_every_skip_is_printed_with_its_reason(skips: ModuleType, tmp_path: Path, capsys) -> None:
    assert skips.main(report(tmp_path, DATA), str(tmp_path / "absent")) == 0
    out = capsys.readouterr().out
    assert "tests.a::test_plain: no engine" in out and "tests.b::test_real: research data not found" in out
    assert "test_known" not in out and "2 skipped; research data absent" in out


def test_a_skipped_data_test_fails_where_the_data_is(skips: ModuleType, tmp_path: Path, capsys) -> None:
    (tmp_path / "index.csv").touch()
    assert skips.main(report(tmp_path, DATA), str(tmp_path)) == 1
    assert "1 tests were skipped although" in capsys.readouterr().err


def test_other_skips_are_allowed_where_the_data_is(skips: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "index.csv").touch()
    assert skips.main(report(tmp_path, ""), str(tmp_path)) == 0


def test_the_marker_reaches_the_report(pytester_report: str) -> None:
    assert '<property name="research_data" value="true"' in pytester_report


@pytest.fixture
def pytester_report(repository: Path, tmp_path: Path) -> str:
    """JUnit report of a data test that is run without data, with the suite's own conftest."""
    import os
    import subprocess
    import sys

    (tmp_path / "conftest.py").write_text((repository / "tests" / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  research_data: x\n")
    (tmp_path / "test_x.py").write_text(
        "import pytest\n@pytest.mark.research_data\ndef test_x(research_data):\n    raise AssertionError\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--junitxml=report.xml", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "SIGEDGE_DATA": str(tmp_path / "absent")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return (tmp_path / "report.xml").read_text()
