"""Real-size input of a bench."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sigedge.bench.images import HEIGHT, WIDTH, fit, write_images
from sigedge.bench.machine import describe_machine, library_versions, peak_rss_mb


@pytest.mark.parametrize("shape", [(50, 400), (547, 588), (2000, 1500, 3), (300, 20)])
def test_a_scan_keeps_its_aspect_and_gets_the_pixels_of_a_scan(shape: tuple[int, ...]) -> None:
    fitted = fit(np.full(shape, 200, np.uint8))
    assert fitted.shape[0] * fitted.shape[1] == pytest.approx(WIDTH * HEIGHT, rel=0.01)
    assert fitted.shape[1] / fitted.shape[0] == pytest.approx(shape[1] / shape[0], rel=0.02)
    assert fitted.shape[2:] == shape[2:] and fitted.dtype == np.uint8


def test_images_are_written_and_seeded(tmp_path: Path) -> None:
    first, again = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    again.mkdir()
    paths = write_images(first, seed=3, count=2)
    assert [cv2.imread(str(path)) is not None for path in paths] == [True, True]
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in write_images(again, seed=3, count=2)]


def test_the_machine_is_described() -> None:
    found = describe_machine()
    assert found["cores"] >= found["usable_cores"] >= 1 and found["memory_mb"] > 100
    assert all(found[name] for name in ("cpu", "architecture", "os", "kernel", "python", "governor"))
    assert "numpy" in library_versions()


def test_peak_memory_is_that_of_this_process() -> None:
    before = peak_rss_mb()
    ballast = np.ones(int((before + 200) * 2**20), np.uint8)
    assert peak_rss_mb() > before + 100 and ballast[-1] == 1
