from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.systems import verifiers
from sigedge_export import ParitySet, Tolerances, choose_targets, load_tolerances
from sigedge_export.chain import check_calibration
from sigedge_export.inputs import GENUINE, RANDOM, SKILLED, make_pairs
from sigedge_export.plan import RECIPES
from sigedge_export.targets import NOT_OFFERED, TARGETS
from sigedge_runtime.errors import ExportError
from sigedge_runtime.manifest import FORMATS, PRECISIONS, Quantization


def parity_set(labels: list[tuple[str, bool]]) -> ParitySet:
    return ParitySet(
        canvases=np.zeros((len(labels), 4, 4), np.uint8),
        signers=tuple(signer for signer, _ in labels),
        genuine=np.array([genuine for _, genuine in labels], dtype=np.bool_),
        source="test",
    )


def test_pairs_of_two_signers() -> None:
    pairs = make_pairs(parity_set([("a", True), ("a", True), ("a", False), ("b", True), ("b", True)]))
    rows = set(zip(pairs.reference.tolist(), pairs.query.tolist(), pairs.kind.tolist(), strict=True))
    assert rows == {
        (0, 1, GENUINE),
        (3, 4, GENUINE),
        (0, 2, SKILLED),
        (1, 2, SKILLED),
        (0, 3, RANDOM),
        (3, 0, RANDOM),
    }
    assert len(pairs) == 6


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), min_size=1, max_size=25))
def test_pairs_keep_their_promises(labels: list[tuple[str, bool]]) -> None:
    samples = parity_set(labels)
    try:
        pairs = make_pairs(samples)
    except ExportError:
        return
    signers = np.array(samples.signers)
    same = signers[pairs.reference] == signers[pairs.query]
    assert samples.genuine[pairs.reference].all()
    assert (pairs.reference != pairs.query).all()
    assert (same == (pairs.kind != RANDOM)).all()
    assert (samples.genuine[pairs.query] == (pairs.kind != SKILLED)).all()
    assert len({*zip(pairs.reference, pairs.query, strict=True)}) == len(pairs)
    assert (np.array(sorted(set(samples.signers)))[pairs.signer] == signers[pairs.reference]).all()


@pytest.mark.parametrize(
    "labels", [[("a", True), ("a", True)], [("a", True), ("b", True)], [("a", False), ("a", False)]]
)
def test_a_set_without_both_kinds_of_pair_is_refused(labels: list[tuple[str, bool]]) -> None:
    with pytest.raises(ExportError, match="two genuine signatures or more"):
        make_pairs(parity_set(labels))


def test_labels_must_fit_the_canvases() -> None:
    with pytest.raises(ExportError, match="one label for each canvas"):
        ParitySet(np.zeros((3, 4, 4), np.uint8), ("a", "b"), np.array([True, True]), "test")


def test_every_combination_is_made_or_declined_with_a_reason() -> None:
    offered = {target.key for target in TARGETS}
    every = {f"{precision}-{format_}" for format_ in FORMATS for precision in PRECISIONS}
    assert offered | set(NOT_OFFERED) == every
    assert not offered & set(NOT_OFFERED)


def test_all_is_everything_that_is_offered() -> None:
    assert choose_targets() == choose_targets(FORMATS, PRECISIONS) == TARGETS


def test_a_source_stands_before_what_is_made_of_it() -> None:
    keys = [target.key for target in TARGETS]
    assert set(RECIPES) == set(keys)
    assert all(
        keys.index(recipe.source) < keys.index(key) for key, recipe in RECIPES.items() if recipe.source is not None
    )


def test_what_a_model_declines_is_left_out() -> None:
    left = choose_targets(declined={"mixed-tflite": "no layers", "int8-onnx": "diverges"})
    assert {target.key for target in TARGETS} - {target.key for target in left} == {"mixed-tflite", "int8-onnx"}
    onnx = choose_targets(formats=["onnx"], declined={"int8-onnx": "diverges"})
    assert [target.key for target in onnx] == ["float32-onnx", "float16-onnx"]


@pytest.mark.parametrize(
    ("formats", "precisions"),
    [(["onnx"], ["int8"]), (["onnx", "tflite"], ["int8"]), (["onnx", "tflite"], ["float32", "int8"])],
)
def test_asking_for_what_a_model_declines_gives_its_reason(formats: list[str], precisions: list[str]) -> None:
    with pytest.raises(ExportError, match="int8-onnx: diverges"):
        choose_targets(formats, precisions, {"int8-onnx": "diverges"})


def test_a_precision_that_a_model_declines_altogether_gives_its_reason() -> None:
    with pytest.raises(ExportError, match="mixed-tflite: no layers"):
        choose_targets(None, ["float32", "mixed"], {"mixed-tflite": "no layers"})


@pytest.mark.parametrize(("key", "reason"), NOT_OFFERED.items())
def test_what_no_model_has_is_refused_by_name(key: str, reason: str) -> None:
    precision, _, format_ = key.partition("-")
    with pytest.raises(ExportError, match=re.escape(f"{key}: {reason}")):
        choose_targets([format_], [precision])


def test_the_small_bundle_is_one_file() -> None:
    (target,) = choose_targets(["tflite"], ["int8"])
    assert target.file("edgesig") == "artifacts/edgesig-int8.tflite"
    taken, given_back = target.tensors(128, 256, 64)
    assert (taken.shape, taken.dtype, taken.quantization) == ((1, 128, 256, 1), "uint8", Quantization(1.0, 0))
    assert (given_back.shape, given_back.dtype) == ((1, 64), "float32")


@pytest.mark.parametrize(
    ("formats", "precisions", "sentence"),
    [
        (["coreml"], ["int8"], "Unknown format coreml; choose among"),
        (["onnx"], ["int4"], "Unknown precision int4; choose among"),
        (["onnx"], ["float32", "mixed"], "mixed-onnx: layers are kept"),
        (["tflite", "saved_model"], ["int8"], "int8-saved_model: a SavedModel"),
        ([], [], "no format or no precision is named"),
    ],
)
def test_what_cannot_be_had_is_said(formats: list[str], precisions: list[str], sentence: str) -> None:
    with pytest.raises(ExportError, match=sentence):
        choose_targets(formats, precisions)


@pytest.mark.parametrize("architecture", verifiers())
def test_every_architecture_states_tolerances_for_every_precision(architecture: str) -> None:
    tolerances = load_tolerances(architecture)
    assert set(tolerances) == set(PRECISIONS)
    # score_tolerance of a manifest, and a share.
    assert all(0 < entry.max_score_difference <= 2 for entry in tolerances.values())
    assert all(0 <= entry.flipped_decisions <= 1 for entry in tolerances.values())


@pytest.mark.parametrize("content", ["", "[]", '{"int8": {"max_score_difference": 1}}', '{"int8": {"speed": 1}}'])
def test_unreadable_tolerances_are_a_sentence(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "parity.json").write_text(content)
    monkeypatch.setattr("sigedge_export.tolerances.model_folder", lambda name: tmp_path / name)
    with pytest.raises(ExportError, match=r"parity\.json cannot be read .* max_score_difference"):
        load_tolerances("net")


def test_tolerances_are_read_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Tolerances(0.1, 0.05, 0.01, 0.005, 0.9, 0.8)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "parity.json").write_text(json.dumps({"int8": dataclasses.asdict(limits)}))
    monkeypatch.setattr("sigedge_export.tolerances.model_folder", lambda name: tmp_path / name)
    assert load_tolerances("net") == {"int8": limits}


@pytest.mark.parametrize(
    "canvases",
    [
        None,
        np.zeros((0, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.full((3, 4, 4), 255, np.uint8),
        np.linspace(0, 255, 48).reshape(3, 4, 4),
        np.array([[0, 255]], np.uint8),
    ],
)
def test_unusable_calibration_canvases_are_refused(canvases: np.ndarray | None) -> None:  # type: ignore[type-arg]
    with pytest.raises(ExportError, match="calibration canvases"):
        check_calibration(canvases)
