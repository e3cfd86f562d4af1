"""The calibration set as a file: nothing is lost on the way, and nothing else is taken for one."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sigedge.data.records import Record
from sigedge.export_inputs import calibration_set, evaluation_signers
from sigedge.synthesis import write_dataset
from sigedge_export.calibration import (
    CalibrationSet,
    Origin,
    Population,
    canvas_hash,
    load_calibration,
    save_calibration,
)
from sigedge_export.calibration.features import FEATURES, features
from sigedge_runtime.errors import DataError
from sigedge_runtime.preprocessing import PreprocessSpec


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    from sigedge.data import read_folders

    return read_folders(
        write_dataset(tmp_path_factory.mktemp("real") / "people", signers=3, genuine=4, forged=2, seed=3)
    )


@pytest.fixture(scope="module")
def drawn(records: list[Record]) -> CalibrationSet:
    return calibration_set(12, records=records)


def test_half_of_it_is_real_and_every_canvas_says_where_it_came_from(
    drawn: CalibrationSet, records: list[Record]
) -> None:
    real = [origin for origin in drawn.origins if origin.sha256 is not None]
    assert len(drawn) == 12 and len(real) == 6
    assert {origin.identity for origin in real} <= {record.identity for record in records}
    assert {origin.dataset for origin in drawn.origins if origin.seed is not None} == {"synthetic"}
    assert drawn.spec_digest == PreprocessSpec().digest()


def test_the_population_is_that_of_the_records_and_not_of_the_draw(
    drawn: CalibrationSet, records: list[Record]
) -> None:
    assert drawn.population is not None and 6 < drawn.population.canvases <= len(records)
    for name in FEATURES:
        assert list(drawn.population.deciles[name]) == sorted(drawn.population.deciles[name])


def test_the_seed_decides_everything(drawn: CalibrationSet, records: list[Record], tmp_path: Path) -> None:
    again, other = calibration_set(12, records=records), calibration_set(12, records=records, seed=7)
    first, second = (
        save_calibration(tmp_path / name, made).read_bytes() for name, made in [("a.npz", drawn), ("b.npz", again)]
    )
    assert first == second
    assert not np.array_equal(other.canvases, drawn.canvases) and other.seed == 7


def test_a_file_holds_the_whole_set(drawn: CalibrationSet, tmp_path: Path) -> None:
    found = load_calibration(save_calibration(tmp_path / "deep" / "set.npz", drawn))
    assert np.array_equal(found.canvases, drawn.canvases)
    assert (found.origins, found.population, found.seed, found.spec_digest) == (
        drawn.origins,
        drawn.population,
        drawn.seed,
        drawn.spec_digest,
    )
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["set.npz"]


def test_without_records_it_stands_for_nothing() -> None:
    made = calibration_set(5)
    assert made.population is None and {origin.dataset for origin in made.origins} == {"synthetic"}


def test_a_failed_write_keeps_the_older_file(
    drawn: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = save_calibration(tmp_path / "set.npz", drawn).read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(DataError, match=r"set\.npz cannot be written \(No space left"):
        save_calibration(tmp_path / "set.npz", drawn)
    assert (tmp_path / "set.npz").read_bytes() == older and len(list(tmp_path.iterdir())) == 1


def rewrite(path: Path, drawn: CalibrationSet, **changes: object) -> Path:
    """A set file with other entries in its provenance."""
    with np.load(save_calibration(path, drawn)) as content:
        provenance = json.loads(content["provenance"].tobytes()) | changes
        text = np.frombuffer(json.dumps(provenance).encode(), np.uint8)
        np.savez(path, canvases=content["canvases"], provenance=text)
    return path


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"format_version": 2}, "format version is 2"),
        ({"origins": []}, "0 origins"),
        ({"origins": [{"dataset": "a", "signer": "1"}] * 12}, "hash of a file or the seed"),
        ({"wings": 2}, "wings"),
        ({"population": {"canvases": 3, "deciles": {name: [0.5] for name in FEATURES}}}, "11 deciles"),
    ],
)
def test_a_set_that_contradicts_itself_is_refused(
    changes: dict[str, object], named: str, drawn: CalibrationSet, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=named):
        load_calibration(rewrite(tmp_path / "set.npz", drawn, **changes))


def test_what_is_no_set_is_named(tmp_path: Path, drawn: CalibrationSet) -> None:
    with pytest.raises(DataError, match=r"no calibration set at .*gone\.npz; make it again"):
        load_calibration(tmp_path / "gone.npz")
    (tmp_path / "text.npz").write_text("no zip")
    np.savez(tmp_path / "other.npz", wrong=np.zeros(3))
    np.savez(tmp_path / "pickle.npz", canvases=np.array([{}], object), provenance=np.zeros(1, np.uint8))
    np.save(tmp_path / "array.npy", drawn.canvases)
    whole = save_calibration(tmp_path / "cut.npz", drawn).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("text.npz", "other.npz", "pickle.npz", "cut.npz", "array.npy"):
        with pytest.raises(DataError, match=f"{name} is no calibration set"):
            load_calibration(tmp_path / name)


def test_the_file_must_be_called_npz(drawn: CalibrationSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not end in \.npz"):
        save_calibration(tmp_path / "set.zip", drawn)


def test_the_file_is_a_plain_archive_without_pickles(drawn: CalibrationSet, tmp_path: Path) -> None:
    with zipfile.ZipFile(save_calibration(tmp_path / "set.npz", drawn)) as archive:
        assert sorted(archive.namelist()) == ["canvases.npy", "provenance.npy"]


def test_features_of_a_rectangle() -> None:
    canvases = np.zeros((2, 100, 200), np.uint8)
    canvases[0, 10:30, 50:150] = 255
    found = features(canvases)
    assert found["ink density"].tolist() == [0.1, 0.0]
    assert found["ink width"].tolist() == [0.5, 0.0]
    assert found["ink height"].tolist() == [0.2, 0.0]
    assert Population.measure(canvases[:1]).deciles["ink width"] == (0.5,) * 11


def test_a_hash_tells_shape_and_pixels_apart() -> None:
    flat, tall = np.zeros((2, 8), np.uint8), np.zeros((8, 2), np.uint8)
    marked = flat.copy()
    marked[0, 0] = 255
    assert len({canvas_hash(canvas) for canvas in (flat, tall, marked)}) == 3


def test_an_origin_is_real_or_drawn() -> None:
    with pytest.raises(ValueError, match="either"):
        Origin("a", "1")
    with pytest.raises(ValueError, match="either"):
        Origin("a", "1", sha256="0", seed=1)


def test_evaluation_signers_are_those_of_every_copy_of_a_data_set(tmp_path: Path) -> None:
    from sigedge.data import load_splits

    (tmp_path / "splits.json").write_text(json.dumps({"cedar": {"folds": [[1, 2], [3, 4, 5, 6]]}}))
    splits = load_splits(tmp_path / "splits.json")
    lone = Record(tmp_path / "x.png", "unsplit", "9", "genuine", 1)
    found = evaluation_signers([lone], ["cedar-half"], splits)
    assert {"cedar-half/1", "cedar-half/2", "unsplit/9"} < found
    trained = {f"cedar-half/{signer}" for signer in (3, 4, 5, 6)} - found
    assert len(trained) == 2, "two of the four are validation signers"
