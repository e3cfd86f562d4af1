"""The generated tables of what training rests on: realism of synthetic signers, experiments, transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sigedge.evaluation.columns import Result, Row, Table, decimals, percent, percent_interval, pick, points, text


def _realism_rows(result: Result) -> Iterator[Row]:
    for dataset, found in (result.get("sets") or {}).items():
        yield {**found, "data": dataset}


def _experiment_rows(result: Result) -> Iterator[Row]:
    for name, group in (result.get("groups") or {}).items():
        for row in group["rows"]:
            yield {**row, "group": name, "steps": group["steps"]}


def _transfer_rows(result: Result) -> Iterator[Row]:
    for row in result.get("rows") or ():
        for dataset, blocks in row["datasets"].items():
            for count, block in blocks.items():
                trained = ", ".join(row["trained_on"])
                yield {**block, "trained": trained, "model": row["model"]["name"], "data": dataset, "count": count}


def _within(count: str, show: Callable[..., Callable[[Row], str]], *options: object) -> Callable[[Row], str]:
    """A column of the figures with `count` references."""
    column = show(*options)
    return lambda row: column(pick(row, "by_count", count) or {})


TABLES: dict[str, Table] = {
    "realism": Table(
        "realism.json",
        _realism_rows,
        (
            ("real signatures", text("data")),
            ("signers on each side", text("real", "signers")),
            ("images on each side", text("real", "images")),
            ("AUC of telling them apart", decimals(2, "auc")),
        ),
    ),
    "experiments": Table(
        "experiments.json",
        _experiment_rows,
        (
            ("group", text("group")),
            ("row", text("name")),
            ("steps", text("steps")),
            ("EER skilled, 1 reference [95 %]", _within("1", percent_interval, "eer_skilled")),
            ("change, points [95 %]", _within("1", points, 1, "change")),
            ("EER skilled, 5 references [95 %]", _within("5", percent_interval, "eer_skilled")),
            ("change, points [95 %] ", _within("5", points, 1, "change")),
        ),
    ),
    "transfer": Table(
        "transfer-*.json",
        _transfer_rows,
        (
            ("trained on", text("trained")),
            ("tested on", text("data")),
            ("references", text("count")),
            ("EER skilled [95 %]", percent_interval("eer_skilled")),
            ("EER random", percent("eer_random")),
            ("FAR skilled / random", lambda row: f"{percent('far_skilled')(row)} / {percent('far_random')(row)}"),
            ("FRR", percent("frr")),
            ("Cllr (least)", lambda row: f"{decimals(2, 'cllr')(row)} ({decimals(2, 'min_cllr')(row)})"),
        ),
    ),
}
