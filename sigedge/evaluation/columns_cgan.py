"""The generated tables of the system cgan."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sigedge.evaluation.columns import ABSENT, Result, Row, Table, decimals, percent, pick, text

RESULT = "system-cgan.json"
STORAGES = ("float", "grey", "two-level")
RULES = {"fractions": "a value is no whole number", "grey_levels": "a level that no genuine training image has"}
KINDS = {"generated": "generated", "genuine": "genuine, of the set"}
COPYING = ("nearer", "copies")


def share(*path: str) -> Callable[[Row], str]:
    """Show a share in percent with its interval, stored as ``value`` and ``ci95``."""

    def show(row: Row) -> str:
        if (found := pick(row, *path)) is None:
            return ABSENT
        low, high = found["ci95"]
        return f"{100 * found['value']:.2f} [{100 * low:.1f}, {100 * high:.1f}]"

    return show


def ranged(count: int, factor: float, *path: str) -> Callable[[Row], str]:
    """Show a number times a factor, and its range, stored as ``value`` and ``ci95``."""

    def show(row: Row) -> str:
        found = pick(row, *path)
        values = () if found is None else (found["value"], *found["ci95"])
        shown = [f"{factor * value:.{count}f}" for value in values]
        return f"{shown[0]} [{shown[1]}, {shown[2]}]" if shown else ABSENT

    return show


def _judge_rows(result: Result) -> Iterator[Row]:
    for name in STORAGES:
        judge = result["judges"][name]
        yield {
            "who": f"judge of {name} images",
            "validation": judge["validation"]["signers"]["accuracy"],
            "test": judge["test"]["signers"]["accuracy"],
            **{how: judge["stored_as"][how]["kinds"] for how in STORAGES},
        }
    for name, rule in RULES.items():
        yield {"who": f"rule: {rule}", **result["rules"][name]}


def _classifier_rows(result: Result) -> Iterator[Row]:
    for name, learned in (("all", "all of the set"), ("held_out", "its training part")):
        yield {**result["classifiers"][name], "learned": learned}


def _distance_rows(result: Result) -> Iterator[Row]:
    distances = result["distances"]
    for name, shown in KINDS.items():
        yield {**distances["sets"][name], "what": shown}


def _neighbour_rows(result: Result) -> Iterator[Row]:
    distances = result["distances"]
    nearest = {kind: distances[f"nearest_{kind}"] for kind in ("embedding", "ink")}
    told = {kind: {**found["generated"], **{key: found[key] for key in COPYING}} for kind, found in nearest.items()}
    yield {"what": "generated", "variety": distances["variety"]["generated"], **told}
    unseen = {kind: found["held_out"] for kind, found in nearest.items()}
    yield {"what": "genuine, never seen", "variety": distances["variety"]["genuine"], **unseen}


TABLES: dict[str, Table] = {
    "cgan-judges": Table(
        RESULT,
        _judge_rows,
        (
            ("who says it", text("who")),
            ("signer, validation [95 %]", share("validation")),
            ("signer, test [95 %]", share("test")),
            *((f"generated or genuine, stored as {how} [95 %]", share(how)) for how in STORAGES),
        ),
    ),
    "cgan-classifiers": Table(
        RESULT,
        _classifier_rows,
        (
            ("learned from", text("learned")),
            ("genuine, never seen [95 %]", share("genuine", "two-level")),
            *((f"generated, stored as {how} [95 %]", share("generated", how)) for how in STORAGES),
        ),
    ),
    "cgan-sets": Table(
        RESULT,
        _distance_rows,
        (
            ("against genuine ones never seen", text("what")),
            ("FID [95 %]", ranged(2, 1, "fid")),
            ("KID [95 %]", ranged(3, 1, "kid")),
            ("images of each", text("images")),
        ),
    ),
    "cgan-neighbours": Table(
        RESULT,
        _neighbour_rows,
        (
            ("signatures", text("what")),
            ("embedding: median distance", decimals(3, "embedding", "0.5")),
            ("nearer than one never seen", percent("embedding", "nearer")),
            ("copies", percent("embedding", "copies")),
            ("ink: median distance", decimals(3, "ink", "0.5")),
            ("nearer than one never seen", percent("ink", "nearer")),
            ("copies", percent("ink", "copies")),
            ("distance within a signer", decimals(3, "variety")),
        ),
    ),
}
