"""A hop is reused exactly when nothing that its result depends on has changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_export import choose_targets
from sigedge_export.chain import Made, run_chain
from sigedge_export.hop_cache import HopCache, project_sources
from sigedge_export.options import ExportOptions
from sigedge_export.plan import Conversion, plan
from sigedge_runtime.errors import ExportError

OPTIONS = ExportOptions(float_layers=("third",))


@pytest.fixture
def hop(tmp_path: Path) -> Conversion:
    """The hop to mixed precision, with its inputs on disc."""
    conversions = plan(tmp_path / "weights", tmp_path, choose_targets(["tflite"], ["mixed"]), tmp_path / "c", OPTIONS)
    for path in conversions[-1].inputs.values():
        path.write_text(path.name)
    return conversions[-1]


def first_hop(tmp_path: Path) -> Conversion:
    checkpoint = tmp_path / "weights"
    checkpoint.write_text("weights")
    return plan(checkpoint, tmp_path, choose_targets(["onnx"], ["float32"]), tmp_path / "c", ExportOptions())[0]


def test_the_key_is_the_same_for_the_same(hop: Conversion, tmp_path: Path) -> None:
    assert HopCache(tmp_path).key(hop) == HopCache(tmp_path / "elsewhere").key(hop)


def test_the_key_does_not_depend_on_where_files_lie(hop: Conversion, tmp_path: Path) -> None:
    moved = {option: path.with_suffix(".copy") for option, path in hop.inputs.items()}
    for option, path in moved.items():
        path.write_bytes(hop.inputs[option].read_bytes())
    elsewhere = dataclasses.replace(hop, inputs=moved, output=tmp_path / "other" / "name")
    assert HopCache(tmp_path).key(elsewhere) == HopCache(tmp_path).key(hop)


@pytest.mark.parametrize("option", ["--tflite", "--calibration"])
def test_another_input_is_another_key(hop: Conversion, tmp_path: Path, option: str) -> None:
    before = HopCache(tmp_path).key(hop)
    hop.inputs[option].write_text("another")
    assert HopCache(tmp_path).key(hop) != before


def test_another_layer_is_another_key(hop: Conversion, tmp_path: Path) -> None:
    other = dataclasses.replace(hop, arguments=("--float-layer=fourth",))
    assert HopCache(tmp_path).key(other) != HopCache(tmp_path).key(hop)


def test_another_version_of_a_tool_is_another_key(
    hop: Conversion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = HopCache(tmp_path).key(hop)
    monkeypatch.setattr("sigedge_export.hop_cache.version", lambda _: "99")
    assert HopCache(tmp_path).key(hop) != before


def test_another_network_is_another_key_of_the_steps_that_read_the_checkpoint(hop: Conversion, tmp_path: Path) -> None:
    network = tmp_path / "network" / "model.py"
    network.parent.mkdir()
    network.write_text("class Model: ...")
    keys = HopCache(tmp_path, [network.parent]).key
    first = first_hop(tmp_path)
    before = keys(first), keys(hop)
    network.write_text("class Model: depth = 2")
    assert keys(first) != before[0]
    assert keys(hop) == before[1]


def test_the_code_of_a_step_is_all_it_imports_from_the_project() -> None:
    found = {path.stem for path in project_sources("sigedge_export.steps.torch_to_onnx")}
    # The last two by way of others; imports inside a function count as well.
    assert {"torch_to_onnx", "reference", "checkpoint", "registry", "errors"} <= found
    assert "onnx_to_qdq" not in found


def fill_file(path: Path) -> None:
    path.write_bytes(b"content")


def fill_folder(path: Path) -> None:
    (path / "variables").mkdir(parents=True)
    (path / "graph.pb").write_bytes(b"graph")
    (path / "variables" / "data").write_bytes(b"data")


@pytest.mark.parametrize("fill", [fill_file, fill_folder])
def test_what_was_stored_comes_back(tmp_path: Path, fill: Callable[[Path], None]) -> None:
    cache = HopCache(tmp_path / "cache")
    fill(tmp_path / "made")
    assert not cache.fetch("ab12", tmp_path / "copy")
    cache.store("ab12", tmp_path / "made")
    cache.store("ab12", tmp_path / "made")
    assert cache.fetch("ab12", tmp_path / "copy")
    files = [path.relative_to(tmp_path / "made") for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert all((tmp_path / "made" / f).read_bytes() == (tmp_path / "copy" / f).read_bytes() for f in files)
    assert not list((tmp_path / "cache").rglob(".storing-*"))


@pytest.mark.parametrize("fill", [fill_file, fill_folder])
def test_a_damaged_result_is_not_taken_and_can_be_replaced(tmp_path: Path, fill: Callable[[Path], None]) -> None:
    cache = HopCache(tmp_path / "cache")
    fill(tmp_path / "made")
    cache.store("ab12", tmp_path / "made")
    entry = tmp_path / "cache" / "ab" / "ab12"
    damaged = next(path for path in sorted((entry).rglob("*")) if path.is_file() and path.name != "sha256")
    damaged.write_bytes(b"x")
    assert not cache.fetch("ab12", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    cache.store("ab12", tmp_path / "made")
    assert cache.fetch("ab12", tmp_path / "copy")


@pytest.mark.parametrize("lost", ["sha256", "content"])
def test_half_an_entry_counts_for_none(tmp_path: Path, lost: str) -> None:
    cache = HopCache(tmp_path / "cache")
    fill_file(tmp_path / "made")
    cache.store("ab12", tmp_path / "made")
    (tmp_path / "cache" / "ab" / "ab12" / lost).unlink()
    assert not cache.fetch("ab12", tmp_path / "copy")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    fill_file(tmp_path / "made")
    cache = HopCache(tmp_path / "cache")
    assert not cache.fetch("ab12", tmp_path / "copy")
    with pytest.raises(ExportError, match=r"cache of hops in .*cache cannot be used.*--no-cache"):
        cache.store("ab12", tmp_path / "made")


def run(tmp_path: Path, name: str, cache: HopCache, calibration: NDArray[np.uint8]) -> Made:
    work = tmp_path / name
    work.mkdir()
    checkpoint = tmp_path / "weights"
    targets = choose_targets(["onnx", "tflite"])
    return run_chain(checkpoint, work, targets, calibration, logs=work, options=OPTIONS, cache=cache)


@pytest.mark.usefixtures("fake_children")
def test_a_second_export_reuses_every_hop(tmp_path: Path, calibration: NDArray[np.uint8]) -> None:
    (tmp_path / "weights").write_text("weights")
    cache = HopCache(tmp_path / "cache")
    first, second = run(tmp_path, "a", cache, calibration), run(tmp_path, "b", cache, calibration)
    assert not any(hop.cached for hop in first.hops)
    assert all(hop.cached for hop in second.hops)
    assert [hop.name for hop in first.hops] == [hop.name for hop in second.hops]
    for target, path in second.files.items():
        assert path.read_bytes() == first.files[target].read_bytes()


@pytest.mark.usefixtures("fake_children")
def test_other_calibration_canvases_redo_only_what_is_calibrated(
    tmp_path: Path, calibration: NDArray[np.uint8]
) -> None:
    (tmp_path / "weights").write_text("weights")
    cache = HopCache(tmp_path / "cache")
    run(tmp_path, "a", cache, calibration)
    hops = run(tmp_path, "b", cache, calibration[:16]).hops
    redone = {hop.name for hop in hops if not hop.cached}
    precisions = ("dynamic_range", "int8", "int16_activations", "mixed")
    assert redone == {"int8-onnx", *(f"{precision}-tflite" for precision in precisions)}
