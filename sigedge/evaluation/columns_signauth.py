"""The generated tables of the system signauth."""

from __future__ import annotations

from collections.abc import Iterator

from sigedge.evaluation.columns import Result, Row, Table, percent, percent_interval, pick, text

RESULT = "system-signauth.json"


def _score_of(row: Row) -> str:
    """The score that an experiment's classifier rejects by: its own, or the usual one of a plain classifier."""
    return "energy" if row.get("rejects") else "max softmax"


def _experiment_rows(result: Result) -> Iterator[Row]:
    for row in result.get("experiments") or ():
        trained = "with nobody as a class" if row["rejects"] else "plain"
        score = _score_of(row)
        yield {**row, "people": pick(row, "data", "source"), "trained": trained, "score": score, **row["open"][score]}


def _score_rows(result: Result) -> Iterator[Row]:
    for row in (result.get("experiments") or ())[:1]:
        for name, found in row["open"].items():
            yield {**found, "score": name}


_WHO = (("people", text("people")), ("trained", text("trained")))

TABLES: dict[str, Table] = {
    "signauth-closed": Table(
        RESULT,
        _experiment_rows,
        (
            *_WHO,
            ("classes", text("classes")),
            ("training signatures", text("data", "images", "train", "known")),
            ("test signatures", text("closed", "samples")),
            ("accuracy [95 %]", percent_interval("closed", "accuracy")),
            ("macro precision [95 %]", percent_interval("closed", "macro_precision")),
        ),
    ),
    "signauth-open": Table(
        RESULT,
        _experiment_rows,
        (
            *_WHO,
            ("score", text("score")),
            ("AUROC strangers [95 %]", percent_interval("strangers", "auroc")),
            ("FPR at 95 % TPR", percent("strangers", "fpr_at_95_tpr")),
            ("AUROC forgeries [95 %]", percent_interval("forgeries", "auroc")),
            ("FPR at 95 % TPR, forgeries", percent("forgeries", "fpr_at_95_tpr")),
        ),
    ),
    "signauth-precision": Table(
        RESULT,
        _experiment_rows,
        (
            *_WHO,
            ("macro precision, nobody rejected [95 %]", percent_interval("never_rejecting", "macro_precision")),
            ("macro precision, rejecting [95 %]", percent_interval("decided", "macro_precision")),
            ("macro recall, rejecting", percent("decided", "macro_recall")),
            ("known accepted", percent("decided", "known_accepted")),
            ("strangers accepted", percent("decided", "stranger_accepted")),
            ("forgeries accepted", percent("decided", "forged_accepted")),
        ),
    ),
    "signauth-scores": Table(
        RESULT,
        _score_rows,
        (
            ("score", text("score")),
            ("AUROC strangers [95 %]", percent_interval("strangers", "auroc")),
            ("AUROC forgeries [95 %]", percent_interval("forgeries", "auroc")),
            ("FPR at 95 % TPR, both", percent("both", "fpr_at_95_tpr")),
            ("macro precision, rejecting [95 %]", percent_interval("decided", "macro_precision")),
        ),
    ),
}
