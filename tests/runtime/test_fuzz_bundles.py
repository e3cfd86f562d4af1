"""Bundles from strangers: damaged manifests, vectors, metadata and zip files end in a BundleError.

Model files are another matter: the native interpreters trust them. So the sums must stop a damaged one before that.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigedge.fuzzing import formats, targets
from sigedge.fuzzing.campaign import run
from sigedge.fuzzing.cases import CASES
from sigedge.fuzzing.mutations import mutate
from sigedge_runtime import network_vectors
from sigedge_runtime._records import parse_json
from sigedge_runtime.bundle import MANIFEST, Bundle
from sigedge_runtime.errors import BundleError, BundleIntegrityError, SigedgeError
from sigedge_runtime.manifest import Manifest
from sigedge_runtime.metadata import read_metadata
from sigedge_runtime.selftest import replay
from sigedge_runtime.signing import Signature
from sigedge_runtime.vectors import Vectors
from sigedge_runtime.verifier import Verifier

SEED = 20_26
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("kind", "count", "megabytes"),
    [("mutated manifests", 600, 64), ("mutated artefacts", 2000, 64), ("mutated bundles", 120, 64)],
)
def test_damage_is_answered_by_a_bundle_error(kind: str, count: int, megabytes: int) -> None:
    report = run(kind, SEED, count)
    assert report.defects == [] and report.cases == count
    # Both ends of what can happen: a check that refuses all, or none, would prove nothing.
    assert report.outcomes["refused"] > count // 10
    assert report.outcomes["read"] > 0
    assert report.peak_growth_kb < megabytes * 1024


@pytest.mark.parametrize("kind", sorted(CASES))
def test_cases_can_be_made_again(kind: str) -> None:
    make = CASES[kind][1]
    assert [make(1, number) for number in range(6)] == [make(1, number) for number in range(6)]
    assert make(1, 5) != make(2, 5)


@given(value=JSON)
def test_any_json_is_no_manifest_and_no_vectors(value: Any) -> None:
    assert targets.manifest(json.dumps(value).encode()) == "refused"


@settings(max_examples=200)
@given(data=st.data())
def test_a_manifest_with_one_value_replaced_is_read_or_refused(
    manifest_data: dict[str, Any], data: st.DataObject
) -> None:
    changed = copy.deepcopy(manifest_data)
    place: Any = changed
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = inner
    assert targets.manifest(json.dumps(changed).encode()) in ("read", "refused")


@given(text=st.text(max_size=200))
def test_any_text_is_json_or_refused(text: str) -> None:
    try:
        parse_json(text, "a file")
    except BundleError as error:
        assert str(error).startswith("a file is not valid JSON")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("1" + "0" * 400, "too large"),
        ("-9223372036854775809", "too large"),
        ("9" * 5000, "digits|too large"),
        ("1e999", "too large"),
        ('"\\ud800"', "surrogates"),
        ('{"\\uDFFF": 1}', "surrogates"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_numbers_and_texts_that_nothing_can_hold_are_refused(text: str, word: str) -> None:
    with pytest.raises(BundleError, match=rf"a file is not valid JSON \(.*({word})"):
        parse_json(text, "a file")


def test_numbers_and_texts_at_the_limits_are_read() -> None:
    assert parse_json("[9223372036854775807, -9223372036854775808]", "a file") == [2**63 - 1, -(2**63)]
    assert parse_json('"\\ud83d\\ude00"', "a file") == "\N{GRINNING FACE}"


def test_an_integer_beyond_floats_in_a_manifest_is_refused(master_bundle: Path) -> None:
    text = (master_bundle / MANIFEST).read_text(encoding="utf-8")
    huge = text.replace('"far": 0.05', f'"far": 1{"0" * 400}')
    assert huge != text
    with pytest.raises(BundleError, match="is too large"):
        Manifest.from_json(huge)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hands a file to an engine fails the test."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a damaged file reached the engine")

    monkeypatch.setattr("sigedge_runtime.verifier.open_best", opened)
    monkeypatch.setattr("sigedge_runtime.network.open_best", opened)


@pytest.mark.parametrize("file", ["int8.tflite", "float32.tflite", "float32.onnx", "int8.onnx"])
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_a_damaged_model_is_refused_before_an_engine_sees_it(
    file: str, seed: int, bundle_folder: Path, no_engine: None
) -> None:
    path = bundle_folder / "artifacts" / file
    whole = path.read_bytes()
    damaged = mutate(whole, np.random.default_rng(seed))
    try:
        path.write_bytes(damaged)
        if damaged != whole:
            with pytest.raises(BundleIntegrityError, match=rf"was altered: artifacts/{file}"):
                Verifier.open(bundle_folder)
    finally:
        path.write_bytes(whole)


def test_the_whole_bundle_would_have_reached_the_engine(bundle_folder: Path, no_engine: None) -> None:
    with pytest.raises(AssertionError, match="reached the engine"):
        Verifier.open(bundle_folder)


def test_golden_vectors_that_crash_opencv_are_found_out(
    bundle_folder: Path, sign_off: Callable[..., None], expected: Any
) -> None:
    """The sums of a bundle that nobody signed vouch for nothing: its pictures are read like any stranger's."""
    bomb = formats.animated_png(256, 128, b"\x77" * (257 * 128))
    name = "vectors/canvases/s0-0.png"
    (bundle_folder / name).write_bytes(bomb)
    sign_off(bundle_folder)

    class Exact:
        """An engine that computes the reference."""

        artifact = Bundle.open(bundle_folder).manifest.artifacts[0]
        infer = staticmethod(expected)

    with Bundle.open(bundle_folder) as bundle:
        report = replay(bundle, Exact())  # type: ignore[arg-type]
    assert report.failures == ("The stored canvas of s0-0 does not have its recorded SHA-256.",)


def test_a_canvas_of_another_network_that_crashes_opencv_is_found_out(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bundle.open(bundle_folder) as bundle:
        (bundle_folder / "CARD.md").write_bytes(formats.animated_png(256, 128, b"\x77" * (257 * 128)))
        case = network_vectors.NetworkCase("one", "CARD.md", "0" * 64, "output")
        monkeypatch.setattr(network_vectors, "_path", lambda *_: bundle_folder / "CARD.md")
        with pytest.raises(BundleError, match=r"CARD\.md does not have its recorded SHA-256"):
            network_vectors._canvas(bundle, case)


@settings(max_examples=60)
@given(data=st.data())
def test_vectors_with_any_value_are_read_or_refused(master_bundle: Path, data: st.DataObject) -> None:
    whole = json.loads((master_bundle / "vectors" / "vectors.json").read_text(encoding="utf-8"))
    case = data.draw(st.sampled_from(whole["cases"] + whole["scores"]))
    case[data.draw(st.sampled_from(sorted(case)))] = data.draw(JSON)
    try:
        Vectors.from_json(json.dumps(whole))
    except SigedgeError as error:
        assert isinstance(error, BundleError) and str(error).endswith(".")


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("x" * 5000, "cannot be looked for"),
        ("a\0b", "does not exist"),
        ("\udcff", "does not exist"),
        # Endless, and memory would be full before the end is not found.
        ("/dev/zero", "neither a folder nor a file"),
        ("/proc/self/mem", "no intact zip file"),
    ],
)
def test_paths_that_lead_to_no_bundle(path: str, word: str) -> None:
    with pytest.raises(BundleError, match=word):
        Bundle.open(path)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("x" * 5000, "cannot be read"),
        ("a\0b", r"cannot be read \(embedded null byte\)"),
        ("/dev/zero", "is not a file"),
        (".", "is not a file"),
        ("/proc/self/mem", "cannot be read"),
    ],
)
def test_paths_that_lead_to_no_model_file(path: str, word: str) -> None:
    with pytest.raises(BundleError, match=word):
        read_metadata(path)


@given(data=st.one_of(st.binary(max_size=300), JSON.map(lambda value: json.dumps(value).encode())))
def test_anything_is_no_signature(data: bytes) -> None:
    with pytest.raises(BundleError) as raised:
        Signature.from_bytes(data, "manifest.sig")
    assert str(raised.value).startswith("manifest.sig")
