"""Regenerate the tables of README, docs and cards from the result files, so that no figure is typed by hand.

    python -m sigedge.evaluation.tables [--check]

Between ``<!-- table:NAME -->`` and ``<!-- /table:NAME -->`` stands what the result files say; NAME is a key of
`TABLES`. ``<!-- table:NAME MODEL -->`` shows the results of one model only. Text outside is left alone.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from sigedge.evaluation import (
    columns,
    columns_arm,
    columns_bench,
    columns_cgan,
    columns_cleaner,
    columns_engines,
    columns_forger,
    columns_identity,
    columns_lab,
    columns_pairs,
    columns_signauth,
    columns_soundness,
    columns_systems,
)
from sigedge.evaluation.columns import Result, Row, Table, model_of
from sigedge.evaluation.results import read_result
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import DataError, SigedgeError

RESULTS = Path("benchmarks") / "results"
PAGES = ("*.md", "docs/**/*.md", "models/**/*.md", "benchmarks/**/*.md")
NOTHING = "Not measured yet."
TABLES = {
    **columns.TABLES,
    **columns_arm.TABLES,
    **columns_bench.TABLES,
    **columns_cgan.TABLES,
    **columns_cleaner.TABLES,
    **columns_engines.TABLES,
    **columns_forger.TABLES,
    **columns_identity.TABLES,
    **columns_lab.TABLES,
    **columns_pairs.TABLES,
    **columns_signauth.TABLES,
    **columns_soundness.TABLES,
    **columns_systems.TABLES,
}

_OPENING = re.compile(r"^<!-- table:(?P<name>[a-z-]+)(?: (?P<model>[\w.-]+))? -->$", re.MULTILINE)


def render(name: str, results: Sequence[Result]) -> str:
    """A table in Markdown.

    Args:
        name: key of `TABLES`.
        results: contents of its result files, in the order of the rows.

    Raises:
        DataError: there is no such table.
    """
    table = _table(name)
    rows = [row for result in results for row in table.rows(result)]
    if not rows:
        return NOTHING
    headings = [heading for heading, _ in table.columns]
    ruler = [":---", *["---:"] * (len(headings) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, ruler, *_cells(table, rows)))


def render_page(page: str, results: Path, *, where: str = "page") -> str:
    """A page with each of its tables made anew.

    Args:
        page: Markdown text.
        results: folder of result files.
        where: how errors call the page.

    Raises:
        DataError: a table is unknown or its closing mark is missing, or a result file cannot be read.
    """
    done, rest = "", page
    while opening := _OPENING.search(rest):
        name, model = opening["name"], opening["model"]
        closing = f"<!-- /table:{name} -->"
        end = rest.find(closing, opening.end())
        if end < 0:
            raise DataError(f"{where} opens the table {name!r} and does not close it; write {closing} below it.")
        done += f"{rest[: opening.end()]}\n{render(name, _load(name, model, results))}\n{closing}"
        rest = rest[end + len(closing) :]
    return done + rest


def update(root: Path, results: Path | None = None, *, check: bool = False) -> list[Path]:
    """Rewrite every page below a repository whose tables are out of date.

    Args:
        root: the repository.
        results: folder of result files; ``benchmarks/results`` below the root by default.
        check: write nothing.

    Returns:
        The pages that were, or with `check` would be, rewritten.

    Raises:
        DataError: as `render_page`, or a page cannot be read or written.
    """
    results = results or root / RESULTS
    stale = []
    for path in sorted({path for pattern in PAGES for path in root.glob(pattern)}):
        try:
            page = path.read_text(encoding="utf-8")
            fresh = render_page(page, results, where=str(path))
            if fresh == page:
                continue
            stale.append(path)
            if not check:
                write_atomically(path, fresh.encode())
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be updated ({error}); check its permissions.") from error
    return stale


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns 0, 1 when `--check` finds a stale page, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m sigedge.evaluation.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is out of date")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    options = parser.parse_args(arguments)
    try:
        stale = update(options.root, check=options.check)
    except SigedgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    for path in stale:
        print(f"{path}: {'out of date; run make docs-tables' if options.check else 'updated'}")
    return 1 if options.check and stale else 0


def _table(name: str) -> Table:
    if name not in TABLES:
        raise DataError(f"There is no table {name!r}; use one of: {', '.join(TABLES)}.")
    return TABLES[name]


def _load(name: str, model: str | None, results: Path) -> list[Result]:
    contents = [read_result(path) for path in sorted(results.glob(_table(name).files))]
    return [content for content in contents if model in (None, model_of(content))]


def _cells(table: Table, rows: Sequence[Row]) -> list[list[str]]:
    return [[show(row).replace("|", "\\|") for _, show in table.columns] for row in rows]


if __name__ == "__main__":
    sys.exit(main())
