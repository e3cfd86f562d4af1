from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path

import pytest

from sigedge.evaluation.results import provenance, read_result, write_result
from sigedge_runtime.errors import DataError


def test_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "accuracy.json"
    write_result(path, {"b": [1.5, None], "a": {"x": "ü"}})
    assert read_result(path) == {"a": {"x": "ü"}, "b": [1.5, None]}
    assert path.read_text().index('"a"') < path.read_text().index('"b"')
    assert [file.name for file in path.parent.iterdir()] == ["accuracy.json"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.json"
    write_result(path, {"kept": True})
    with pytest.raises(ValueError, match="Out of range"):
        write_result(path, {"bad": math.nan})
    with pytest.raises(TypeError):
        write_result(path, {"bad": object()})
    assert read_result(path) == {"kept": True}
    assert [file.name for file in tmp_path.iterdir()] == ["accuracy.json"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_result(tmp_path / "file" / "a.json", {})


@pytest.mark.parametrize("content", ["", "{", "[1]", "3"])
def test_what_is_no_result_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"a\.json .*measure it again"):
        read_result(path)
    with pytest.raises(DataError, match=r"gone\.json cannot be read"):
        read_result(tmp_path / "gone.json")


def test_provenance_names_machine_versions_and_the_callers_facts() -> None:
    found = provenance(seed=3)
    assert datetime.fromisoformat(found["date"]).tzinfo is not None
    assert found["machine"]["cpu"] and found["machine"]["cores"] >= 1
    assert {"sigedge", "python", "numpy"} <= set(found["versions"])
    assert found["seed"] == 3
    json.dumps(found, allow_nan=False)
