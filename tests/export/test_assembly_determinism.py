"""The same input gives the same bundle byte for byte; only the date may differ."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sigedge_export import assembly
from sigedge_export.metadata import label_bundle
from sigedge_export.targets import TARGETS
from sigedge_runtime.bundle import MANIFEST, Bundle, hash_file, hash_files, zip_bundle
from sigedge_runtime.errors import ExportError

_spec = importlib.util.spec_from_file_location(
    "tiny_bundle_for_assembly", Path(__file__).parent.parent / "runtime" / "conftest.py"
)
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)
master_bundle = tiny.master_bundle
EPOCH = "SOURCE_DATE_EPOCH"


def assemble(master: Path, folder: Path) -> Path:
    """A bundle out of finished files, as the pipeline makes it, with a made-up checkpoint."""
    info = SimpleNamespace(
        name="tiny",
        architecture="tiny",
        version="1.0",
        licence="Apache-2.0",
        decision=tiny.DECISION.to_dict(),
        training={"data": ["b", "a"], "epochs": 3},
        seed=7,
        task="verification",
        labels=[],
        preprocess=tiny.SPEC.to_dict(),
    )
    checkpoint = folder.parent / "checkpoint"
    checkpoint.write_bytes(b"weights")
    reference: Any = SimpleNamespace(info=info, parameters=1024)
    shutil.copytree(master / "vectors", folder / "vectors")
    (folder / "artifacts").mkdir()
    (folder / assembly.CARD).write_text("# Tiny\n")
    chosen = [target for target in TARGETS if target.key in ("float32-onnx", "float32-tflite", "int8-tflite")]
    entries = []
    for target in chosen:
        shutil.copy(
            master / f"artifacts/{target.precision}{Path(target.file('x')).suffix}", folder / target.file("tiny")
        )
        shape = (tiny.SPEC.canvas_height, tiny.SPEC.canvas_width)
        entries.append(assembly.describe(folder, target, "tiny", tiny.SIZE, shape, 1e-4))
    assembly.finish(folder, checkpoint, reference, entries)
    label_bundle(folder)
    return folder


def make(master: Path, parent: Path) -> Path:
    parent.mkdir()
    return assemble(master, parent / "bundle")


def test_the_same_input_gives_the_same_manifest_and_zip(
    master_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EPOCH, "1700000000")
    one, two = (make(master_bundle, tmp_path / name) for name in ("one", "two"))
    assert hash_file(one / MANIFEST) == hash_file(two / MANIFEST)
    assert hash_files(one) == hash_files(two)
    zips = [zip_bundle(folder, folder.with_suffix(".zip")).read_bytes() for folder in (one, two)]
    assert zips[0] == zips[1]
    with Bundle.open(one) as bundle:
        assert bundle.manifest.created == "2023-11-14"


def test_another_day_changes_the_date_and_nothing_else(
    master_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name, epoch in (("one", "1700000000"), ("two", "1800000000")):
        monkeypatch.setenv(EPOCH, epoch)
        folder = make(master_bundle, tmp_path / name)
        found.append(json.loads((folder / MANIFEST).read_text()))
    assert found[0].pop("created") == "2023-11-14" and found[1].pop("created") == "2027-01-15"
    assert found[0] == found[1]
    assert hash_files(tmp_path / "one" / "bundle") == hash_files(tmp_path / "two" / "bundle")


@pytest.mark.parametrize("epoch", ["yesterday", "", "9" * 30])
def test_a_time_that_is_none_is_named(
    epoch: str, master_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EPOCH, epoch)
    with pytest.raises(ExportError, match=f"{EPOCH} is '{epoch[:9]}"):
        make(master_bundle, tmp_path / "one")


def test_a_model_with_a_card_of_its_own_brings_it(tmp_path: Path) -> None:
    for name, title in (("edgesig-clean", "# edgesig-clean"), ("edgesig", "# edgesig"), ("mine", "# edgesig")):
        assembly.copy_card("edgesig", name, tmp_path)
        assert (tmp_path / "CARD.md").read_text().splitlines()[0] == title
