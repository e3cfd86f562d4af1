"""The generated tables of the system forger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sigedge.evaluation.columns import ABSENT, Result, Row, Table, decimals, percent, percent_interval, pick, text

RESULT = "system-forger.json"


def _drawing_rows(result: Result) -> Iterator[Row]:
    for name, figures in (result.get("drawing") or {}).items():
        yield {**figures, "name": name}


def _deception_rows(result: Result) -> Iterator[Row]:
    accepted = pick(result, "deception", "accepted") or {}
    for name in accepted:
        if not name.endswith("_ci95"):
            asked = {"share": accepted[name], "share_ci95": accepted[f"{name}_ci95"]}
            yield {**asked, "name": name, "signers": pick(result, "deception", "signers")}


def _processing_rows(result: Result) -> Iterator[Row]:
    """One row for all processings of a detector, a source and an attack."""
    found: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in result.get("detection") or ():
        found.setdefault((row["trained"], row["source"], row["attack"]), {})[row["processing"]] = row
    for (trained, source, attack), rows in found.items():
        yield {**rows, "trained": trained, "source": source, "attack": attack}


def _error_rows(result: Result) -> Iterator[Row]:
    """The shipped detector at its threshold; what it makes of cgan's drawings stands in the row of the forgers."""
    rows = [row for row in result.get("detection") or () if row["trained"] == "shipped"]
    for row in rows:
        if row["attack"] == "forgers":
            same = [other for other in rows if _case(other) == _case(row)]
            yield {**row, "apcer": {name: rate for other in same for name, rate in other["apcer"].items()}}


def _case(row: Row) -> tuple[Any, Any]:
    return row["source"], row["processing"]


def _left_out_rows(result: Result) -> Iterator[Row]:
    found: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in result.get("left_out") or ():
        found.setdefault((row["setting"], row["species"]), {})["seen" if row["seen"] else "unseen"] = row
    for (setting, species), rows in found.items():
        yield {**rows, "setting": setting, "species": species}


def _passed(when: str) -> Callable[[Row], str]:
    """Show the APCER of the row's own species."""
    return lambda row: percent_interval(when, "apcer", row["species"])(row)


def _decibels(name: str) -> Callable[[Row], str]:
    def show(row: Row) -> str:
        ends = row.get(f"{name}_ci95")
        return ABSENT if not ends else f"{row[name]:.1f} [{ends[0]:.1f}, {ends[1]:.1f}]"

    return show


TABLES: dict[str, Table] = {
    "forger-drawing": Table(
        RESULT,
        _drawing_rows,
        (
            ("drawn by", text("name")),
            ("PSNR dB, as written [95 %]", _decibels("psnr")),
            ("PSNR dB, new attempts [95 %]", _decibels("psnr_new_attempts")),
        ),
    ),
    "forger-deception": Table(
        RESULT,
        _deception_rows,
        (
            ("query", text("name")),
            ("signers", text("signers")),
            ("accepted by the shipped verifier, % [95 %]", percent_interval("share")),
        ),
    ),
    "forger-processing": Table(
        RESULT,
        _processing_rows,
        (
            ("detector", text("trained")),
            ("bona fide", text("source")),
            ("against", text("attack")),
            ("AUC", decimals(3, "none", "auc")),
            ("EER [95 %]", percent_interval("none", "eer")),
            ("EER after JPEG", percent("jpeg", "eer")),
            ("EER after resizing", percent("resize", "eer")),
            ("EER after binarisation", percent("binarise", "eer")),
        ),
    ),
    "forger-errors": Table(
        RESULT,
        _error_rows,
        (
            ("bona fide", text("source")),
            ("after", text("processing")),
            ("BPCER [95 %]", percent_interval("bpcer")),
            ("APCER generator [95 %]", percent_interval("apcer", "generator")),
            ("APCER transposed [95 %]", percent_interval("apcer", "transposed")),
            ("APCER cgan [95 %]", percent_interval("apcer", "cgan")),
        ),
    ),
    "forger-left-out": Table(
        RESULT,
        _left_out_rows,
        (
            ("bona fide", text("setting")),
            ("species", text("species")),
            ("EER, seen [95 %]", percent_interval("seen", "eer")),
            ("EER, left out [95 %]", percent_interval("unseen", "eer")),
            ("APCER, seen [95 %]", _passed("seen")),
            ("APCER, left out [95 %]", _passed("unseen")),
            ("BPCER, left out", percent("unseen", "bpcer")),
        ),
    ),
}
