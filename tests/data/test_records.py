from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from sigedge.data import ReadReport, Record, SkippedFile, iter_grey, progress, read_grey, signers_of, track
from sigedge.data.records import natural_order, record_order
from sigedge_runtime.errors import DataError, ImageError


def test_natural_order_counts_like_people() -> None:
    names = ["10", "9", "a10", "a9", "a", "010b"]
    assert sorted(names, key=natural_order) == ["a", "a9", "a10", "9", "10", "010b"]


def test_record_order_and_signers() -> None:
    records = [
        Record(Path("x"), "d", signer, label, sample)
        for signer in ("10", "2")
        for label in ("forged", "genuine")
        for sample in (11, 3)
    ]
    ordered = sorted(records, key=record_order)
    assert [(r.signer, r.label, r.sample) for r in ordered[:4]] == [
        ("2", "genuine", 3),
        ("2", "genuine", 11),
        ("2", "forged", 3),
        ("2", "forged", 11),
    ]
    assert signers_of(records) == ["2", "10"]


def test_report_names_the_first_skipped_files() -> None:
    skipped = tuple(SkippedFile(Path(f"{i}.png"), "truncated") for i in range(7))
    said = ReadReport(3, skipped).summary()
    assert said.startswith("read 3 of 10 images, skipped 7: 0.png: truncated;")
    assert said.endswith("and 2 more")
    ReadReport(1, skipped).require_any()
    with pytest.raises(DataError, match=r"No image could be read .*0\.png"):
        ReadReport(0, skipped).require_any()


def test_iter_grey_goes_on_after_an_unreadable_file(folder_set: Path) -> None:
    paths = sorted(folder_set.rglob("*.png"))
    paths[1].write_bytes(b"")
    records = [Record(path, "d", "1", "genuine", 1) for path in paths]
    skipped: list[SkippedFile] = []
    read = [record for record, image in iter_grey(records, skipped) if image.ndim == 2]
    assert len(read) == len(records) - 1
    assert [file.path for file in skipped] == [paths[1]]
    with pytest.raises(ImageError):
        read_grey(records[1])


def test_track_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(5), "Counting")) == [0, 1, 2, 3, 4]
    assert list(track(iter("ab"), "Counting")) == ["a", "b"]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("enabled", [True, False])
def test_track_shows_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, enabled: bool) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=80))
    assert list(track(range(3), "Counting", enabled=enabled)) == [0, 1, 2]
    assert ("Counting" in screen.getvalue()) == enabled
