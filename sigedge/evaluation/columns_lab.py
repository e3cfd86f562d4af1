"""The generated tables of what training rests on: realism of synthetic signers, experiments, transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sigedge.evaluation.columns import (
    ABSENT,
    Result,
    Row,
    Table,
    decimals,
    percent,
    percent_interval,
    pick,
    points,
    text,
)


def _realism_rows(result: Result) -> Iterator[Row]:
    for dataset, found in (result.get("sets") or {}).items():
        yield {**found, "data": dataset}


def _experiment_rows(result: Result) -> Iterator[Row]:
    for name, group in (result.get("groups") or {}).items():
        for row in group["rows"]:
            yield {**row, "group": name, "steps": group["steps"], "preprocessing": group["preprocessing"]}


def _transfer_rows(result: Result) -> Iterator[Row]:
    for row in result.get("rows") or ():
        for dataset, blocks in row["datasets"].items():
            for count, block in blocks.items():
                trained = ", ".join(row["trained_on"])
                yield {**block, "trained": trained, "model": row["model"]["name"], "data": dataset, "count": count}


def _robustness_rows(result: Result) -> Iterator[Row]:
    found = result.get("robustness") or {}
    for entry in (found.get("distortions") or {}).values():
        yield {**entry, "data": f"{result['dataset']} {result['split']}", "all": found}


def _rule_rows(result: Result) -> Iterator[Row]:
    yield from result.get("rows") or ()


def _training_rows(result: Result) -> Iterator[Row]:
    for row in result.get("rows") or ():
        yield {**row, "meta": result["meta"]}


def _steps(rate: str) -> Callable[[Row], str]:
    """Every step of a ladder with its rate in percent."""
    return lambda row: ", ".join(f"{level['level']}: {percent(rate)(level)}" for level in row["levels"])


def _sent_back(row: Row) -> Row | None:
    """The point of an abstention curve at the bound that was chosen."""
    curve, bound = row["curve"], row["bound"]
    if bound is None:
        return None
    at = curve["bounds"].index(bound)
    errors = {
        f"{name}_{rate}": curve[name][rate][at] for name in ("worst_first", "at_random") for rate in ("far", "frr")
    }
    return {"rejected": curve["rejected"][at], **errors}


def _at_bound(*names: str) -> Callable[[Row], str]:
    def show(row: Row) -> str:
        point = _sent_back(row)
        return ABSENT if point is None else " / ".join(percent(name)(point) for name in names)

    return show


def _unfiltered(row: Row) -> str:
    rates = row["curve"]["worst_first"]
    return " / ".join(percent("rate")({"rate": rates[name][0]}) for name in ("far", "frr"))


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
            ("as training shows them", decimals(2, "trained")),
        ),
    ),
    "experiments": Table(
        "experiments.json",
        _experiment_rows,
        (
            ("group", text("group")),
            ("preprocessing", text("preprocessing")),
            ("row", text("name")),
            ("steps", text("steps")),
            ("EER skilled, 1 reference [95 %]", _within("1", percent_interval, "eer_skilled")),
            ("change, points [95 %]", _within("1", points, 1, "change")),
            ("EER skilled, 5 references [95 %]", _within("5", percent_interval, "eer_skilled")),
            ("change, points [95 %] ", _within("5", points, 1, "change")),
            ("reference swap AUC, Hindi", decimals(2, "reference_swap_auc", "bhsig260-hindi")),
        ),
    ),
    "score-rules": Table(
        "score-rules.json",
        _rule_rows,
        (
            ("network", text("network")),
            ("its strangers", text("dataset")),
            ("references", text("references")),
            ("similarity", percent("eer_similarity")),
            ("less demands", percent("eer_demands")),
            ("less half the own consistency", percent("eer_own_consistency")),
            ("less the expected consistency", percent("eer_expected_consistency")),
            ("change by the last, points [95 %]", points(1, "change")),
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
            ("reference swap AUC", decimals(2, "reference_swap_auc")),
        ),
    ),
    "training": Table(
        "training-*.json",
        _training_rows,
        (
            ("gives", text("name")),
            ("batches", text("steps")),
            ("images", text("images")),
            ("minutes", decimals(0, "minutes")),
            ("threads", text("meta", "threads")),
            ("processor", text("meta", "machine", "cpu")),
        ),
    ),
    "robustness": Table(
        "accuracy-*.json",
        _robustness_rows,
        (
            ("signers", text("data")),
            ("distortion", text("title")),
            ("step", text("unit")),
            ("EER skilled by step", _steps("eer_skilled")),
            ("not acquired by step", _steps("not_acquired")),
        ),
    ),
    "abstention": Table(
        "abstention-*.json",
        lambda result: iter((result,)),
        (
            ("verifier", text("meta", "model", "name")),
            ("signers", text("signers")),
            ("distorted pictures", text("pictures")),
            ("FAR / FRR, all answered", _unfiltered),
            ("bound", decimals(2, "bound")),
            ("asked for again", _at_bound("rejected")),
            ("FAR / FRR of the others", _at_bound("worst_first_far", "worst_first_frr")),
            ("with as many asked at random", _at_bound("at_random_far", "at_random_frr")),
        ),
    ),
}
