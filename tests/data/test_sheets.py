"""Signatures cut out of labelled sheets."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sigedge.cli import app
from sigedge.data import cut_signatures, read_folders
from sigedge.data.sheets import MARGIN, group_of, read_labelled_pages
from sigedge_runtime.errors import DataError, ImageError

WIDE, TALL = 300, 200
BOXES = ([40, 30, 60, 20], [150.5, 90.25, 80, 40])


def write_sheets(folder: Path, names: list[str], boxes: tuple[list[float], ...] = BOXES) -> None:
    """Sheets of black rectangles where the boxes are, each a grey level of its own inside."""
    (folder / "data").mkdir(parents=True)
    annotations = []
    for number, name in enumerate(names):
        page = np.full((TALL, WIDE), 255, np.uint8)
        for index, (x, y, w, h) in enumerate(boxes):
            page[int(y) : int(y + h), int(x) : int(x + w)] = 10 * (number + 1) + index
            annotations.append({"image_id": number + 1, "bbox": [x, y, w, h]})
        cv2.imwrite(str(folder / "data" / name), page)
    images = [{"id": number + 1, "file_name": name} for number, name in enumerate(names)]
    (folder / "labels.json").write_text(json.dumps({"images": images, "annotations": annotations}))


@pytest.fixture
def sheets(tmp_path: Path) -> Path:
    folder = tmp_path / "sheets"
    write_sheets(folder / "genuine", ["003_G1.png", "003_G2.png", "004_G1.png"])
    write_sheets(folder / "forged", ["003_F1.png"])
    return folder


def test_every_box_becomes_a_sample_of_its_signer(sheets: Path, tmp_path: Path) -> None:
    records = read_folders(cut_signatures(sheets, tmp_path / "out"))
    found = sorted((record.signer, record.label, record.sample) for record in records)
    expected = [("003", "forged", 1), ("003", "forged", 2), *(("003", "genuine", n) for n in range(1, 5))]
    assert found == sorted([*expected, ("004", "genuine", 1), ("004", "genuine", 2)])


def test_a_cut_shows_its_box_and_a_margin_of_paper(sheets: Path, tmp_path: Path) -> None:
    out = cut_signatures(sheets, tmp_path / "out")
    cut = cv2.imread(str(out / "003" / "genuine" / "03.png"), cv2.IMREAD_GRAYSCALE)
    assert cut.shape == (20 + 2 * MARGIN, 60 + 2 * MARGIN)
    assert np.all(cut[MARGIN:-MARGIN, MARGIN:-MARGIN] == 20) and np.all(cut[:MARGIN] == 255)


def test_a_box_at_the_edge_is_cut_as_far_as_the_sheet_goes(tmp_path: Path) -> None:
    write_sheets(tmp_path / "s" / "genuine", ["1_G1.png"], ([0, 0, 50, 30],))
    out = cut_signatures(tmp_path / "s", tmp_path / "out")
    assert cv2.imread(str(out / "1" / "genuine" / "01.png")).shape[:2] == (30 + MARGIN, 50 + MARGIN)


def test_progress_counts_sheets_and_a_second_run_reads_none(sheets: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    cut_signatures(sheets, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for path in sheets.glob("*/data/*.png"):
        path.write_bytes(b"gone")
    assert len(read_folders(cut_signatures(sheets, tmp_path / "out"))) == 8


def test_what_was_not_cut_yet_is_cut_by_the_next_run(sheets: Path, tmp_path: Path) -> None:
    out = cut_signatures(sheets, tmp_path / "out")
    lost = out / "003" / "genuine" / "02.png"
    before = lost.read_bytes()
    lost.unlink()
    assert cut_signatures(sheets, out) and lost.read_bytes() == before


def test_sheets_without_forgeries_are_enough(sheets: Path, tmp_path: Path) -> None:
    (sheets / "forged").rename(tmp_path / "elsewhere")
    assert len(read_folders(cut_signatures(sheets, tmp_path / "out"))) == 6


def test_an_empty_folder_and_a_missing_one_say_what_to_name(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=r"genuine/labels\.json"):
            cut_signatures(folder, tmp_path / "out")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"images": [{}], "annotations": []}'])
def test_labels_that_are_none_are_refused(sheets: Path, tmp_path: Path, content: str) -> None:
    (sheets / "genuine" / "labels.json").write_text(content)
    with pytest.raises(DataError, match=r"labels\.json cannot be read as COCO labels"):
        cut_signatures(sheets, tmp_path / "out")


def test_a_box_outside_its_sheet_is_refused(tmp_path: Path) -> None:
    write_sheets(tmp_path / "s" / "genuine", ["1_G1.png"], ([400, 30, 60, 20],))
    with pytest.raises(DataError, match="outside the image"):
        cut_signatures(tmp_path / "s", tmp_path / "out")


def test_a_broken_sheet_is_named(sheets: Path, tmp_path: Path) -> None:
    (sheets / "genuine" / "data" / "004_G1.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match="004_G1"):
        cut_signatures(sheets, tmp_path / "out")


def test_a_file_in_the_way_is_a_sentence(sheets: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DataError, match="cannot be written"):
        cut_signatures(sheets, tmp_path / "out")


def test_pages_without_boxes_have_an_empty_table(tmp_path: Path) -> None:
    write_sheets(tmp_path, ["9_G1.png"], ())
    (page,) = read_labelled_pages(tmp_path)
    assert page.boxes.shape == (0, 4) and page.group == "9"


def test_the_group_stands_first_in_a_name() -> None:
    assert [group_of(Path(name)) for name in ("003_G1.jpg", "xlx69d00-page07_1.png")] == ["003", "xlx69d00"]


def test_the_command_counts_what_it_cut(sheets: Path, tmp_path: Path) -> None:
    arguments = ["data", "cut", str(sheets), str(tmp_path / "out"), "--json", "-"]
    result = CliRunner(env={"NO_COLOR": "1"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["images"] == 8


def test_the_command_refuses_a_folder_without_sheets(tmp_path: Path) -> None:
    result = CliRunner(env={"NO_COLOR": "1"}).invoke(app, ["data", "cut", str(tmp_path), str(tmp_path / "out")])
    assert result.exit_code == 2 and "labels.json" in result.stderr


@pytest.mark.research_data
def test_the_real_sheets_hold_nineteen_signers(research_data: Path, tmp_path: Path) -> None:
    pages = [read_labelled_pages(research_data / "ssbi" / "signatures" / kind) for kind in ("genuine", "forged")]
    assert [sum(len(page.boxes) for page in found) for found in pages] == [336, 100]
    assert len({page.group for page in pages[0]}) == 19
