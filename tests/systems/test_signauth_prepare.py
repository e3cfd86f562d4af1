"""`sigedge data prepare`: square images of 256 pixels, and nothing lost."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from sigedge.cli import app
from sigedge.synthesis import Synthesiser
from sigedge.systems.signauth.prepare import SPEC, prepare, scanned, squared
from sigedge_runtime.errors import DataError
from sigedge_runtime.preprocessing import harmonise


def run(*arguments: object) -> Result:
    return CliRunner(env={"NO_COLOR": "1"}).invoke(app, [str(argument) for argument in arguments])


def grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


@pytest.fixture(scope="module")
def signatures() -> list[np.ndarray]:
    return [grey(Synthesiser(8).signer(number).genuine(0).image) for number in range(3)]


@pytest.fixture
def data(tmp_path: Path, signatures: list[np.ndarray]) -> Path:
    """Three images to train on, one to predict, and one that cannot be read among them."""
    folder = tmp_path / "data"
    for name, image in zip(("train/ada/1.png", "train/bob/1.jpg", "predict/x.png"), signatures, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), image)
    (folder / "train/bob/2.png").write_bytes(b"no image at all")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_without_overwrite_nothing_that_exists_is_touched(data: Path) -> None:
    before = files(data)
    report = prepare(data, scan=True, backup=True)
    after = files(data)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {
        "prepared/train/ada/1.png",
        "prepared/train/bob/1.png",
        "prepared/predict/x.png",
    }
    assert (report.prepared, report.backed_up) == (3, 0)
    again = prepare(data, scan=True)
    assert (again.prepared, again.kept) == (0, 3) and files(data) == after


def test_overwrite_replaces_and_backup_keeps_the_originals(data: Path) -> None:
    before = files(data)
    report = prepare(data, scan=True, backup=True, overwrite=True)
    assert (report.prepared, report.backed_up, len(report.skipped)) == (3, 3, 1)
    for name in ("train/ada/1.png", "train/bob/1.jpg", "predict/x.png"):
        assert (data / "backup" / name).read_bytes() == before[name]
    assert not (data / "train/bob/1.jpg").exists()
    for name in ("train/ada/1.png", "train/bob/1.png", "predict/x.png"):
        picture = cv2.imread(str(data / name), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (256, 256) and set(np.unique(picture)) == {0, 255}


def test_preparing_again_changes_nothing(data: Path) -> None:
    prepare(data, scan=True, backup=True, overwrite=True)
    before = files(data)
    report = prepare(data, scan=True, backup=True, overwrite=True)
    assert (report.prepared, report.already, report.backed_up) == (0, 3, 0) and files(data) == before


def test_a_backup_never_takes_the_place_of_another(data: Path, signatures: list[np.ndarray]) -> None:
    first = (data / "predict/x.png").read_bytes()
    prepare(data, ["predict"], backup=True, overwrite=True)
    cv2.imwrite(str(data / "predict/x.png"), signatures[0])
    second = (data / "predict/x.png").read_bytes()
    prepare(data, ["predict"], backup=True, overwrite=True)
    assert (data / "backup/predict/x.png").read_bytes() == first
    assert (data / "backup/predict/x-2.png").read_bytes() == second


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_images_that_would_become_one_are_not_mixed_up(
    data: Path, signatures: list[np.ndarray], overwrite: bool
) -> None:
    cv2.imwrite(str(data / "train/bob/1.png"), signatures[0])
    report = prepare(data, ["train"], overwrite=overwrite)
    assert "1.png, as another image does" in " ".join(file.reason for file in report.skipped)
    assert (data / "train/bob/1.jpg").exists() and (data / "train/bob/1.png").exists()


def test_what_cannot_be_used_is_named_and_counted(data: Path) -> None:
    cv2.imwrite(str(data / "train/ada/blank.png"), np.full((90, 90), 250, np.uint8))
    report = prepare(data, ["train"], scan=True)
    assert [file.path.name for file in report.skipped] == ["blank.png", "2.png"]
    assert "no usable signature" in report.skipped[0].reason and "not a PNG" in report.skipped[1].reason


def test_the_scanned_picture_becomes_nearly_the_same_canvas(signatures: list[np.ndarray]) -> None:
    for image in signatures:
        first, second = harmonise(image, SPEC).canvas > 0, harmonise(scanned(image), SPEC).canvas > 0
        # The strokes were redrawn, which makes the box of the ink a pixel larger on each side and then shrinks it; the
        # reduction that comes first may then be another.
        near = cv2.dilate(first.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert (second & near).sum() >= 0.8 * second.sum()


@given(st.integers(8, 300), st.integers(8, 300), st.integers(0, 255))
def test_a_plain_sheet_stays_plain_whatever_its_shape(height: int, width: int, level: int) -> None:
    assert (squared(np.full((height, width), level, np.uint8)) == level).all()


def test_the_shape_of_the_ink_is_kept() -> None:
    page = np.full((100, 400), 240, np.uint8)
    page[40:60, 100:300] = 0
    ink = squared(page) < 120
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert len(columns) / len(rows) == pytest.approx(10, rel=0.1)


def test_unknown_and_missing_folders_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to prepare called tests"):
        prepare(data, ["tests"])
    with pytest.raises(DataError, match="holds no folder test"):
        prepare(data, ["train", "test"])
    with pytest.raises(DataError, match="holds no image in train, test, predict"):
        prepare(tmp_path / "empty")


def test_the_command_says_what_it_did(data: Path) -> None:
    result = run(
        "data", "prepare", data, "--process", "train,predict", "--scan", "--backup", "--overwrite", "--json", "-"
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["prepared"], found["backed_up"], len(found["skipped"])) == (3, 3, 1)
    assert "2.png" in result.stderr and "1 skipped" in result.stderr


def test_the_command_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    result = run("data", "prepare", tmp_path, "--process", "train")
    assert result.exit_code == 2 and "holds no folder train" in result.stderr
