"""The folder of plans: a plan is loaded only when it is whole and everything in its key is as here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import EngineError, EngineUnavailableError
from sigedge_runtime.manifest import Artifact
from sigedge_runtime.tensorrt.plans import BuildFacts, PlanFolder, PlanKey, default_folder

PLAN = bytes(range(256)) * 4
FACTS = BuildFacts(build_seconds=1.5, layers=7, workspace_mib=None, timing_cache=False)
OTHER = {
    "artifact_sha256": "cd" * 32,
    "precision": "int8",
    "input_shape": (1, 1, 64, 128),
    "output_shape": (1, 16),
    "flavour": "tensorrt_rtx",
    "version": "10.7.0",
    "gpu": "Another GPU",
    "compute_capability": "8.9",
}


@pytest.fixture(scope="module")
def artifact(master_bundle: Path) -> Artifact:
    with Bundle.open(master_bundle) as bundle:
        return bundle.artifact("tiny-float32-onnx")


@pytest.fixture
def plans(tmp_path: Path) -> PlanFolder:
    return PlanFolder(tmp_path / "not" / "there yet")


@pytest.fixture(scope="module")
def key(artifact: Artifact) -> PlanKey:
    return PlanKey(artifact.sha256, "float32", (1, 1, 128, 256), (1, 8), "tensorrt", "10.3.0", "Orin", "8.7")


def test_a_stored_plan_is_loaded(plans: PlanFolder, artifact: Artifact, key: PlanKey) -> None:
    record = plans.store(artifact, key, PLAN, FACTS)
    assert plans.load(artifact, key) == PLAN
    assert plans.find(artifact, key) == record
    assert (record.key, record.size, record.artifact, record.layers) == (key, len(PLAN), "tiny-float32-onnx", 7)
    assert {path.name for path in plans.folder.iterdir()} == {
        f"tiny-float32-onnx-{key.digest}.plan",
        f"tiny-float32-onnx-{key.digest}.json",
    }
    assert plans.folder.stat().st_mode & 0o077 == 0, "plans are machine code"


def test_the_other_values_cover_the_key(key: PlanKey) -> None:
    assert set(OTHER) == {field.name for field in fields(PlanKey)}
    assert all(getattr(key, name) != value for name, value in OTHER.items())


@pytest.mark.parametrize("name", OTHER)
def test_a_plan_that_differs_in_anything_is_refused_by_name(
    plans: PlanFolder, artifact: Artifact, key: PlanKey, name: str
) -> None:
    plans.store(artifact, replace(key, **{name: OTHER[name]}), PLAN, FACTS)
    with pytest.raises(
        EngineUnavailableError,
        match=rf"does not fit \({name} .* instead of .*\); build it here with: sigedge build-engine BUNDLE --precision",
    ):
        plans.load(artifact, key)
    assert plans.find(artifact, key) is None


@pytest.mark.parametrize("name", OTHER)
def test_a_plan_under_the_name_of_another_is_refused(
    plans: PlanFolder, artifact: Artifact, key: PlanKey, name: str
) -> None:
    other = replace(key, **{name: OTHER[name]})
    plans.store(artifact, other, PLAN, FACTS)
    for suffix in (".plan", ".json"):
        plans.path(artifact, other).with_suffix(suffix).rename(plans.path(artifact, key).with_suffix(suffix))
    with pytest.raises(EngineUnavailableError, match=rf"built for another machine or model \({name} "):
        plans.load(artifact, key)


def test_the_nearest_plan_is_the_one_compared_with(plans: PlanFolder, artifact: Artifact, key: PlanKey) -> None:
    plans.store(artifact, replace(key, version="10.7.0"), PLAN, FACTS)
    plans.store(artifact, replace(key, version="11.0.0", gpu="Thor", compute_capability="11.0"), PLAN, FACTS)
    with pytest.raises(EngineUnavailableError, match=r"\(version 10\.7\.0 instead of 10\.3\.0\)"):
        plans.load(artifact, key)


def test_a_missing_plan_names_the_folder_and_the_command(plans: PlanFolder, artifact: Artifact, key: PlanKey) -> None:
    with pytest.raises(EngineUnavailableError, match=r"No TensorRT plan of tiny-float32-onnx is in .*there yet; build"):
        plans.load(artifact, key)
    assert not plans.folder.exists(), "looking makes nothing"


def test_plans_of_an_artefact_whose_name_begins_alike_are_none_of_ours(
    plans: PlanFolder, artifact: Artifact, key: PlanKey
) -> None:
    plans.store(replace(artifact, name="tiny-float32-onnx-2"), replace(key, gpu="Thor"), PLAN, FACTS)
    with pytest.raises(EngineUnavailableError, match="No TensorRT plan"):
        plans.load(artifact, key)


def write(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [lambda plan: plan[:-1], lambda plan: b"", lambda plan: plan + b"\0", lambda plan: b"\xff" + plan[1:]],
    ids=["truncated", "empty", "longer", "one byte changed"],
)
def test_a_damaged_plan_is_refused(
    plans: PlanFolder, artifact: Artifact, key: PlanKey, change: Callable[[bytes], bytes]
) -> None:
    plans.store(artifact, key, PLAN, FACTS)
    write(plans.path(artifact, key), change)
    with pytest.raises(EngineError, match=r"\.plan is damaged: .*; build it here with"):
        plans.load(artifact, key)
    assert plans.find(artifact, key) is None


@given(position=st.integers(0, len(PLAN) - 1), bit=st.integers(0, 7))
def test_no_changed_bit_passes(plans: PlanFolder, artifact: Artifact, key: PlanKey, position: int, bit: int) -> None:
    path = plans.path(artifact, key)
    if not path.exists():
        plans.store(artifact, key, PLAN, FACTS)
    spoilt = bytearray(PLAN)
    spoilt[position] ^= 1 << bit
    path.write_bytes(spoilt)
    with pytest.raises(EngineError, match="is damaged"):
        plans.load(artifact, key)


@pytest.mark.parametrize(
    "content",
    [None, "", "[]", "{}", "\udcff", json.dumps({"format_version": 1}), "same but version 2"],
)
def test_a_plan_without_a_sound_record_counts_as_missing(
    plans: PlanFolder, artifact: Artifact, key: PlanKey, content: str | None
) -> None:
    plans.store(artifact, key, PLAN, FACTS)
    record = plans.path(artifact, key).with_suffix(".json")
    if content == "same but version 2":
        content = record.read_text().replace('"format_version": 1', '"format_version": 2')
    record.unlink() if content is None else record.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(EngineUnavailableError, match="No TensorRT plan"):
        plans.load(artifact, key)


def test_a_record_without_its_plan_counts_as_missing(plans: PlanFolder, artifact: Artifact, key: PlanKey) -> None:
    plans.store(artifact, key, PLAN, FACTS)
    plans.path(artifact, key).unlink()
    with pytest.raises(EngineUnavailableError, match="build it here"):
        plans.load(artifact, key)


def test_storing_again_replaces(plans: PlanFolder, artifact: Artifact, key: PlanKey) -> None:
    plans.store(artifact, key, PLAN, FACTS)
    plans.store(artifact, key, PLAN[::-1], FACTS)
    assert plans.load(artifact, key) == PLAN[::-1]
    assert len(list(plans.folder.iterdir())) == 2


def test_an_interrupted_store_leaves_no_plan_that_loads(
    plans: PlanFolder, artifact: Artifact, key: PlanKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans.store(artifact, key, PLAN, FACTS)

    def interrupted(path: Path, content: bytes) -> Path:
        if path.suffix == ".json":
            raise KeyboardInterrupt
        return write_atomically(path, content)

    monkeypatch.setattr("sigedge_runtime.tensorrt.plans.write_atomically", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plans.store(artifact, key, PLAN[::-1], FACTS)
    assert plans.find(artifact, key) is None


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, artifact: Artifact, key: PlanKey) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"file of TensorRT plans cannot be written to .*--cache"):
        PlanFolder(tmp_path / "file").store(artifact, key, PLAN, FACTS)
    with pytest.raises(EngineError, match="cannot be written to"):
        PlanFolder(tmp_path / "file").store_timings(key, b"x")


def test_timings_go_by_library_and_gpu_alone(plans: PlanFolder, key: PlanKey) -> None:
    assert plans.load_timings(key) is None
    plans.store_timings(key, b"timings")
    for name in ("artifact_sha256", "precision", "input_shape", "output_shape"):
        assert plans.load_timings(replace(key, **{name: OTHER[name]})) == b"timings"
    for name in ("flavour", "version", "gpu", "compute_capability"):
        assert plans.load_timings(replace(key, **{name: OTHER[name]})) is None


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"SIGEDGE_TENSORRT_CACHE": "/plans", "XDG_CACHE_HOME": "/cache"}, "/plans"),
        ({"XDG_CACHE_HOME": "/cache"}, "/cache/sigedge/tensorrt"),
        ({"XDG_CACHE_HOME": "cache", "HOME": "/home/ada"}, "/home/ada/.cache/sigedge/tensorrt"),
        ({"HOME": "/home/ada"}, "/home/ada/.cache/sigedge/tensorrt"),
    ],
)
def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str) -> None:
    for name in ("SIGEDGE_TENSORRT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_folder() == PlanFolder().folder == Path(folder)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("SIGEDGE_TENSORRT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(EngineError, match="set SIGEDGE_TENSORRT_CACHE"):
        default_folder()
