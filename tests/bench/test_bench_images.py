"""Real-size input of a bench, and what it says of the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sigedge.bench.images import HEIGHT, WIDTH, on_page, real_scans, synthetic_scans, write_scans
from sigedge.bench.machine import describe_machine, library_versions
from sigedge_runtime.errors import DataError
from sigedge_runtime.preprocessing import harmonise


@pytest.mark.parametrize("shape", [(50, 400), (547, 588), (2000, 1500), (300, 20)])
def test_a_signature_lies_whole_on_a_page_of_a_scans_size(shape: tuple[int, int]) -> None:
    ink = np.full(shape, 230, np.uint8)
    ink[shape[0] // 4 : -shape[0] // 4, shape[1] // 4 : -shape[1] // 4] = 20
    page = on_page(ink)
    assert page.shape == (HEIGHT, WIDTH) and page.dtype == np.uint8
    assert set(page[0]) == {page[0, 0]}, "the paper has no seam at the edge"
    rows, columns = np.nonzero(page < 125)
    wanted = (shape[1] // 2) / (shape[0] // 2)
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(wanted, rel=0.15), "its aspect is kept"


def test_synthetic_scans_are_usable_seeded_and_different() -> None:
    scans = synthetic_scans(3, 3)
    assert all(scan.shape == (HEIGHT, WIDTH) and harmonise(scan).quality.usable for scan in scans)
    assert all(np.array_equal(one, other) for one, other in zip(scans, synthetic_scans(3, 3), strict=True))
    assert not np.array_equal(scans[0], scans[1])
    assert not np.array_equal(scans[0], synthetic_scans(4, 1)[0])


def test_real_scans_come_from_a_folder_and_those_below_it(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name, shape in (("a.png", (40, 60)), ("below/b.png", (40, 60, 3))):
        cv2.imwrite(str(tmp_path / name), np.full(shape, 200, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    assert [scan.shape for scan in real_scans(tmp_path, 2)] == [(HEIGHT, WIDTH)] * 2
    with pytest.raises(DataError, match="holds 2 images, and 3 are needed"):
        real_scans(tmp_path, 3)
    (tmp_path / "c.png").write_text("damaged")
    with pytest.raises(DataError, match=r"c\.png"):
        real_scans(tmp_path, 3)


def test_real_scans_nearest_in_size_come_first(tmp_path: Path) -> None:
    for name, shape, level in (("a.png", (100, 900), 210), ("b.png", (540, 590), 220), ("c.png", (200, 300), 230)):
        cv2.imwrite(str(tmp_path / name), np.full(shape, level, np.uint8))
    (nearest,) = real_scans(tmp_path, 1)
    assert int(np.median(nearest)) == 220


def test_references_are_written_first(tmp_path: Path) -> None:
    scans = [np.full((4, 5), value, np.uint8) for value in range(5)]
    files = write_scans(tmp_path, scans, references=3)
    assert [int(np.load(path)[0, 0]) for path in files.references] == [0, 1, 2]
    assert [int(np.load(path)[0, 0]) for path in files.queries] == [3, 4]


def test_the_machine_is_described() -> None:
    found = describe_machine()
    assert found["cores"] >= found["usable_cores"] >= 1 and found["memory_mb"] > 100
    assert all(found[name] for name in ("cpu", "architecture", "os", "kernel", "python", "governor"))
    assert "numpy" in library_versions()


def test_peak_memory_is_that_of_the_process_alone() -> None:
    """A child of a large process reports its own peak, not what it inherited."""
    code = "from sigedge.bench.machine import peak_rss_mb as p; a = p(); b = b'x' * 2**27; print(a, p())"
    ballast = np.ones(2**28, np.uint8)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before < 128 and 120 < after - before < 140 and ballast[-1] == 1
