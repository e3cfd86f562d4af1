"""The generated tables of verifiers of pairs: decisions by rule and vote, and pages askew."""

from __future__ import annotations

from collections.abc import Iterator

from sigedge.evaluation.columns import Result, Row, Table, percent, percent_interval, pick, text

_ASKEW = {
    "straight_plain": ("straight", "no"),
    "straight_upright": ("straight", "yes"),
    "askew_plain": ("askew", "no"),
    "askew_upright": ("askew", "yes"),
}


def _decision_rows(result: Result) -> Iterator[Row]:
    for dataset, rules in (pick(result, "decisions") or {}).items():
        for rule, counts in rules.items():
            for count, found in sorted(counts.items(), key=lambda item: int(item[0])):
                yield {**found, "data": dataset, "rule": rule, "count": count}


def _askew_rows(result: Result) -> Iterator[Row]:
    found = result.get("askew") or {}
    for key, (pages, level) in _ASKEW.items():
        if key in found:
            yield {**found[key], "pages": pages, "level": level}


TABLES: dict[str, Table] = {
    "pair-decisions": Table(
        "system-*.json",
        _decision_rows,
        (
            ("data set", text("data")),
            ("rule", text("rule")),
            ("signers", text("signers")),
            ("references", text("count")),
            ("accuracy skilled [95 %]", percent_interval("accuracy_skilled")),
            ("accuracy random [95 %]", percent_interval("accuracy_random")),
            ("genuine accepted", percent("confusion", "genuine", "share_accepted")),
            ("skilled forgeries accepted", percent("confusion", "skilled forgery", "share_accepted")),
            ("random forgeries accepted", percent("confusion", "random forgery", "share_accepted")),
        ),
    ),
    "askew": Table(
        "system-*.json",
        _askew_rows,
        (
            ("pages", text("pages")),
            ("laid level", text("level")),
            ("EER skilled, 1 reference [95 %]", percent_interval("eer_skilled_1")),
            ("EER skilled, 5 references [95 %]", percent_interval("eer_skilled_5")),
        ),
    ),
}
