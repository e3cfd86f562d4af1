"""From scans to pairs: preprocessing, masks, new attempts and the data frame."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge.data import ReadReport, Record, read_index, signers_of
from sigedge.systems.forger.frame import COLUMNS, FRAME, read_pairs, write_pairs
from sigedge.systems.forger.pairs import Pairs, augmented, left_out, make_pairs, new_attempts, signature_mask
from sigedge.systems.forger.preprocessing import (
    SIZE,
    Signatures,
    centre_lines,
    draw_signatures,
    ink_image,
    read_signatures,
)
from sigedge_runtime.errors import DataError, ImageError

Image = NDArray[np.uint8]


def scan(paper: int = 240, ink: int = 60, shape: tuple[int, int] = (200, 500)) -> Image:
    """A slanted stroke and a short one, with light falling off to the right."""
    image = np.full(shape, paper, np.uint8)
    cv2.line(image, (60, 150), (440, 60), (ink,), 6)
    cv2.line(image, (100, 50), (130, 70), (ink,), 6)
    shade = np.linspace(0, 20, shape[1])[None, :]
    return np.clip(image - shade, 0, 255).astype(np.uint8)


def likeness(masks: Image, targets: Image) -> NDArray[np.float64]:
    """Cosine of every mask with every target."""
    flat = [images.reshape(len(images), -1).astype(np.float64) for images in (masks, targets)]
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in flat]
    return np.asarray(unit[0] @ unit[1].T)


@pytest.fixture(scope="module")
def drawn() -> Signatures:
    return draw_signatures(7, range(3), 4)


@pytest.fixture(scope="module")
def pairs(drawn: Signatures) -> Pairs:
    return make_pairs(drawn)


def test_ink_fills_the_image_on_empty_paper() -> None:
    ink = ink_image(scan())
    assert ink.shape == SIZE and ink.dtype == np.uint8
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    assert columns[0] <= 4 and columns[-1] >= SIZE[1] - 5
    assert abs((rows[0] + rows[-1]) - (SIZE[0] - 1)) <= 2
    assert ink.max() == 255
    assert (ink == 0).mean() > 0.8


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (240, 60), (200, 120)])
def test_contrast_and_colour_of_the_scan_say_nothing(paper: int, ink: int) -> None:
    usual = ink_image(scan()).astype(int)
    other = scan(paper, ink)
    assert np.abs(ink_image(other) - usual).mean() < 2
    assert np.array_equal(ink_image(cv2.cvtColor(other, cv2.COLOR_GRAY2BGR).astype(np.uint8)), ink_image(other))


def test_specks_do_not_move_the_signature() -> None:
    dirty = scan()
    dirty[10:12, 10:12] = 0
    dirty[190:192, 490:492] = 0
    assert np.abs(ink_image(dirty).astype(int) - ink_image(scan())).mean() < 1


@pytest.mark.parametrize("image", [np.full((50, 80), 255, np.uint8), np.full((9, 9), 0, np.uint8)])
def test_an_image_without_ink_is_refused(image: Image) -> None:
    with pytest.raises(ImageError, match="shows no ink"):
        ink_image(image)


@given(st.integers(8, 400), st.integers(8, 400), st.integers(0, 2**32 - 1))
def test_any_image_gives_ink_or_a_sentence(height: int, width: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    try:
        assert ink_image(noise).shape == SIZE
    except ImageError as error:
        assert "no ink" in str(error)


def test_centre_lines_are_thin_and_within_the_ink() -> None:
    ink = ink_image(scan())
    lines = centre_lines(ink)
    assert set(np.unique(lines)) == {0, 255}
    assert (ink[lines > 0] > 0).all()
    assert 0.5 * SIZE[1] < (lines > 0).sum() < 2 * SIZE[1]


def test_a_signer_signs_in_one_session(drawn: Signatures) -> None:
    assert len(drawn) == 12 and len(set(drawn.signers)) == 3
    again = draw_signatures(7, [1], 4)
    assert np.array_equal(again.images, drawn.images[4:8])
    ink = [(image > 128).sum() for image in drawn.images]
    within = np.mean([np.std(ink[start : start + 4]) for start in (0, 4, 8)])
    assert within < np.std(ink)


@pytest.mark.parametrize(("signers", "samples"), [(range(0), 3), (range(2), 0)])
def test_nothing_to_draw_is_an_error(signers: range, samples: int) -> None:
    with pytest.raises(DataError, match="at least one of each"):
        draw_signatures(1, signers, samples)


def test_unreadable_files_are_named_and_counted(tmp_path: Path) -> None:
    good, blank, broken = (tmp_path / f"{name}.png" for name in ("good", "blank", "broken"))
    cv2.imwrite(str(good), scan())
    cv2.imwrite(str(blank), np.full((40, 60), 255, np.uint8))
    broken.write_bytes(b"no picture")
    records = [Record(path, "set", "1", "genuine", number) for number, path in enumerate((good, blank, broken))]
    found = read_signatures(records)
    assert len(found) == 1 and found.signers == ("set/1",)
    assert {skipped.path for skipped in found.report.skipped} == {blank, broken}
    with pytest.raises(DataError, match=r"broken\.png"):
        read_signatures(records[1:])


def test_a_mask_averages_the_other_samples(drawn: Signatures, pairs: Pairs) -> None:
    own = drawn.images[:4]
    assert np.array_equal(pairs.masks[0], signature_mask(own[1:]))
    assert np.array_equal(pairs.targets, drawn.images)
    assert np.array_equal(pairs.lines[5], centre_lines(drawn.images[5]))
    assert pairs.canvases().shape == (12, 2 * SIZE[0], SIZE[1])


def test_signers_with_one_sample_are_left_out(drawn: Signatures) -> None:
    rows = [0, 1, 2, 4]
    few = Signatures(drawn.images[rows], tuple(drawn.signers[row] for row in rows), ReadReport(4))
    assert left_out(few) == [drawn.signers[4]]
    assert set(make_pairs(few).signers) == {drawn.signers[0]}
    alone = Signatures(drawn.images[[0, 4]], (drawn.signers[0], drawn.signers[4]), ReadReport(2))
    with pytest.raises(DataError, match="None of the 2 signers has two samples"):
        make_pairs(alone)


def test_new_attempts_are_new_and_repeatable(pairs: Pairs) -> None:
    first, again = (new_attempts(pairs, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.lines, again.lines) and np.array_equal(first.masks, again.masks)
    assert first.signers == pairs.signers
    for attempt, written in zip(first.lines, pairs.lines, strict=True):
        assert not np.array_equal(attempt, written)
    grown = first.targets.sum(dtype=float) / pairs.targets.sum(dtype=float)
    assert 0.7 < grown < 1.1


def test_the_augmented_set_begins_with_what_was_written(pairs: Pairs) -> None:
    more = augmented(pairs, 2, seed=3)
    assert len(more) == 3 * len(pairs)
    assert np.array_equal(more.targets[: len(pairs)], pairs.targets)
    assert not np.array_equal(more.lines[12:24], more.lines[24:])
    assert len(augmented(pairs, 0, seed=3)) == len(pairs)


def test_the_frame_gives_back_the_pairs(pairs: Pairs, tmp_path: Path) -> None:
    frame = write_pairs(tmp_path / "pairs", pairs)
    with frame.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and len(rows) == len(pairs)
    assert (frame.parent / rows[3]["mask"]).is_file()
    found, report = read_pairs(frame.parent)
    assert report.read == 12 and not report.skipped
    assert found.signers == pairs.signers
    for name in ("lines", "masks", "targets"):
        assert np.array_equal(getattr(found, name), getattr(pairs, name))


def test_a_damaged_pair_is_left_out_and_named(pairs: Pairs, tmp_path: Path) -> None:
    write_pairs(tmp_path, pairs.select(range(4)))
    damaged, other = tmp_path / "mask" / "00001.png", tmp_path / "target" / "00002.png"
    damaged.write_bytes(b"")
    cv2.imwrite(str(other), np.zeros((20, 20), np.uint8))
    found, report = read_pairs(tmp_path)
    assert np.array_equal(found.targets, pairs.targets[[0, 3]])
    assert [skipped.path for skipped in report.skipped] == [damaged, other]


def test_a_frame_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="write the pairs again"):
        read_pairs(tmp_path)
    (tmp_path / FRAME).write_text("number,signer,input\n")
    with pytest.raises(DataError, match="lacks the columns mask, target"):
        read_pairs(tmp_path)
    (tmp_path / FRAME).write_text(",".join(COLUMNS) + "\n0,a,x.png,y.png,z.png\n")
    with pytest.raises(DataError, match="No image could be read"):
        read_pairs(tmp_path)


@pytest.mark.research_data
@pytest.mark.parametrize("dataset", ["cedar-half", "bhsig260-hindi", "sigcomp2009-nfi"])
def test_real_scans_become_pairs(research_data: Path, dataset: str) -> None:
    records = [record for record in read_index(research_data / "index.csv", dataset) if record.genuine]
    people = signers_of(records)[:8]
    few = [record for record in records if record.signer in people and record.sample <= 4]
    found = read_signatures(few)
    assert len(found) == len(few), found.report.summary()
    share = (found.images > 64).mean(axis=(1, 2))
    assert (share > 0.01).all() and (share < 0.5).all()
    pairs = make_pairs(found)
    names = np.asarray(pairs.signers)
    alike = likeness(pairs.masks, pairs.targets)
    same = names[:, None] == names[None, :]
    # What a signer writes lies where the own mask says it does, more than where another's does.
    assert np.diag(alike).mean() > alike[~same].mean() + 0.05
