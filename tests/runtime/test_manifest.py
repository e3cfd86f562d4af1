"""Manifests: what is written is read back, everything else is refused by name, and the schema agrees."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sigedge_runtime import decision, manifest
from sigedge_runtime._records import parse_json
from sigedge_runtime.bundle import MANIFEST
from sigedge_runtime.decision import Calibration, Decision, EnrolmentBound, OperatingPoint
from sigedge_runtime.errors import BundleError
from sigedge_runtime.manifest import Artifact, Manifest, ModelInfo, Quantization, Rejection, Tensor, is_safe_path
from sigedge_runtime.matching import COSINE, LocalMatching
from sigedge_runtime.preprocessing import PreprocessSpec

SCHEMA: dict[str, Any] = json.loads((files("sigedge_runtime") / "manifest.schema.json").read_text(encoding="utf-8"))
# A way to match the embeddings of the tiny bundle, which have 8 numbers.
MATCHING = {"rows": 2, "columns": 2, "reach_rows": 0, "reach_columns": 1}
BOUNDS = [
    {"references": 1, "outlier_score": 0.4, "consistency_deciles": []},
    {"references": 2, "outlier_score": 0.2, "consistency_deciles": [-0.1, 0, 0.1, 0.2, 0.3, 0.3, 0.4, 0.5, 1]},
]
Change = Callable[[dict[str, Any]], object]


def set_at(*path: str | int, to: Any) -> Change:
    """A change that sets the value at a path."""

    def change(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = to

    return change


# Each change, and a word of the sentence it must cause. Both the dataclasses and the schema must refuse it.
BOTH_REFUSE: dict[str, tuple[Change, str]] = {
    "missing field": (lambda data: data.pop("tools"), "lacks tools"),
    "unknown field": (set_at("colour", to=1), "unknown fields colour"),
    "unknown nested field": (set_at("model", "colour", to=1), "model has unknown fields colour"),
    "number as text": (set_at("model", "parameters", to="12"), r"model\.parameters must be int, not str"),
    "bool as number": (set_at("model", "parameters", to=True), "not bool"),
    "fraction as integer": (set_at("model", "parameters", to=1.5), "must be int, not float"),
    "null": (set_at("model", to=None), "must be an object, not null"),
    "list as object": (set_at("files", to=[]), "must be an object, not list"),
    "object as list": (set_at("artifacts", to={}), "must be a list, not dict"),
    "old version": (set_at("format_version", to=0), "format_version must be 1"),
    "newer version": (set_at("format_version", to=2), "newer than 1"),
    "date": (set_at("created", to="yesterday"), "ISO 8601"),
    "no artefacts": (set_at("artifacts", to=[]), "must not be empty"),
    "no parameters": (set_at("model", "parameters", to=0), "must be positive"),
    "no output": (set_at("model", "output_size", to=0), "must be positive"),
    "name of the model": (set_at("model", "name", to="a:b"), "must be letters"),
    "hash of the checkpoint": (set_at("model", "checkpoint_sha256", to="AB" * 32), "64 lower-case"),
    "task": (set_at("model", "task", to="juggling"), "not one of verification"),
    "measure of rejection": (
        set_at("model", "rejection", to={"measure": "mood", "threshold": 0.0}),
        "not one of max_logit",
    ),
    "preprocessing": (set_at("preprocess", "canvas_width", to="wide"), "integers"),
    "preprocessing version": (set_at("preprocess", "version", to=99), "version 99"),
    "tool version": (set_at("tools", "numpy", to=1), r"tools\.numpy must be str"),
    "path upwards": (set_at("card", to="../CARD.md"), "CARD"),
    "file upwards": (set_at("files", "../x", to="0" * 64), "relative path"),
    "file with a bad sum": (set_at("files", "CARD.md", to="0"), "64 lower-case"),
    "name of an artefact": (set_at("artifacts", 0, "name", to=""), "must be letters"),
    "absolute artefact": (set_at("artifacts", 0, "file", to="/etc/passwd"), "relative path"),
    "format": (set_at("artifacts", 0, "format", to="pickle"), "not one of tflite"),
    "precision": (set_at("artifacts", 0, "precision", to="int4"), "not one of float32"),
    "size": (set_at("artifacts", 0, "size", to=0), "size must be positive"),
    "tolerance of nothing": (set_at("artifacts", 0, "score_tolerance", to=0), "score_tolerance"),
    "tolerance of anything": (set_at("artifacts", 0, "score_tolerance", to=2.1), "score_tolerance"),
    "tensor without name": (set_at("artifacts", 0, "input", "name", to=""), "name must not be empty"),
    "batch of two": (set_at("artifacts", 0, "input", "shape", to=[2, 1, 128, 256]), "batch size of 1"),
    "negative side": (set_at("artifacts", 0, "input", "shape", to=[1, 1, -128, 256]), "positive"),
    "flat input": (set_at("artifacts", 0, "input", "shape", to=[1, 32768]), "does not fit layout"),
    "layout of the input": (set_at("artifacts", 0, "input", "layout", to="HWC"), "layout is 'HWC'"),
    "float64 input": (set_at("artifacts", 0, "input", "dtype", to="float64"), r"input\.dtype is 'float64'"),
    "int8 input": (set_at("artifacts", 0, "input", "dtype", to="int8"), r"input\.dtype is 'int8'"),
    "float16 output": (set_at("artifacts", 0, "output", "dtype", to="float16"), r"output\.dtype"),
    "deep output": (set_at("artifacts", 0, "output", "shape", to=[1, 8, 1]), "does not fit layout"),
    "integers without a scale": (set_at("artifacts", 0, "output", "dtype", to="int8"), "goes with integer"),
    "floats with a scale": (
        set_at("artifacts", 0, "output", "quantization", to={"scale": 0.1, "zero_point": 0}),
        "goes with integer",
    ),
    "scale of zero": (set_at("artifacts", 3, "input", "quantization", "scale", to=0), "scale must be"),
    "zero point": (set_at("artifacts", 3, "input", "quantization", "zero_point", to=256), "zero_point must be"),
    "fusion": (set_at("decision", "fusion", to="median"), "fusion is 'median'"),
    "no operating points": (set_at("decision", "operating_points", to=[]), "not one of"),
    "unnamed operating point": (set_at("decision", "operating_points", 0, "name", to=""), "must not be empty"),
    "threshold": (set_at("decision", "operating_points", 0, "threshold", to=2.1), "between -2 and 2"),
    "consistency weight": (set_at("decision", "consistency_weight", to=1.5), "between 0 and 1"),
    "error rate": (set_at("decision", "operating_points", 0, "far", to=5), "between 0 and 1"),
    "no references": (set_at("decision", "operating_points", 0, "references", to=0), "at least 1"),
    "no calibration": (set_at("decision", "calibrations", to=[]), "must not be empty"),
    "calibrated for nothing": (set_at("decision", "calibrations", 0, "references", to=0), "at least 1"),
    "falling calibration": (set_at("decision", "calibrations", 0, "slope", to=-1), "slope must be"),
    "matching by name": (set_at("decision", "matching", to="cells"), r"decision\.matching must be an object, not str"),
    "matching without a reach": (set_at("decision", "matching", to={"rows": 2, "columns": 2}), "lacks reach_columns"),
    "matching of something else": (set_at("decision", "matching", to={**MATCHING, "x": 1}), "unknown fields x"),
    "grid without rows": (set_at("decision", "matching", to={**MATCHING, "rows": 0}), "at least 1"),
    "grid without columns": (set_at("decision", "matching", to={**MATCHING, "columns": -2}), "at least 1"),
    "half a row": (set_at("decision", "matching", to={**MATCHING, "rows": 0.5}), "rows must be int, not float"),
    "a truth as columns": (set_at("decision", "matching", to={**MATCHING, "columns": True}), "int, not bool"),
    "negative reach": (set_at("decision", "matching", to={**MATCHING, "reach_rows": -1}), "reach must be at least 0"),
    "bounds by name": (set_at("decision", "enrolment_bounds", to="usual"), "must be a list, not str"),
    "no bounds": (set_at("decision", "enrolment_bounds", to=[]), "enrolment_bounds must not be empty"),
    "a bound of something else": (
        set_at("decision", "enrolment_bounds", to=[{**BOUNDS[0], "x": 1}]),
        r"enrolment_bounds\[0\] has unknown fields x",
    ),
    "a bound without deciles": (
        set_at("decision", "enrolment_bounds", to=[{"references": 1, "outlier_score": 0}]),
        "lacks consistency_deciles",
    ),
    "a bound for nothing": (
        set_at("decision", "enrolment_bounds", to=[{**BOUNDS[0], "references": 0}]),
        "references must be at least 1",
    ),
    "an outlier beyond all scores": (
        set_at("decision", "enrolment_bounds", to=[{**BOUNDS[0], "outlier_score": -2.1}]),
        "outlier_score must be between -2 and 2",
    ),
    "eight deciles": (
        set_at("decision", "enrolment_bounds", to=[{**BOUNDS[1], "consistency_deciles": [0.5] * 8}]),
        "must hold 9 values for 2 references",
    ),
    "a decile beyond all similarities": (
        set_at("decision", "enrolment_bounds", to=[{**BOUNDS[1], "consistency_deciles": [0.5] * 8 + [1.1]}]),
        "consistency_deciles must be between -1 and 1",
    ),
    "sent back for nothing": (set_at("decision", "sign_again_below", to=0), "sign_again_below must be above 0"),
    "sent back whatever it is": (set_at("decision", "sign_again_below", to=1.01), "at most 1"),
    "sent back by name": (set_at("decision", "sign_again_below", to="poor"), "must be float, not str"),
    "no reach": (set_at("decision", "matching", to={**MATCHING, "reach_columns": None}), "int, not null"),
}

# Rules between fields, which a schema cannot say.
DATACLASSES_REFUSE: dict[str, tuple[Change, str]] = {
    "no such default": (set_at("decision", "default_operating_point", to="lax"), "not one of balanced, high-security"),
    "one point twice": (
        lambda d: d["decision"]["operating_points"].append(d["decision"]["operating_points"][0]),
        "twice",
    ),
    "one calibration twice": (
        lambda d: d["decision"]["calibrations"].append(d["decision"]["calibrations"][0]),
        "twice",
    ),
    "one bound twice": (set_at("decision", "enrolment_bounds", to=[BOUNDS[1], BOUNDS[1]]), "twice"),
    "deciles that fall": (
        set_at("decision", "enrolment_bounds", 1, "consistency_deciles", to=[0.5] * 8 + [0.4]),
        "must not fall",
    ),
    "deciles of one reference": (
        set_at("decision", "enrolment_bounds", 0, "consistency_deciles", to=[0.5] * 9),
        "must hold 0 values for 1 references",
    ),
    "one artefact twice": (lambda d: d["artifacts"].append(d["artifacts"][0]), "twice"),
    "card not listed": (set_at("card", to="OTHER.md"), "files lacks 'OTHER.md'"),
    "vectors not listed": (set_at("vectors", to="v.json"), "files lacks 'v.json'"),
    "another sum": (set_at("artifacts", 0, "sha256", to="0" * 64), "does not list"),
    "folder not listed": (set_at("artifacts", 0, "format", to="saved_model"), "does not list"),
    "another canvas": (set_at("preprocess", "canvas_height", to=64), "does not take a 64x256 canvas"),
    "another layout": (set_at("artifacts", 0, "input", "layout", to="NHWC"), "does not take"),
    "a verifier without a decision": (set_at("decision", to=None), "decision does not fit the task verification"),
    "a verifier without preprocessing": (set_at("preprocess", to=None), "preprocess does not fit"),
    "a verifier with labels": (set_at("model", "labels", to=["a"]), "labels must name 0 outputs"),
    "a verifier that rejects classes": (
        set_at("model", "rejection", to={"measure": "energy", "threshold": 0.0}),
        "belongs to a classifier",
    ),
    "another task": (set_at("model", "task", to="image"), "decision does not fit the task image"),
    "another output": (set_at("model", "output_size", to=9), "does not return 9 values"),
    "no vector for every cell": (
        set_at("decision", "matching", to={**MATCHING, "rows": 3}),
        "output_size must hold a vector for each of 6 cells",
    ),
}


def read(data: object) -> Manifest:
    return Manifest.from_json(json.dumps(data))


def test_a_manifest_survives_the_way_through_json(master_bundle: Path) -> None:
    text = (master_bundle / MANIFEST).read_text(encoding="utf-8")
    found = Manifest.from_json(text)
    assert found.to_json() == text
    assert Manifest.from_json(found.to_json()) == found
    assert Manifest.from_dict(found.to_dict()) == found
    assert isinstance(found.preprocess, PreprocessSpec)
    assert text.endswith("}\n") and list(json.loads(text)) == sorted(json.loads(text))


def test_the_schema_accepts_a_manifest(manifest_data: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(manifest_data)


@pytest.mark.parametrize("name", list(BOTH_REFUSE))
def test_dataclasses_and_schema_refuse(name: str, manifest_data: dict[str, Any]) -> None:
    change, word = BOTH_REFUSE[name]
    change(manifest_data)
    with pytest.raises(BundleError, match=word) as raised:
        read(manifest_data)
    assert ";" in str(raised.value) and str(raised.value).endswith(".")
    assert not Draft202012Validator(SCHEMA).is_valid(manifest_data)


@pytest.mark.parametrize("name", list(DATACLASSES_REFUSE))
def test_dataclasses_refuse_what_does_not_fit_together(name: str, manifest_data: dict[str, Any]) -> None:
    change, word = DATACLASSES_REFUSE[name]
    change(manifest_data)
    with pytest.raises(BundleError, match=word):
        read(manifest_data)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data["decision"].pop("matching"), None),
        (set_at("decision", "matching", to=None), None),
        (set_at("decision", "matching", to=MATCHING), LocalMatching(2, 2, 0, 1)),
        (set_at("decision", "matching", to={**MATCHING, "reach_rows": 99}), LocalMatching(2, 2, 99, 1)),
    ],
)
def test_a_matching_may_be_left_out(change: Change, expected: LocalMatching | None, manifest_data: Any) -> None:
    change(manifest_data)
    Draft202012Validator(SCHEMA).validate(manifest_data)
    found = read(manifest_data)
    assert found.verification.matching == expected
    assert found.verification.similarity == (expected or COSINE)
    assert Manifest.from_json(found.to_json()) == found
    assert "matching" in found.to_dict()["decision"], "what is written leaves nothing to be guessed"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("enrolment_bounds", None, None),
        (
            "enrolment_bounds",
            BOUNDS,
            (EnrolmentBound(1, 0.4, ()), EnrolmentBound(2, 0.2, (-0.1, 0.0, 0.1, 0.2, 0.3, 0.3, 0.4, 0.5, 1.0))),
        ),
        ("sign_again_below", None, None),
        ("sign_again_below", 0.25, 0.25),
        ("sign_again_below", 1, 1.0),
    ],
)
def test_older_bundles_know_nothing_of_enrolments_and_poor_pictures(
    name: str, value: object, expected: object, manifest_data: Any
) -> None:
    set_at("decision", name, to=value)(manifest_data)
    Draft202012Validator(SCHEMA).validate(manifest_data)
    found = read(manifest_data)
    assert getattr(found.verification, name) == expected
    assert Manifest.from_json(found.to_json()) == found
    if value is None:
        del manifest_data["decision"][name]
        Draft202012Validator(SCHEMA).validate(manifest_data)
        assert read(manifest_data) == found


def test_a_consistency_weight_needs_bounds_for_two_references() -> None:
    points = tuple(OperatingPoint("a", count, 0.5, 0.1, 0.1) for count in (1, 2))
    rule = Decision("mean", "a", points, (Calibration(1, 1.0, 0.0), Calibration(2, 1.0, 0.0)), 0.5)
    two = EnrolmentBound(2, 0.2, (0.0,) * 9)
    assert replace(rule, enrolment_bounds=(two,)).enrolment_bound(1) == two
    with pytest.raises(ValueError, match="consistency_weight needs every entry for 2 references"):
        replace(rule, enrolment_bounds=(EnrolmentBound(1, 0.4, ()),))


def test_a_whole_number_counts_as_a_float(manifest_data: dict[str, Any]) -> None:
    manifest_data["decision"]["operating_points"][0]["threshold"] = 1
    threshold = read(manifest_data).decision.operating_points[0].threshold
    assert threshold == 1.0 and isinstance(threshold, float)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "must be an object, not list"),
        ('{"a": 1, "a": 2}', "names one key twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"a": 1e999}', "1e999 is too large"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_what_is_no_manifest_is_refused(text: str, word: str) -> None:
    with pytest.raises(BundleError, match=word):
        Manifest.from_json(text)


def test_a_manifest_that_json_cannot_hold_is_not_written(manifest_data: dict[str, Any]) -> None:
    found = read(manifest_data)
    for value in (float("nan"), object()):
        with pytest.raises(BundleError, match="cannot be written as JSON"):
            replace(found, training={"loss": value}).to_json()


def paths(value: Any, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """All places in a JSON value but the free-form ones."""
    if prefix == ("training",):
        return [prefix]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [prefix, *(path for key, item in items for path in paths(item, (*prefix, key)))]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-300, 300) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(data=st.data())
def test_no_value_anywhere_crashes_the_reader(data: st.DataObject, manifest_data: dict[str, Any]) -> None:
    changed = copy.deepcopy(manifest_data)
    path = data.draw(st.sampled_from(paths(changed)))
    value = data.draw(json_values)
    if path:
        set_at(*path, to=value)(changed)
    else:
        changed = value
    try:
        found = Manifest.from_dict(changed)
    except BundleError:
        return
    # What the dataclasses accept, the schema accepts, too.
    Draft202012Validator(SCHEMA).validate(found.to_dict())


@pytest.mark.parametrize(
    ("definition", "record"),
    [
        ("model", ModelInfo),
        ("rejection", Rejection),
        ("quantization", Quantization),
        ("tensor", Tensor),
        ("artifact", Artifact),
        ("operating_point", OperatingPoint),
        ("calibration", Calibration),
        ("matching", LocalMatching),
        ("enrolment_bound", EnrolmentBound),
        ("decision", Decision),
        ("preprocess", PreprocessSpec),
        (None, Manifest),
    ],
)
def test_the_schema_names_the_fields_of_the_dataclasses(definition: str | None, record: type) -> None:
    part = SCHEMA if definition is None else SCHEMA["$defs"][definition]
    names = {field.name for field in fields(record)}
    assert set(part["properties"]) == names
    assert set(part["required"]) == {field.name for field in fields(record) if field.default is not None}
    assert part["additionalProperties"] is False


def test_the_schema_names_the_values_of_the_dataclasses() -> None:
    definitions = SCHEMA["$defs"]
    assert tuple(definitions["artifact"]["properties"]["format"]["enum"]) == manifest.FORMATS
    assert tuple(definitions["artifact"]["properties"]["precision"]["enum"]) == manifest.PRECISIONS
    assert tuple(definitions["decision"]["properties"]["fusion"]["enum"]) == decision.FUSIONS
    assert tuple(definitions["model"]["properties"]["task"]["enum"]) == manifest.TASKS
    assert tuple(definitions["rejection"]["properties"]["measure"]["enum"]) == manifest.REJECTIONS
    assert tuple(definitions["tensor"]["properties"]["layout"]["enum"]) == manifest.LAYOUTS
    assert tuple(definitions["input"]["properties"]["dtype"]["enum"]) == manifest.INPUT_DTYPES
    assert set(definitions["tensor"]["properties"]["dtype"]["enum"]) == {
        *manifest.INPUT_DTYPES,
        *manifest.OUTPUT_DTYPES,
    }
    assert SCHEMA["properties"]["format_version"]["const"] == manifest.FORMAT_VERSION
    assert definitions["preprocess"]["properties"]["version"]["const"] == PreprocessSpec().version


@pytest.mark.parametrize("path", ["a", "a/b.c", ".hidden", "a/..b", "a b/c"])
def test_safe_paths(path: str) -> None:
    assert is_safe_path(path)
    assert Draft202012Validator(SCHEMA["$defs"]["path"]).is_valid(path)


@pytest.mark.parametrize(
    "path", ["", ".", "..", "/", "/a", "a/", "a//b", "./a", "a/./b", "a/../b", "../a", "a\\b", "C:a", "a\0b"]
)
def test_unsafe_paths(path: str) -> None:
    assert not is_safe_path(path)
    assert not Draft202012Validator(SCHEMA["$defs"]["path"]).is_valid(path)


@given(path=st.text("ab./\\:", max_size=8))
def test_the_schema_agrees_on_paths(path: str) -> None:
    assert is_safe_path(path) == Draft202012Validator(SCHEMA["$defs"]["path"]).is_valid(path)


def point(name: str, references: int) -> OperatingPoint:
    return OperatingPoint(name, references, references / 10, 0.1, 0.1)


RULE = Decision(
    "mean",
    "a",
    (point("a", 1), point("a", 5), point("a", 3), point("b", 4)),
    (Calibration(2, 1.0, 0.0), Calibration(8, 2.0, 0.0)),
)


@pytest.mark.parametrize(("count", "chosen"), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (99, 5)])
def test_the_operating_point_with_most_references_not_above_counts(count: int, chosen: int) -> None:
    assert RULE.operating_point("a", count).references == chosen


def test_without_such_a_point_the_one_with_fewest_references_counts() -> None:
    assert RULE.operating_point("b", 1).references == 4
    assert RULE.calibration(1).references == 2


@pytest.mark.parametrize(("count", "slope"), [(2, 1.0), (7, 1.0), (8, 2.0), (80, 2.0)])
def test_the_calibration_is_chosen_likewise(count: int, slope: float) -> None:
    assert RULE.calibration(count).slope == slope


@pytest.mark.parametrize(("count", "chosen"), [(1, 1), (2, 2), (3, 2), (4, 4), (50, 4)])
def test_the_enrolment_bound_is_chosen_likewise(count: int, chosen: int) -> None:
    bounds = tuple(EnrolmentBound(one, 0.0, (0.5,) * 9 if one > 1 else ()) for one in (2, 1, 4))
    found = replace(RULE, enrolment_bounds=bounds).enrolment_bound(count)
    assert found is not None and found.references == chosen
    assert RULE.enrolment_bound(count) is None


def test_an_unknown_operating_point_lists_the_known() -> None:
    assert RULE.names == ("a", "b")
    with pytest.raises(BundleError, match="no operating point 'c'; choose one of a, b"):
        RULE.operating_point("c", 1)


def test_a_decision_survives_the_way_through_a_dictionary() -> None:
    bounds = (EnrolmentBound(1, -0.3, ()), EnrolmentBound(3, 0.2, (0.5,) * 9))
    for rule in (
        RULE,
        replace(RULE, matching=LocalMatching(2, 2, 0, 1), enrolment_bounds=bounds, sign_again_below=0.3),
    ):
        assert Decision.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule
    older = RULE.to_dict()
    for optional in ("matching", "enrolment_bounds", "sign_again_below"):
        del older[optional]
    assert Decision.from_dict(older) == RULE
    with pytest.raises(BundleError, match=r"the checkpoint's decision\.fusion must be str"):
        Decision.from_dict({**RULE.to_dict(), "fusion": 3}, "the checkpoint's decision")


def test_parse_json_returns_plain_values() -> None:
    assert parse_json('{"a": [1, 2.5, null, "x"]}', "here") == {"a": [1, 2.5, None, "x"]}
