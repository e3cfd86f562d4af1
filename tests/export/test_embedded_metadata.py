"""A file that has left its bundle still says what it is, and computes what it computed."""

from __future__ import annotations

import importlib.util
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge_export.metadata import embed_metadata, label_bundle
from sigedge_runtime.bundle import DEFAULT_BUNDLE, Bundle, hash_tree
from sigedge_runtime.engines import available, engine_class, open_engine
from sigedge_runtime.errors import BundleError, ExportError
from sigedge_runtime.images import read_image
from sigedge_runtime.matching import LocalMatching
from sigedge_runtime.metadata import ENTRY, KEY, MAX_BYTES, FileMetadata, read_metadata
from sigedge_runtime.preprocessing import harmonise
from sigedge_runtime.scoring import score
from sigedge_runtime.selftest import replay

_spec = importlib.util.spec_from_file_location(
    "tiny_bundle_for_metadata", Path(__file__).parent.parent / "runtime" / "conftest.py"
)
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)
master_bundle = tiny.master_bundle
FILES = ("float32.onnx", "int8.onnx", "float32.tflite", "int8.tflite")


@pytest.fixture(scope="module", params=FILES)
def pair(request: pytest.FixtureRequest, master_bundle: Path, tmp_path_factory: pytest.TempPathFactory):
    """A file as the converter wrote it, what it should say, and the same file after it was told."""
    with Bundle.open(master_bundle) as bundle:
        artifact = next(one for one in bundle.manifest.artifacts if one.file.endswith(f"/{request.param}"))
        metadata = FileMetadata.of(bundle.manifest, artifact)
    plain = master_bundle / artifact.file
    told = Path(shutil.copy(plain, tmp_path_factory.mktemp("alone") / "model.bin"))
    embed_metadata(told, metadata)
    return plain, metadata, told


def test_what_was_written_is_read(pair) -> None:
    _, metadata, told = pair
    assert read_metadata(told) == metadata
    assert metadata.model.checkpoint_sha256 == "ab" * 32 and metadata.model.licence == "Apache-2.0"
    assert metadata.decision.operating_points and metadata.preprocess.canvas_width == 256


def test_the_model_is_the_same_bytes_in_front(pair) -> None:
    plain, _, told = pair
    assert told.read_bytes().startswith(plain.read_bytes())


def test_writing_again_changes_nothing_and_other_metadata_replaces(pair, tmp_path: Path) -> None:
    plain, metadata, told = pair
    again = Path(shutil.copy(told, tmp_path))
    embed_metadata(again, metadata)
    assert again.read_bytes() == told.read_bytes()
    newer = replace(metadata, model=replace(metadata.model, version="2.0"))
    embed_metadata(again, newer)
    fresh = Path(shutil.copy(plain, tmp_path / "fresh"))
    embed_metadata(fresh, newer)
    assert read_metadata(again) == newer and again.read_bytes() == fresh.read_bytes()


def test_every_engine_computes_the_same_bits(pair, master_bundle: Path) -> None:
    plain, metadata, told = pair
    canvases = (np.random.RandomState(3).rand(4, 128, 256) < 0.1).astype(np.uint8) * np.uint8(255)
    engines = [
        name
        for name, status in available().items()
        if status.available and metadata.format in engine_class(name).formats
    ]
    assert engines
    for name in engines:
        found = []
        for path in (plain, told):
            with open_engine(name, metadata.artifact(path), path) as engine:
                found.append(engine.infer_batch(canvases))
        assert np.array_equal(*found)


def test_a_file_alone_gives_the_verdict_of_its_bundle(pair, master_bundle: Path) -> None:
    """Preprocessing, engine, fusion and threshold, from nothing but the file."""
    _, metadata, told = pair
    images = [master_bundle / f"vectors/images/s{signer}-{sample}.png" for signer, sample in ((0, 0), (0, 1), (1, 0))]
    with open_engine("auto", metadata.artifact(told), told) as engine:
        one, same, other = (
            engine.infer(harmonise(read_image(path), read_metadata(told).preprocess).canvas) for path in images
        )
    point = metadata.decision.operating_point(metadata.decision.default_operating_point, 1)
    decision = read_metadata(told).decision
    assert score(same, one[None], decision) >= point.threshold > score(other, one[None], decision)


def test_a_file_alone_says_how_its_embeddings_are_compared(pair, tmp_path: Path) -> None:
    _, metadata, told = pair
    assert read_metadata(told).decision.matching is None
    cells = replace(metadata, decision=tiny.CELLS_DECISION)
    again = Path(shutil.copy(told, tmp_path))
    embed_metadata(again, cells)
    assert read_metadata(again) == cells and read_metadata(again).decision.matching == LocalMatching(1, 2, 0, 1)


def test_tools_of_others_read_it(pair) -> None:
    _, metadata, told = pair
    if metadata.format == "onnx":
        model = onnx.load(told)
        onnx.checker.check_model(model, full_check=True)
        (entry,) = [entry for entry in model.metadata_props if entry.key == KEY]
        assert entry.value == metadata.to_json()
    else:
        with zipfile.ZipFile(told) as archive:
            assert archive.namelist() == [ENTRY] and archive.testzip() is None
            assert archive.read(ENTRY).decode() == metadata.to_json()


def test_properties_of_others_stay(master_bundle: Path, tmp_path: Path) -> None:
    model = onnx.load(master_bundle / "artifacts/float32.onnx")
    onnx.helper.set_model_props(model, {"author": "somebody", KEY: "out of date"})
    onnx.save(model, tmp_path / "model.onnx")
    with Bundle.open(master_bundle) as bundle:
        metadata = FileMetadata.of(bundle.manifest, bundle.artifact("tiny-float32-onnx"))
    embed_metadata(tmp_path / "model.onnx", metadata)
    props = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert props == {"author": "somebody", KEY: metadata.to_json()}


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07TFL\x03", b"\0\0\0\0TFL3" + bytes(40)])
def test_a_file_without_metadata_says_so(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.tflite carries no metadata of sigedge"):
        read_metadata(path)
    with pytest.raises(BundleError, match="cannot be read"):
        read_metadata(tmp_path / "nowhere")


@given(data=st.data())
def test_a_spoilt_file_is_refused_or_says_the_same(pair, data: st.DataObject) -> None:
    """The metadata lies at the end; whatever happens there ends in one sentence."""
    plain, metadata, told = pair
    content = bytearray(told.read_bytes())
    position = data.draw(st.integers(plain.stat().st_size, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[position:]
    spoilt = told.with_name("spoilt")
    spoilt.write_bytes(content)
    try:
        found = read_metadata(spoilt)
    except BundleError as error:
        assert str(spoilt) in str(error)
    else:
        assert found.format == metadata.format


def change_field(metadata: FileMetadata, **changes: object) -> str:
    import json

    return json.dumps({**json.loads(metadata.to_json()), **changes})


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"format_version": 2}, "format_version must be 1"),
        ({"more": 1}, "unknown fields more"),
        ({"model": {}}, "lacks"),
        ({"precision": 8}, "precision must be str"),
        ({"preprocess": {"version": 1}}, r"model\.onnx\.preprocess: "),
    ],
)
def test_what_a_file_says_is_read_strictly(
    changes: dict[str, object], word: str, master_bundle: Path, tmp_path: Path
) -> None:
    with Bundle.open(master_bundle) as bundle:
        metadata = FileMetadata.of(bundle.manifest, bundle.artifact("tiny-float32-onnx"))
    model = onnx.load(master_bundle / "artifacts/float32.onnx")
    onnx.helper.set_model_props(model, {KEY: change_field(metadata, **changes)})
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(BundleError, match=word):
        read_metadata(tmp_path / "model.onnx")


def test_endless_metadata_is_not_read(master_bundle: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(master_bundle / "artifacts/int8.tflite", tmp_path / "model.tflite"))
    for method, size in ((zipfile.ZIP_STORED, MAX_BYTES + 1), (zipfile.ZIP_DEFLATED, 100)):
        shutil.copy(master_bundle / "artifacts/int8.tflite", path)
        with zipfile.ZipFile(path, "a", method) as archive:
            archive.writestr(ENTRY, b" " * size)
        with pytest.raises(BundleError, match="carries no metadata"):
            read_metadata(path)


@pytest.mark.parametrize(
    ("name", "spoil", "word"),
    [
        ("tiny-float32-onnx", lambda content: content[:-5], "no sound onnx file"),
        ("tiny-float32-onnx", lambda _: b"", "it is empty"),
        ("tiny-int8-tflite", lambda content: b"x" + content, "no TFL3 mark"),
    ],
)
def test_what_is_no_model_is_not_written_to(
    name: str, spoil: Callable[[bytes], bytes], word: str, master_bundle: Path, tmp_path: Path
) -> None:
    with Bundle.open(master_bundle) as bundle:
        artifact = bundle.artifact(name)
        path = tmp_path / "model"
        path.write_bytes(spoil(bundle.path(artifact.file).read_bytes()))
        before = path.read_bytes()
        with pytest.raises(ExportError, match=word):
            embed_metadata(path, FileMetadata.of(bundle.manifest, artifact))
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_files_that_others_appended_are_not_lost(master_bundle: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(master_bundle / "artifacts/int8.tflite", tmp_path / "model.tflite"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "ada\nbob\n")
    with Bundle.open(master_bundle) as bundle:
        metadata = FileMetadata.of(bundle.manifest, bundle.artifact("tiny-int8-tflite"))
    with pytest.raises(ExportError, match=r"carries an archive of labels\.txt"):
        embed_metadata(path, metadata)


def test_a_format_that_carries_none_is_named(master_bundle: Path, tmp_path: Path) -> None:
    with Bundle.open(master_bundle) as bundle:
        metadata = FileMetadata.of(bundle.manifest, bundle.artifact())
    with pytest.raises(ExportError, match="only files of onnx, tflite do"):
        embed_metadata(tmp_path, replace(metadata, format="saved_model"))


def test_a_bundle_is_labelled_as_a_whole(master_bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(master_bundle, tmp_path / "tiny"))
    before = (folder / "CARD.md").read_bytes()
    manifest = label_bundle(folder)
    with Bundle.open(folder) as bundle:
        assert bundle.manifest == manifest
        for artifact in manifest.artifacts:
            assert read_metadata(bundle.path(artifact.file)) == FileMetadata.of(manifest, artifact)
    assert (folder / "CARD.md").read_bytes() == before
    once = hash_tree(folder), (folder / "manifest.json").read_bytes()
    label_bundle(folder)
    assert (hash_tree(folder), (folder / "manifest.json").read_bytes()) == once


@pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout ships no bundle")
def test_the_self_test_of_the_shipped_bundle_gives_the_same_figures_labelled(tmp_path: Path) -> None:
    labelled = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "labelled"))
    label_bundle(labelled)
    with Bundle.open() as plain, Bundle.open(labelled) as told:
        names = [
            name for name, status in available().items() if status.available and "tflite" in engine_class(name).formats
        ]
        assert names
        for name in names:
            reports = []
            for bundle in (plain, told):
                artifact = bundle.artifact(format="tflite", precision="int8")
                with open_engine(name, artifact, bundle.path(artifact.file)) as engine:
                    reports.append(replay(bundle, engine))
            assert reports[0] == reports[1] and reports[0].passed
