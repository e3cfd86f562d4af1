"""The generated tables of the system cleaner."""

from __future__ import annotations

from collections.abc import Iterator

from sigedge.evaluation.columns import Result, Row, Table, decimals, percent, percent_interval, points, text

RESULT = "system-cleaner.json"


def _cleaner_rows(result: Result) -> Iterator[Row]:
    for name, found in (result.get("sets") or {}).items():
        for count, arms in sorted(found["references"].items(), key=lambda item: int(item[0])):
            yield {**arms, "data": name, "signers": found["signers"], "count": count}


def _likeness_rows(result: Result) -> Iterator[Row]:
    for name, found in (result.get("sets") or {}).items():
        for arm, measures in found["likeness"].items():
            yield {**measures, "data": name, "arm": arm.replace("_", ", "), "images": found["images"]}


def _noise_rows(result: Result) -> Iterator[Row]:
    for name, found in (result.get("sets") or {}).items():
        for kind, measures in found["kinds"].items():
            yield {**measures, "data": name, "kind": kind}


def _random_errors(row: Row) -> str:
    return " / ".join(percent(arm, "eer_random")(row) for arm in ("clean", "dirty", "cleaned"))


TABLES: dict[str, Table] = {
    "cleaner": Table(
        RESULT,
        _cleaner_rows,
        (
            ("data set", text("data")),
            ("signers", text("signers")),
            ("references", text("count")),
            ("EER clean [95 %]", percent_interval("clean", "eer_skilled")),
            ("EER dirty [95 %]", percent_interval("dirty", "eer_skilled")),
            ("EER cleaned [95 %]", percent_interval("cleaned", "eer_skilled")),
            ("gain of cleaning, points [95 %]", points(1, "gain_of_cleaning")),
            ("damage to clean, points [95 %]", points(1, "damage_to_clean")),
            ("EER random: clean / dirty / cleaned", _random_errors),
        ),
    ),
    "cleaner-likeness": Table(
        RESULT,
        _likeness_rows,
        (
            ("data set", text("data")),
            ("image", text("arm")),
            ("images", text("images")),
            ("PSNR dB", decimals(1, "psnr")),
            ("SSIM", decimals(3, "ssim")),
            ("ink IoU", decimals(3, "ink_iou")),
        ),
    ),
    "cleaner-noise": Table(
        RESULT,
        _noise_rows,
        (
            ("data set", text("data")),
            ("noise", text("kind")),
            ("images", text("images")),
            ("ink IoU dirty", decimals(3, "ink_iou_dirty")),
            ("ink IoU cleaned", decimals(3, "ink_iou_cleaned")),
        ),
    ),
}
