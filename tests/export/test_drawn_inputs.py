"""`sigedge.export_inputs`: what an export is calibrated, judged and replayed on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data.records import Record
from sigedge.export_inputs import (
    calibration_canvases,
    golden_images,
    parity_set_from_records,
    synthetic_parity_set,
)
from sigedge_export import GoldenImage, ParitySet
from sigedge_export.chain import check_calibration
from sigedge_export.inputs import make_pairs
from sigedge_runtime.errors import DataError
from sigedge_runtime.preprocessing import harmonise


@pytest.fixture
def records(tmp_path: Path, golden: list[GoldenImage]) -> list[Record]:
    """Six readable signatures, a blank page and a broken file."""
    images = [(image.signer, image.label, image.image) for image in golden if image.image.ndim == 2]
    images.append(("blank", "genuine", np.full((90, 200), 250, np.uint8)))
    found = []
    for number, (signer, label, image) in enumerate(images):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), image)
        found.append(Record(path, "test", signer, "genuine" if label == "genuine" else "forged", number))
    (tmp_path / "broken.png").write_bytes(b"not an image")
    return [*found, Record(tmp_path / "broken.png", "test", "broken", "genuine", 99)]


def test_calibration_is_fit_to_calibrate_and_the_same_every_time(calibration: NDArray[np.uint8]) -> None:
    assert calibration.shape == (32, 128, 256)
    assert check_calibration(calibration) is calibration
    assert np.array_equal(calibration_canvases(count=8), calibration[:8])
    assert len({canvas.tobytes() for canvas in calibration}) == 32


def test_calibration_mixes_in_usable_records(records: list[Record], golden: list[GoldenImage]) -> None:
    mixed = calibration_canvases(count=16, records=records)
    real = harmonise(golden[0].image).canvas
    assert mixed.shape == (16, 128, 256)
    assert any(np.array_equal(canvas, real) for canvas in mixed)
    assert not any(canvas.max() == 0 for canvas in mixed)


def test_calibration_on_unusable_records_alone_is_refused(records: list[Record]) -> None:
    with pytest.raises(DataError, match="None of the 2 calibration images shows a usable signature"):
        calibration_canvases(count=8, records=records[-2:])


def test_the_parity_set_is_balanced_and_labelled(parity_set: ParitySet) -> None:
    assert Counter(parity_set.signers) == {f"synthetic-{number}": 7 for number in range(6)}
    assert parity_set.genuine.sum() == 6 * 4
    assert parity_set.canvases.dtype == np.uint8 and set(np.unique(parity_set.canvases)) == {0, 255}
    assert len(make_pairs(parity_set)) == 6 * (6 + 12) + 30


def test_sets_share_no_picture(parity_set: ParitySet, calibration: NDArray[np.uint8]) -> None:
    assert not {c.tobytes() for c in parity_set.canvases} & {c.tobytes() for c in calibration}


def test_a_parity_set_from_records_leaves_out_what_is_unusable(records: list[Record]) -> None:
    samples = parity_set_from_records(records, "a test")
    assert set(samples.signers) == {"test/synthetic-0", "test/synthetic-1"}
    assert len(samples.canvases) == len(records) - 2
    assert samples.source == "a test"


def test_a_parity_set_without_usable_images_is_refused(records: list[Record]) -> None:
    with pytest.raises(DataError, match="None of the 2 images of a test"):
        parity_set_from_records(records[-2:], "a test")


def test_golden_images_are_small_usable_and_the_same_every_time(golden: list[GoldenImage]) -> None:
    assert [image.id for image in golden] == [
        f"synthetic-{signer}-{kind}"
        for signer in range(2)
        for kind in ("genuine-0", "genuine-1", "genuine-2", "skilled-0")
    ]
    assert all(max(image.image.shape[:2]) <= 300 for image in golden)
    again = golden_images(signers=1)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(golden, again, strict=False))


def test_a_smaller_parity_set_is_the_start_of_a_larger_one() -> None:
    small, large = (synthetic_parity_set(signers=count, genuine=2, skilled=1) for count in (1, 2))
    assert np.array_equal(small.canvases, large.canvases[:3])
