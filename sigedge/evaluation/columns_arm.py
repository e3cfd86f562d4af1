"""The generated tables of the runtime on emulated Arm cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sigedge.evaluation.columns import ABSENT, Result, Row, Table, pick, text

RESULT = "arm-parity.json"


def _picture_rows(result: Result) -> Iterator[Row]:
    for processor, figures in (result.get("processors") or {}).items():
        for source, counts in figures["pictures"].items():
            yield {**counts, "processor": processor, "source": source}


def _artifact_rows(result: Result) -> Iterator[Row]:
    for processor, figures in (result.get("processors") or {}).items():
        for row in figures["artifacts"]:
            ran = f"{row['artifact']} on {row['engine']}"
            yield {**row, "processor": processor, "ran": ran, "test": _verdict(row)}


def _setting_rows(result: Result) -> Iterator[Row]:
    versions = result.get("arm") or {}
    yield {"what": "emulator", "version": pick(result, "meta", "emulator")}
    for name in sorted(versions):
        yield {"what": name, "version": versions[name]}


def _verdict(row: Row) -> str:
    return "passed" if row["selftest"]["passed"] else "FAILED"


def _identical(what: str, total: str) -> Callable[[Row], str]:
    return lambda row: f"{row[f'identical_{what}']} of {row[total]}"


def _largest(what: str) -> Callable[[Row], str]:
    """A difference of floats, or that there is none."""

    def show(row: Row) -> str:
        value = row.get(f"max_{what}_difference")
        return ABSENT if value is None else "0" if value == 0 else f"{value:.1e}"

    return show


TABLES: dict[str, Table] = {
    "arm-pictures": Table(
        RESULT,
        _picture_rows,
        (
            ("core", text("processor")),
            ("pictures", text("source")),
            ("decoded alike", _identical("pixels", "pictures")),
            ("canvases alike", _identical("canvases", "pictures")),
            ("quality issues alike", _identical("issues", "pictures")),
            ("quality measurements alike", _identical("measurements", "pictures")),
        ),
    ),
    "arm-outputs": Table(
        RESULT,
        _artifact_rows,
        (
            ("core", text("processor")),
            ("bundle", text("bundle")),
            ("artefact on engine", text("ran")),
            ("self-test there", text("test")),
            ("outputs alike", _identical("outputs", "outputs")),
            ("largest difference, of the largest output", _largest("output")),
            ("scores alike", _identical("scores", "scores")),
            ("largest score difference", _largest("score")),
            ("other decisions", text("flipped")),
        ),
    ),
    "arm-versions": Table(
        RESULT,
        _setting_rows,
        (("what ran there", text("what")), ("version", text("version"))),
    ),
}
