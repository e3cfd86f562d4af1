"""Exceptions that a model declares for its own export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sigedge_export import choose_targets, load_options
from sigedge_export.options import NO_FLOAT_LAYERS
from sigedge_export.targets import TARGETS
from sigedge_models import names
from sigedge_runtime.errors import CheckpointError, ExportError


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to write, which is then the export.json of an architecture named net."""
    monkeypatch.setattr("sigedge_export.options.model_folder", lambda _: tmp_path)
    return tmp_path / "export.json"


def test_a_model_that_says_nothing_offers_all_but_mixed_precision(declare: Path) -> None:
    options = load_options("net")
    assert options.not_offered == {"mixed-tflite": NO_FLOAT_LAYERS}
    assert len(choose_targets(declined=options.not_offered)) == len(TARGETS) - 1
    with pytest.raises(ExportError, match="names no float_layers"):
        choose_targets(["tflite"], ["mixed"], options.not_offered)


def test_what_is_declared_is_read(declare: Path) -> None:
    declare.write_text(json.dumps({"not_offered": {"int8-onnx": "diverges"}, "float_layers": ["a", "b"]}))
    options = load_options("net")
    assert options.not_offered == {"int8-onnx": "diverges"}
    assert options.float_layers == ("a", "b")


def test_a_reason_of_the_model_stands_before_the_general_one(declare: Path) -> None:
    declare.write_text(json.dumps({"not_offered": {"mixed-tflite": "too large"}}))
    assert load_options("net").not_offered == {"mixed-tflite": "too large"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"speed": 1}',
        '{"not_offered": []}',
        '{"not_offered": {"a": 1}}',
        '{"float_layers": [3]}',
        '{"float_layers": 3}',
    ],
)
def test_a_damaged_file_is_a_sentence(declare: Path, content: str) -> None:
    declare.write_text(content)
    with pytest.raises(ExportError, match=r"export\.json cannot be read .*not_offered"):
        load_options("net")


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(CheckpointError, match="no architecture named 'wings'"):
        load_options("wings")


@pytest.mark.parametrize("architecture", names())
def test_every_architecture_declares_only_what_there_is(architecture: str) -> None:
    options = load_options(architecture)
    assert set(options.not_offered) <= {target.key for target in TARGETS}
    assert len(set(options.float_layers)) == len(options.float_layers)
