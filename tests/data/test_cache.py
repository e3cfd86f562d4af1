from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest

from sigedge.data import CanvasCache, Record, read_folders
from sigedge.data import cache as cache_module
from sigedge_runtime.errors import DataError
from sigedge_runtime.images import read_image
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every image that is harmonised."""
    calls: list[int] = []

    def count(image, spec):  # type: ignore[no-untyped-def]
        calls.append(1)
        return harmonise(image, spec)

    monkeypatch.setattr(cache_module, "harmonise", count)
    return calls


def test_canvases_are_those_of_harmonise(folder_set: Path, tmp_path: Path) -> None:
    records = read_folders(folder_set)
    found = CanvasCache(tmp_path / "cache").canvases(records)
    assert found.records == tuple(records)
    assert found.canvases.shape == (21, 128, 256) and found.canvases.dtype == np.uint8
    for record, canvas, quality in zip(records, found.canvases, found.qualities, strict=True):
        expected = harmonise(read_image(record.path))
        assert np.array_equal(canvas, expected.canvas)
        assert quality == expected.quality
    assert found.report.summary() == "read 21 of 21 images"


def test_a_second_call_reads_the_cache(folder_set: Path, tmp_path: Path, counted: list[int]) -> None:
    records = read_folders(folder_set)
    cache = CanvasCache(tmp_path / "cache", chunk=4)
    first = cache.canvases(records)
    assert len(counted) == 21
    second = CanvasCache(tmp_path / "cache").canvases(records[::-1])
    assert len(counted) == 21
    assert np.array_equal(first.canvases, second.canvases[::-1])
    assert first.qualities == second.qualities[::-1]
    assert first.pixels == second.pixels[::-1]


def test_an_interruption_loses_at_most_one_chunk(
    folder_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: list[int]
) -> None:
    records = read_folders(folder_set)
    cache = CanvasCache(tmp_path / "cache", chunk=4)
    counting = cache_module.harmonise

    def interrupted(image, spec):  # type: ignore[no-untyped-def]
        if len(counted) == 10:
            raise KeyboardInterrupt
        return counting(image, spec)

    with monkeypatch.context() as patched:
        patched.setattr(cache_module, "harmonise", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache.canvases(records)
    assert len(counted) == 10
    assert not [path for path in cache.folder.iterdir() if path.suffix != ".npz"], "a half-written file stayed"
    cache.canvases(records)
    assert len(counted) == 10 + 21 - 8


def test_a_renamed_file_is_found_and_an_edited_one_is_not(folder_set: Path, tmp_path: Path, counted: list[int]) -> None:
    records = read_folders(folder_set)
    cache = CanvasCache(tmp_path / "cache")
    cache.canvases(records)
    moved = folder_set.rename(tmp_path / "moved")
    cache.canvases(read_folders(moved))
    assert len(counted) == 21
    first = moved / "person0" / "genuine" / "01.png"
    first.write_bytes((moved / "person0" / "genuine" / "02.png").read_bytes() + b" ")
    cache.canvases(read_folders(moved))
    assert len(counted) == 22


def test_another_spec_has_another_folder(folder_set: Path, tmp_path: Path, counted: list[int]) -> None:
    records = read_folders(folder_set)[:2]
    small = dataclasses.replace(PreprocessSpec(), canvas_height=64, canvas_width=128)
    default, other = CanvasCache(tmp_path), CanvasCache(tmp_path, small)
    assert default.folder != other.folder
    default.canvases(records)
    assert other.canvases(records).canvases.shape == (2, 64, 128)
    assert len(counted) == 4


@pytest.mark.parametrize("name", ["preprocessing", "quality", "thinning"])
def test_changed_preprocessing_code_empties_the_cache(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = CanvasCache(tmp_path).folder
    module, edited = importlib.import_module(f"sigedge_runtime.{name}"), tmp_path / f"{name}.py"
    edited.write_text(Path(str(module.__file__)).read_text() + "# edited\n")
    monkeypatch.setattr(module, "__file__", str(edited))
    cache_module._code_digest.cache_clear()
    try:
        assert CanvasCache(tmp_path).folder != before
    finally:
        cache_module._code_digest.cache_clear()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", None])
def test_a_damaged_file_is_made_anew(
    folder_set: Path, tmp_path: Path, counted: list[int], damage: bytes | None
) -> None:
    records = read_folders(folder_set)
    cache = CanvasCache(tmp_path / "cache", chunk=7)
    first = cache.canvases(records)
    victim = sorted(cache.folder.glob("*.npz"))[0]
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2] if damage is None else damage)
    second = cache.canvases(records)
    assert len(counted) == 28
    assert np.array_equal(first.canvases, second.canvases)
    cache.canvases(records)
    assert len(counted) == 28


def test_unreadable_files_are_named_and_counted(folder_set: Path, tmp_path: Path) -> None:
    records = read_folders(folder_set)
    truncated, gone, copy = records[0].path, records[1].path, records[2].path
    truncated.write_bytes(truncated.read_bytes()[:60])
    copy.write_bytes(truncated.read_bytes())
    gone.unlink()
    found = CanvasCache(tmp_path / "cache").canvases(records)
    assert len(found) == found.report.read == 18
    assert {file.path for file in found.report.skipped} == {truncated, gone, copy}
    assert all(file.reason for file in found.report.skipped)
    assert found.records == tuple(records[3:])


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"nonsense")
    records = [Record(path, "d", "1", "genuine", 1)]
    with pytest.raises(DataError, match=r"No image could be read.*a\.png"):
        CanvasCache(tmp_path / "cache").canvases(records)
    with pytest.raises(DataError, match="No image could be read"):
        CanvasCache(tmp_path / "cache").canvases([])


def test_a_folder_that_cannot_be_written(folder_set: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot be written .* choose another folder"):
        CanvasCache(tmp_path / "file").canvases(read_folders(folder_set))


def test_selections_keep_rows_together(folder_set: Path, tmp_path: Path) -> None:
    records = read_folders(folder_set)
    records[2].path.write_bytes(records[1].path.read_bytes())
    blank = records[4].path
    page = np.full((120, 300), 235, np.uint8)
    import cv2

    cv2.imwrite(str(blank), page)
    found = CanvasCache(tmp_path / "cache").canvases(records)
    unique, usable = found.unique(), found.usable()
    assert [r for r in records if r not in unique.records] == [records[2]]
    assert [r for r in records if r not in usable.records] == [records[4]]
    both = found.unique().usable()
    assert len(both) == len(both.canvases) == len(both.qualities) == len(both.pixels) == 19
    row = both.records.index(records[10])
    assert np.array_equal(both.canvases[row], harmonise(read_image(records[10].path)).canvas)
