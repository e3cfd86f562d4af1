"""`sigedge data check`: is every image there, readable, unique and usable?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import typer

from sigedge.cli.console import Output
from sigedge.cli.data.options import DEFAULT_CACHE, CacheOption, DatasetOption, LayoutOption, SourceArgument
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.types import JsonOption

if TYPE_CHECKING:
    from sigedge.data import CanvasSet

SHOWN = 10


@guard(kept="Canvases made so far stay in the cache; the same command goes on from there.")
def check(
    source: SourceArgument,
    layout: LayoutOption = "auto",
    dataset: DatasetOption = None,
    cache: CacheOption = DEFAULT_CACHE,
    json: JsonOption = None,
) -> None:
    """Read all images of PATH; count unreadable, repeated and poor ones; exit code 1 for an unreadable."""
    from sigedge.data import CanvasCache, read_any

    canvases = CanvasCache(cache).canvases(read_any(source, layout, dataset))
    found = survey(canvases)
    output = Output(json)
    columns = ("data set", "signers", "genuine", "forged", "duplicates", "unusable")
    output.table(str(source), columns, [[name, *map(str, row.values())] for name, row in found["datasets"].items()])
    if found["quality_issues"]:
        output.table("Quality", ("issue", "images"), found["quality_issues"].items())
    for skipped in found["unreadable"][:SHOWN]:
        output.say(f"unreadable: {skipped['reason']}", "red")
    output.result(found)
    if found["unreadable"]:
        raise typer.Exit(REJECTED)


def survey(canvases: CanvasSet) -> dict[str, Any]:
    """Counts by data set, quality issues by code, and the unreadable files, as plain values."""
    unique = {record.path for record in canvases.unique().records}
    datasets: dict[str, dict[str, int]] = {}
    signers: dict[str, set[str]] = {}
    issues: Counter[str] = Counter()
    for record, quality in zip(canvases.records, canvases.qualities, strict=True):
        row = datasets.setdefault(
            record.dataset, {"signers": 0, "genuine": 0, "forged": 0, "duplicates": 0, "unusable": 0}
        )
        row[record.label] += 1
        row["duplicates"] += record.path not in unique
        row["unusable"] += not quality.usable
        signers.setdefault(record.dataset, set()).add(record.signer)
        row["signers"] = len(signers[record.dataset])
        issues.update(issue.code for issue in quality.issues)
    unreadable = [{"path": str(file.path), "reason": file.reason} for file in canvases.report.skipped]
    return {"datasets": datasets, "quality_issues": dict(issues.most_common()), "unreadable": unreadable}
