"""Noisy documents and the regions they fill."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.data.images import to_grey
from sigedge.synthesis import ScanConditions, Synthesiser
from sigedge.systems.cleaner import Documents, NoiseSettings, drawn_documents, examples, fit_region, ink_of, place
from sigedge.systems.cleaner.documents import CHEQUES, PAGES
from sigedge.systems.cleaner.marks import printed_text, ruled_lines, seal, stamp
from sigedge.systems.cleaner.metrics import ink_iou, psnr, ssim
from sigedge.systems.cleaner.noise import KINDS, noisy_document
from sigedge_models import CheckpointInfo
from sigedge_runtime.errors import ImageError

NOTHING = dict.fromkeys(KINDS, 0.0)
STILL = {"light": 0.0, "blur": (0.0, 0.0), "grain": (0.0, 0.0), "jpeg": 0.0}


@pytest.fixture(scope="module")
def ink() -> np.ndarray:  # type: ignore[type-arg]
    return ink_of(to_grey(Synthesiser(3).signer(1).genuine(0).image))


@pytest.fixture(scope="module")
def region(ink: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return place(ink, 0.8, (0.5, 0.5))


@given(height=st.integers(1, 400), width=st.integers(1, 400), level=st.integers(0, 255))
def test_any_piece_fits_a_region_and_paper_fills_the_rest(height: int, width: int, level: int) -> None:
    fitted = fit_region(np.full((height, width), level, np.uint8))
    assert fitted.shape == (128, 256)
    assert (fitted == level).all()


def test_a_region_keeps_the_aspect() -> None:
    page = np.full((300, 300), 255, np.uint8)
    cv2.rectangle(page, (50, 50), (249, 249), (0.0,), -1)
    rows, columns = np.nonzero(fit_region(page) < 128)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1


@pytest.mark.parametrize("image", [np.zeros((5, 5, 3), np.uint8), np.zeros((5, 5)), np.zeros((0, 5), np.uint8)])
def test_only_grey_images_are_read(image: np.ndarray) -> None:  # type: ignore[type-arg]
    for read in (fit_region, ink_of):
        with pytest.raises(ImageError, match="grey uint8"):
            read(image)


def test_an_empty_page_has_no_ink() -> None:
    with pytest.raises(ImageError, match="no ink"):
        ink_of(np.full((60, 90), 240, np.uint8))


def test_ink_does_not_tell_the_paper_nor_the_pen() -> None:
    signer = Synthesiser(3).signer(2)
    dark = ink_of(to_grey(signer.genuine(0, ScanConditions.clean()).image))
    pale = ink_of(to_grey(signer.genuine(0, ScanConditions(ink=(120, 120, 120), paper=(215, 215, 215))).image))
    assert dark.shape == pale.shape
    assert dark.max() == pale.max() == 255
    assert np.mean((dark > 127) == (pale > 127)) > 0.99


@given(fill=st.floats(0.05, 1), down=st.floats(0, 1), across=st.floats(0, 1))
def test_ink_lies_inside_its_region(fill: float, down: float, across: float) -> None:
    placed = place(np.full((50, 180), 255, np.uint8), fill, (down, across))
    assert placed.shape == (128, 256)
    assert placed.any()


@pytest.mark.parametrize("mark", [printed_text, ruled_lines, stamp, seal])
def test_a_mark_is_the_same_for_the_same_seed_only(mark: object) -> None:
    drawn = [mark((128, 256), np.random.default_rng(seed)) for seed in (1, 1, 2)]  # type: ignore[operator]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_marks_leave_something() -> None:
    for mark in (printed_text, ruled_lines, stamp, seal):
        covered = [np.mean(mark((128, 256), np.random.default_rng(seed)) > 64) for seed in range(20)]
        assert 0.002 < np.mean(covered) < 0.5, mark.__name__


def test_a_document_is_a_function_of_its_seed(region: np.ndarray) -> None:  # type: ignore[type-arg]
    first, again, other = (noisy_document(region, Documents(), np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert np.array_equal(first.dirty, again.dirty)
    assert first.kinds == again.kinds
    assert not np.array_equal(first.dirty, other.dirty)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_be_had_alone(region: np.ndarray, kind: str) -> None:  # type: ignore[type-arg]
    settings = NoiseSettings(**{**NOTHING, **STILL, kind: 1.0})
    made = [noisy_document(region, Documents(), np.random.default_rng(seed), settings) for seed in range(4)]
    assert {document.kinds for document in made} == {(kind,)}
    # Noise darkens: no pixel is lighter than the signature alone would be.
    assert all((document.dirty <= document.clean.astype(int) + 1).all() for document in made)
    assert any((document.dirty < document.clean.astype(int) - 40).mean() > 0.005 for document in made)


def test_no_document_is_without_noise(region: np.ndarray) -> None:  # type: ignore[type-arg]
    settings = NoiseSettings(**NOTHING)
    assert all(noisy_document(region, Documents(), np.random.default_rng(i), settings).kinds for i in range(5))


def test_documents_of_the_parts_differ_and_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / CHEQUES).mkdir(parents=True)
    (tmp_path / PAGES).mkdir()
    for number in range(10):
        page = np.full((500, 900), 20 * number, np.uint8)
        cv2.imwrite(str(tmp_path / CHEQUES / f"{number}.png"), page)
    (tmp_path / PAGES / "broken.png").write_bytes(b"no image")
    parts = {part: Documents.read(tmp_path, part) for part in ("train", "validation", "test")}  # type: ignore[arg-type]
    levels = {part: {int(cheque[0, 0]) // 20 for cheque in found.cheques} for part, found in parts.items()}
    assert levels == {"train": {0, 1, 2, 5, 6, 7}, "validation": {3, 8}, "test": {4, 9}}
    assert [file.path.name for found in parts.values() for file in found.skipped] == ["broken.png"]
    assert parts["train"].page((128, 256), np.random.default_rng(0)).std() > 0  # drawn in its place


def test_a_folder_without_documents_is_no_fault(tmp_path: Path) -> None:
    nothing = Documents.read(tmp_path, "train")
    assert nothing.cheque((128, 256), np.random.default_rng(1)).shape == (128, 256)


def test_examples_are_seeded_and_mostly_dirty() -> None:
    info = CheckpointInfo("cleaner", {}, "x", "1", {"canvas_height": 64, "canvas_width": 128}, {}, task="image")
    drawn = examples(info, 6, seed=5)
    assert drawn.shape == (6, 64, 128)
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn, examples(info, 6, seed=5))
    assert not np.array_equal(drawn, examples(info, 6, seed=6))
    assert np.median(drawn[4]) == 255


def test_likeness_falls_with_damage() -> None:
    document = drawn_documents(1, seed=2)[0]
    clean = document.clean
    half = clean.copy()
    half[:, :128] = 255
    assert (psnr(clean, clean), ssim(clean, clean), ink_iou(clean, clean)) == (100.0, pytest.approx(1.0), 1.0)
    for measure in (psnr, ssim, ink_iou):
        assert measure(clean, half) < measure(clean, clean)
        assert measure(clean, document.dirty) < measure(clean, clean)


def test_ink_iou_counts_pixels() -> None:
    truth, other = np.full((4, 8), 255, np.uint8), np.full((4, 8), 255, np.uint8)
    truth[0, :4], other[0, 2:6] = 0, 0
    assert ink_iou(truth, other) == pytest.approx(2 / 6)
    assert ink_iou(np.full((4, 8), 255, np.uint8), np.full((4, 8), 255, np.uint8)) == 1.0


@pytest.mark.research_data
def test_real_documents_and_signatures_make_noisy_ones(research_data: Path) -> None:
    documents = Documents.read(research_data, "validation")
    assert (len(documents.cheques), len(documents.pages)) == (2, 6)
    scan = cv2.imread(str(research_data / "cedar-half/signatures/full_org/original_1_1.png"), cv2.IMREAD_GRAYSCALE)
    region = place(ink_of(np.asarray(scan, np.uint8)), 0.9, (0.5, 0.5))
    made = [noisy_document(region, documents, np.random.default_rng(seed)) for seed in range(12)]
    assert {"cheque", "page"} <= {kind for document in made for kind in document.kinds}
    assert np.mean([ink_iou(document.clean, document.dirty) for document in made]) < 0.9
