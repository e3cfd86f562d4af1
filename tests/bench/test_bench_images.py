"""Real-size input of a bench."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sigedge.bench.images import HEIGHT, WIDTH, fit, write_images
from sigedge.bench.machine import describe_machine, library_versions


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


def test_peak_memory_is_that_of_the_process_alone() -> None:
    """A child of a large process reports its own peak, not what it inherited."""
    code = "from sigedge.bench.machine import peak_rss_mb as p; a = p(); b = b'x' * 2**27; print(a, p())"
    ballast = np.ones(2**28, np.uint8)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before < 128 and 120 < after - before < 140 and ballast[-1] == 1
