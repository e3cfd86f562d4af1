"""Join the benches of all devices into one page, without measuring anything.

Usage: python benchmarks/bench_page.py [--results DIR] [--out PATH]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sigedge.bench.report import error_rates, read_results, write_page
from sigedge_runtime.errors import SigedgeError

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> Path:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "bench" / "index.html")
    options = parser.parse_args(arguments)
    page = write_page(options.out, read_results(options.results), error_rates(options.results))
    print(f"written: {page}")
    return page


if __name__ == "__main__":
    try:
        main()
    except SigedgeError as error:
        sys.exit(f"bench_page: {error}")
