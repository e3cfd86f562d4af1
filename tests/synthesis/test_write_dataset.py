from __future__ import annotations

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest

from sigedge.synthesis import Synthesiser, write_dataset
from sigedge_runtime.errors import DataError

SMALL = {"signers": 2, "genuine": 2, "forged": 1, "seed": 8}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_layout_content_and_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    root = write_dataset(tmp_path / "made", **SMALL, progress=lambda done, total: seen.append((done, total)))
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    assert names == [
        f"signer_000{number}/{kind}"
        for number in (1, 2)
        for kind in ("forged/01.png", "genuine/01.png", "genuine/02.png")
    ]
    assert seen == [(done, 6) for done in range(1, 7)]
    image = cv2.imread(str(root / "signer_0002/genuine/02.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(image, Synthesiser(8).signer(1).genuine(1).image)


def test_equal_arguments_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (write_dataset(tmp_path / name, **SMALL) for name in "ab")
    assert snapshot(first) == snapshot(second)


def test_a_stopped_run_is_resumed(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    whole = snapshot(write_dataset(tmp_path / "whole", **SMALL))
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "made", **SMALL, progress=stop)
    part = snapshot(tmp_path / "made")
    assert len(part) == 5 and part.items() <= whole.items()
    kept = tmp_path / "made/signer_0001/genuine/01.png"
    before = kept.stat().st_mtime_ns
    write_dataset(tmp_path / "made", **SMALL)
    assert snapshot(tmp_path / "made") == whole
    assert kept.stat().st_mtime_ns == before, "what was there is not written again"


def test_no_partial_file_is_left_under_its_final_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: Path, data: bytes) -> int:
        if "02.png" in self.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        with self.open("wb") as file:
            return file.write(data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(DataError, match=r"02\.png cannot be written \(No space left on device\); make room"):
        write_dataset(tmp_path / "made", **SMALL)
    assert [path.name for path in (tmp_path / "made").rglob("*.png*")] == ["01.png"]


def test_a_folder_of_somebody_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("keep me")
    with pytest.raises(DataError, match=f"{tmp_path.name} is not empty .* name an empty or a new folder"):
        write_dataset(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_other_settings_are_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path / "made", **SMALL)
    with pytest.raises(DataError, match="other settings; name another folder"):
        write_dataset(tmp_path / "made", **{**SMALL, "seed": 9})


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("")
    with pytest.raises(DataError, match="is a file; name a folder"):
        write_dataset(tmp_path / "made", **SMALL)


def test_a_damaged_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "synthesis.json").write_text("{")
    with pytest.raises(DataError, match=r"synthesis\.json cannot be read"):
        write_dataset(tmp_path, **SMALL)


@pytest.mark.parametrize("change", [{"signers": 0}, {"genuine": 0}, {"forged": -1}, {"seed": -1}])
def test_impossible_counts_are_refused(tmp_path: Path, change: dict[str, int]) -> None:
    with pytest.raises(DataError, match="give at least 1 signer"):
        write_dataset(tmp_path / "made", **{**SMALL, **change})
    assert not (tmp_path / "made").exists()
