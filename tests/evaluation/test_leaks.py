from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import CanvasCache, Record, read_index
from sigedge.evaluation.leak_gates import main, measure_dataset_leaks
from sigedge.evaluation.leaks import GATE, measure_leaks, probe_auc
from sigedge.evaluation.results import read_result
from sigedge_runtime.errors import DataError

SIGNERS = 6


def drawn_records(root: Path = Path()) -> list[Record]:
    return [
        Record(root / f"{signer}/{label}/{sample:02d}.png", "drawn", str(signer), label, sample)  # type: ignore[arg-type]
        for signer in range(SIGNERS)
        for label in ("genuine", "forged")
        for sample in range(8)
    ]


def scans(*, leak: int) -> Iterator[NDArray[np.uint8]]:
    """Scrawls; the paper of forgeries is darker by `leak` grey levels."""
    for row, record in enumerate(drawn_records()):
        rng = np.random.default_rng(row)
        paper = int(rng.integers(225, 235)) - (0 if record.genuine else leak)
        image = np.full((60, 160), paper, np.uint8)
        points = np.column_stack([np.linspace(15, 145, 9), rng.integers(12, 48, 9)]).astype(np.int32)
        cv2.polylines(image, [points], False, (int(rng.integers(50, 70)),), 3)
        yield image


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, object]]:
    """Raw scans that leak their paper, canvases that do not."""
    canvases = [cv2.inRange(image, (0,), (150,)) for image in scans(leak=0)]
    return measure_leaks(drawn_records(), scans(leak=30), canvases)


def test_a_leaking_scanner_is_found_and_two_levels_hide_it(measured) -> None:  # type: ignore[no-untyped-def]
    assert measured["raw"]["background_ink_auc"] == pytest.approx(1.0)
    assert measured["canvas"]["background_ink_auc"] == pytest.approx(0.5)
    assert 0.2 < measured["canvas"]["skeleton_auc"] < 0.75, "there is nothing to find"
    assert measured["passed"] is True and measured["gate"] == GATE
    assert (measured["signers"], measured["genuine"], measured["forged"]) == (SIGNERS, 48, 48)


def test_the_figure_is_the_larger_probe(measured) -> None:  # type: ignore[no-untyped-def]
    for name in ("background_ink_auc", "skeleton_auc"):
        probes = measured["canvas"]["probes"][name]
        assert set(probes) == {"logistic_regression", "gradient_boosting"}
        assert measured["canvas"][name] == max(probes.values())


def test_a_leaking_canvas_fails_the_gate() -> None:
    leaky = measure_leaks(drawn_records(), None, scans(leak=30))
    assert "raw" not in leaky
    assert leaky["canvas"]["background_ink_auc"] > 0.9 and leaky["passed"] is False


def test_thick_forgeries_show_in_the_skeleton_probe() -> None:
    canvases = []
    for record, image in zip(drawn_records(), scans(leak=0), strict=True):
        ink = cv2.inRange(image, (0,), (150,))
        canvases.append(ink if record.genuine else cv2.dilate(ink, np.ones((3, 3), np.uint8)))
    found = measure_leaks(drawn_records(), None, canvases)["canvas"]
    assert found["skeleton_auc"] > 0.95 and found["background_ink_auc"] == pytest.approx(0.5)


def test_probes_are_signer_disjoint() -> None:
    """A feature that only names the signer predicts labels perfectly unless folds keep signers apart."""
    groups = np.repeat(np.arange(20), 10)
    genuine = groups % 2 == 0
    genuine[::10] = ~genuine[::10]
    found = probe_auc(np.eye(20)[groups], genuine, groups)
    assert found is not None and max(found.values()) < 0.65


def test_probes_of_noise_and_of_signal() -> None:
    rng = np.random.default_rng(0)
    groups, genuine = np.repeat(np.arange(30), 20), np.tile(np.arange(20) < 10, 30)
    noise = rng.normal(size=(600, 5))
    quiet, loud = (probe_auc(noise + shift * genuine[:, None], genuine, groups) for shift in (0.0, 2.0))
    assert quiet is not None and all(abs(area - 0.5) < 0.1 for area in quiet.values())
    assert loud is not None and min(loud.values()) > 0.95
    assert quiet == probe_auc(noise, genuine, groups), "the same seed gives the same figure"


def test_what_cannot_be_probed_is_none() -> None:
    features = np.zeros((6, 2))
    groups = np.array([1, 1, 2, 2, 3, 3])
    assert probe_auc(features, np.ones(6, bool), groups) is None
    assert probe_auc(features, np.array([True, False] * 3), np.ones(6)) is None
    genuine_only = [record for record in drawn_records() if record.genuine]
    found = measure_leaks(genuine_only, None, [np.zeros((9, 9), np.uint8)] * len(genuine_only))
    assert found["canvas"]["background_ink_auc"] is None and found["passed"] is None


def test_bad_input() -> None:
    with pytest.raises(DataError, match="no record to probe"):
        measure_leaks([], [], [])
    with pytest.raises(DataError, match="1 images do not fit 96 records"):
        measure_leaks(drawn_records(), [np.zeros((9, 9), np.uint8)], None)


@pytest.fixture
def drawn_set(tmp_path: Path) -> Path:
    root = tmp_path / "drawn"
    for record, image in zip(drawn_records(root), scans(leak=30), strict=True):
        record.path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(record.path), image)
    return root


def test_command_writes_the_result(drawn_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (drawn_set / "0" / "genuine" / "00.png").write_bytes(b"broken")
    repeated = (drawn_set / "1" / "genuine" / "01.png").read_bytes()
    (drawn_set / "1" / "genuine" / "02.png").write_bytes(repeated)
    out, cache = tmp_path / "leaks.json", tmp_path / "cache"
    code = main(["--index", str(drawn_set), "--json", str(out), "--cache", str(cache)])
    result = read_result(out)
    assert code == 0 and "raw: background_ink_auc 1.000" in capsys.readouterr().out
    assert (result["read"], result["skipped"], result["duplicates"]) == (95, ["00.png"], 1)
    assert result["dataset"] == "drawn" and result["passed"] is True
    assert result["meta"]["preprocess"] == CanvasCache(cache).spec.digest()


def test_command_refuses_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "leaks.json"
    assert main(["--index", str(tmp_path / "gone"), "--json", str(out)]) == 2
    assert "gone does not exist" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.research_data
def test_cedar_betrays_its_scanner_until_harmonised(research_data: Path, tmp_path: Path) -> None:
    """Eight signers, to stay quick; the whole set is in the committed result files."""
    records = [r for r in read_index(research_data / "index.csv", "cedar-half") if int(r.signer) <= 8]
    found = measure_dataset_leaks(records, cache=tmp_path, progress=False)
    assert found["raw"]["background_ink_auc"] > 0.995
    assert found["canvas"]["background_ink_auc"] <= GATE and found["passed"] is True
    assert found["canvas"]["skeleton_auc"] < 0.85
