"""The generated tables of identification."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sigedge.evaluation.columns import ABSENT, Result, Row, Table, decimals, percent, pick, text

RESULT = "identity-*.json"
SHORT_LISTS = ("1", "10", "20", "50", "100", "200")


def _rows(result: Result) -> Iterator[Row]:
    for row in result.get("rows") or ():
        yield {**row, "short_list": pick(result, "constants", "short_list")}


def _whole_rows(result: Result) -> Iterator[Row]:
    yield from result.get("whole") or ()


def _constant_rows(result: Result) -> Iterator[Row]:
    what = {
        "exact_up_to": ("everybody is compared up to", pick(result, "crossovers", "short_list")),
        "matrix_up_to": ("exact search of short vectors up to", pick(result, "crossovers", "faiss")),
        "short_list": ("templates on a short list", None),
    }
    for name, value in (result.get("constants") or {}).items():
        title, crossover = what.get(name, (name, None))
        yield {"title": title, "value": value, "crossover": crossover}


def _thousands(*path: str) -> Callable[[Row], str]:
    return lambda row: ABSENT if pick(row, *path) is None else f"{pick(row, *path):,}"


def _times(*path: str) -> Callable[[Row], str]:
    """Median and 99th percentile, milliseconds."""

    def show(row: Row) -> str:
        found = pick(row, *path)
        return ABSENT if not found else f"{found['p50']:.2f} ({found['p99']:.2f})"

    return show


def _megabytes(*path: str) -> Callable[[Row], str]:
    return lambda row: ABSENT if pick(row, *path) is None else f"{pick(row, *path) / 1e6:,.1f}"


def _kinds(row: Row) -> str:
    return ", ".join(f"{kind} {100 * share:.1f}" for kind, share in (pick(row, "recall", "kinds") or {}).items())


TABLES: dict[str, Table] = {
    "identity-speed": Table(
        RESULT,
        _rows,
        (
            ("templates", _thousands("templates")),
            ("exact search, ms", _times("matrix", "ms", "search")),
            ("FAISS, ms", _times("faiss", "ms", "search")),
            ("match with exact search, ms", _times("matrix", "ms", "total")),
            ("match with FAISS, ms", _times("faiss", "ms", "total")),
            ("exact search, MB", _megabytes("matrix", "bytes")),
            ("FAISS, MB", _megabytes("faiss", "bytes")),
            ("FAISS, build s", decimals(1, "faiss", "build_s")),
        ),
    ),
    "identity-parts": Table(
        RESULT,
        _rows,
        (
            ("templates", _thousands("templates")),
            ("short vector and FAISS, ms", _times("faiss", "ms", "search")),
            ("reading the listed users, ms", _times("faiss", "ms", "read")),
            ("comparing them, ms", _times("faiss", "ms", "compare")),
            ("their consistencies, ms", _times("faiss", "ms", "consistency")),
            ("all but consistencies, ms", _times("faiss", "ms", "remembered")),
            ("all, ms", _times("faiss", "ms", "total")),
        ),
    ),
    "identity-recall": Table(
        RESULT,
        _rows,
        (
            ("templates", _thousands("templates")),
            ("of them spliced users", _thousands("spliced")),
            ("queries", text("queries")),
            *((f"list of {length}", percent("recall", "lengths", length)) for length in SHORT_LISTS),
            ("worst place", text("recall", "worst_place")),
        ),
    ),
    "identity-answers": Table(
        RESULT,
        _rows,
        (
            ("templates", _thousands("templates")),
            ("short list", text("short_list")),
            ("recall, exact search", percent("recall", "short_list")),
            ("recall, FAISS", percent("recall", "short_list_by_faiss")),
            ("recall by signers, exact search", _kinds),
            ("FAISS of exact search's list", percent("recall", "faiss_of_exact_search")),
            ("the writer wins", percent("recall", "writer_wins")),
        ),
    ),
    "identity-everybody": Table(
        RESULT,
        _whole_rows,
        (
            ("templates", _thousands("templates")),
            ("everybody, ms", _times("everybody_ms")),
            ("short list, ms", _times("short_list_ms")),
        ),
    ),
    "identity-constants": Table(
        RESULT,
        _constant_rows,
        (
            ("constant", text("title")),
            ("value", _thousands("value")),
            ("the other way is faster from, as measured", _thousands("crossover")),
        ),
    ),
}
