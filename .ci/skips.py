"""Print every skipped test of a JUnit report; fail if one that needs research data had it and was skipped.

Usage: python .ci/skips.py out/test/junit.xml DATA_FOLDER
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple


class Skip(NamedTuple):
    """One skipped test."""

    test: str
    reason: str
    needs_research_data: bool


def read_skips(report: Path) -> list[Skip]:
    """Every skipped test of the JUnit XML file `report`, in its order."""
    skips = []
    for case in ElementTree.parse(report).iter("testcase"):
        skipped = case.find("skipped")
        if skipped is None or skipped.get("type") == "pytest.xfail":
            continue
        names = {p.get("name") for p in case.iter("property")}
        test = f"{case.get('classname')}::{case.get('name')}"
        skips.append(Skip(test, skipped.get("message", ""), "research_data" in names))
    return skips


def main(report: str, data: str) -> int:
    """Print the skips; 1 when a test skipped although its research data lies in `data`, else 0."""
    skips = read_skips(Path(report))
    present = (Path(data) / "index.csv").is_file()
    for skip in skips:
        print(f"skipped: {skip.test}: {skip.reason}")
    print(f"{len(skips)} skipped; research data {'present' if present else 'absent'}")
    forbidden = [skip.test for skip in skips if skip.needs_research_data]
    if present and forbidden:
        print(f"error: {len(forbidden)} tests were skipped although {data} is there", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
