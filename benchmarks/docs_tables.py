"""Regenerate every table of README and docs from the result files: `make docs-tables`.

A table stands between two comments, `<!-- table: NAME -->` and `<!-- /table -->`; NAME is a key of `TABLES`. With
`--check` nothing is written, and exit code 1 says that a table is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)

Result = dict[str, Any]
Row = Sequence[str]


def main(arguments: Sequence[str]) -> int:
    """Write the tables, or with --check compare them; 0 when all is up to date afterwards."""
    check = "--check" in arguments
    stale = []
    for page in pages(ROOT):
        text = page.read_text(encoding="utf-8")
        fresh = render(text, RESULTS)
        if fresh != text:
            stale.append(page.relative_to(ROOT).as_posix())
            if not check:
                page.write_text(fresh, encoding="utf-8")
    print(f"{'out of date' if check else 'written'}: {', '.join(stale) or 'nothing'}")
    return 1 if check and stale else 0


def pages(root: Path) -> list[Path]:
    """Every page that may hold a table."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def render(text: str, results: Path) -> str:
    """`text` with each table made anew from the files in `results`; an unknown name is an error."""

    def table(match: re.Match[str]) -> str:
        pattern, make = TABLES[match[2]]
        loaded = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob(pattern))]
        return match[1] + make(loaded) + match[3]

    return BLOCK.sub(table, text)


def accuracy(results: list[Result]) -> str:
    """A row for each data set and number of references."""
    columns = ("data set (test signers)", "artefact", "references", "EER skilled % (95 %)", "EER random %")
    return markdown((*columns, "EER per signer %", "FRR % at FAR 1 %", "AUC"), _accuracy_rows(results))


def _accuracy_rows(results: list[Result]) -> Iterator[Row]:
    for result in results:
        for count, found in result["references"].items():
            interval = " to ".join(percent(bound) for bound in found["eer_skilled_ci95"] or ())
            yield (
                f"{result['dataset']} ({result['signers']})",
                result["artifact"],
                count,
                percent(found["eer_skilled"]) + (f" ({interval})" if interval else ""),
                percent(found["eer_random"]),
                percent(found["eer_per_signer_mean"]),
                percent(found["frr_at_far_1pct"]),
                decimal(found["auc"]),
            )


def leaks(results: list[Result]) -> str:
    """A row for each data set: what single images give away before and after preprocessing."""
    columns = ("data set", "signers", "background and ink, raw", "canvas", "skeleton and texture, raw", "canvas")
    return markdown(
        columns,
        [
            (
                result["dataset"],
                str(result["signers"]),
                *(decimal(result[image][probe]) for probe in PROBES for image in ("raw", "canvas")),
            )
            for result in results
        ],
    )


PROBES = ("background_ink_auc", "skeleton_auc")


def latency(results: list[Result]) -> str:
    """A row for each artefact and engine, and a line that says on what it was measured."""
    stages = ("decode", "preprocess", "infer", "match", "total")
    columns = ("artefact", "engine", "size KiB", *(f"{stage} ms" for stage in stages), "p95 ms", "cold start ms", "MiB")
    rows = [
        (
            run["artifact"],
            f"{run['engine']} {run['engine_version']}",
            f"{run['size'] / 1024:.0f}",
            *(f"{run['stages_ms'][stage]['p50']:.2f}" for stage in stages),
            f"{run['stages_ms']['total']['p95']:.2f}",
            f"{run['cold_start_ms']['process']['p50']:.0f}",
            f"{run['peak_rss_mb']:.0f}",
        )
        for result in results
        for run in result["runs"]
    ]
    return markdown(columns, rows) + "".join(f"\n{_measured_on(result)}\n" for result in results)


def _measured_on(result: Result) -> str:
    machine, protocol = result["machine"], result["protocol"]
    return (
        f"Medians of {protocol['repeats']} verifications with {protocol['references']} references on {machine['cpu']}, "
        f"{protocol['threads']} thread, {machine['os']}, {result['date'][:10]}; energy {result['energy']}."
    )


def parity(results: list[Result]) -> str:
    """A row for each artefact and engine against PyTorch."""
    columns = ("artefact", "engine", "max score difference", "p99", "flipped decisions", "EER change, points (95 %)")
    rows = [
        (
            row["artifact"],
            row["engine"],
            f"{row['max_score_difference']:.5f}",
            f"{row['p99_score_difference']:.5f}",
            f"{row['flipped']} of {result['pairs']}",
            "{estimate:+.2f} ({low:+.2f} to {high:+.2f})".format(
                **{name: 100 * value for name, value in row["eer_difference"].items()}
            ),
        )
        for result in results
        for row in result["rows"]
    ]
    return markdown(columns, rows)


TABLES: dict[str, tuple[str, Callable[[list[Result]], str]]] = {
    "accuracy": ("evaluate-*.json", accuracy),
    "leaks": ("leaks-*.json", leaks),
    "latency": ("bench-*.json", latency),
    "parity": ("parity-*.json", parity),
}


def markdown(columns: Row, rows: Iterator[Row] | list[Row]) -> str:
    """A Markdown table, ending in a newline; says so when there is nothing to show."""
    body = list(rows)
    if not body:
        return "*Not measured yet.*\n"
    lines = [columns, ["---"] * len(columns), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def percent(rate: float | None) -> str:
    """A rate, 0 to 1, in percent without the sign."""
    return "-" if rate is None else f"{100 * rate:.1f}"


def decimal(value: float | None) -> str:
    """Three decimals."""
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
