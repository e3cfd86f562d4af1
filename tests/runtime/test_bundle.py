"""Bundles: intact ones open, all others say which file is wrong."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sigedge_runtime import bundle as module
from sigedge_runtime.bundle import MANIFEST, Bundle, hash_file, hash_files, hash_tree, write_manifest, zip_bundle
from sigedge_runtime.errors import BundleError, BundleIntegrityError
from sigedge_runtime.manifest import Manifest


def test_a_folder_opens(bundle_folder: Path) -> None:
    with Bundle.open(bundle_folder) as bundle:
        assert bundle.manifest.model.name == "tiny"
        assert bundle.path("CARD.md").read_text().startswith("# Tiny")
        assert bundle.name == str(bundle_folder)
    assert (bundle_folder / MANIFEST).exists()


@pytest.mark.parametrize("relative", ["nothing.txt", "../tiny/CARD.md", "", "artifacts", "/etc/passwd"])
def test_only_listed_files_have_a_path(bundle_folder: Path, relative: str) -> None:
    with Bundle.open(str(bundle_folder)) as bundle, pytest.raises(BundleError, match="lists no file"):
        bundle.path(relative)


SPOIL: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing artefact": (lambda b: (b / "artifacts/int8.tflite").unlink(), r"lacks artifacts/int8\.tflite"),
    "missing card": (lambda b: (b / "CARD.md").unlink(), r"lacks CARD\.md"),
    "extra file": (lambda b: (b / "artifacts/evil.so").write_text("x"), r"holds artifacts/evil\.so, not in its"),
    "hidden extra file": (lambda b: (b / ".x").write_text("x"), r"holds \.x"),
    "altered artefact": (lambda b: flip(b / "artifacts/int8.tflite"), r"altered: artifacts/int8\.tflite"),
    "altered image": (lambda b: flip(b / "vectors/images/s0-0.png"), r"altered: vectors/images/s0-0\.png"),
    "grown file": (lambda b: (b / "CARD.md").open("a").write("!"), r"altered: CARD\.md"),
    "link to a file": (lambda b: relink(b / "CARD.md"), "not a plain file"),
    "link to a folder": (lambda b: (b / "more").symlink_to(b / "vectors"), "not a plain file"),
}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def relink(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


@pytest.mark.parametrize("name", list(SPOIL))
def test_a_bundle_that_is_not_intact_names_the_file(bundle_folder: Path, name: str) -> None:
    spoil, word = SPOIL[name]
    spoil(bundle_folder)
    with pytest.raises(BundleIntegrityError, match=word) as raised:
        Bundle.open(bundle_folder)
    assert str(bundle_folder) in str(raised.value)


def test_all_wrong_files_are_named(bundle_folder: Path) -> None:
    for name in ("CARD.md", "artifacts/int8.onnx"):
        (bundle_folder / name).unlink()
    with pytest.raises(BundleIntegrityError, match=r"lacks CARD\.md, artifacts/int8\.onnx"):
        Bundle.open(bundle_folder)


def test_a_wrong_size_is_refused(bundle_folder: Path, sign_off: Callable[..., None]) -> None:
    with Bundle.open(bundle_folder) as bundle:
        first, *rest = bundle.manifest.artifacts
    sign_off(bundle_folder, artifacts=(replace(first, size=first.size + 1), *rest))
    with pytest.raises(BundleIntegrityError, match=r"declares artifacts/float32\.onnx wrongly"):
        Bundle.open(bundle_folder)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"{}"])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json") as raised:
        Bundle.open(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere does not exist"):
        Bundle.open(tmp_path / "nowhere")


def test_the_default_bundle(bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEFAULT_BUNDLE", bundle_folder)
    with Bundle.open() as bundle:
        assert bundle.root == bundle_folder
    monkeypatch.setattr(module, "DEFAULT_BUNDLE", tmp_path / "absent")
    with pytest.raises(BundleError, match="ships no default bundle; name a bundle made by `sigedge export`"):
        Bundle.open()


@pytest.fixture
def elsewhere(bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, while the package ships `bundle_folder`."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setattr(module, "SHIPPED", bundle_folder.parent)
    monkeypatch.chdir(folder)
    return folder


def test_a_shipped_bundle_opens_by_its_name(bundle_folder: Path, elsewhere: Path) -> None:
    with Bundle.open(bundle_folder.name) as bundle:
        assert bundle.root == bundle_folder
    with pytest.raises(BundleError, match="does not exist"):
        Bundle.open(elsewhere / bundle_folder.name)


def test_a_folder_of_that_name_comes_before_the_shipped_bundle(bundle_folder: Path, elsewhere: Path) -> None:
    (elsewhere / bundle_folder.name).mkdir()
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.open(bundle_folder.name)


def test_artefacts_come_best_first(bundle_folder: Path) -> None:
    with Bundle.open(bundle_folder) as bundle:
        assert [artifact.name for artifact in bundle.artifacts()] == [
            "tiny-int8-tflite",
            "tiny-float32-tflite",
            "tiny-float32-onnx",
            "tiny-int8-onnx",
        ]
        assert bundle.artifact().name == "tiny-int8-tflite"
        assert bundle.artifact("tiny-float32-onnx").file == "artifacts/float32.onnx"
        assert bundle.artifact(format="onnx").name == "tiny-float32-onnx"
        assert bundle.artifact(precision="float32").name == "tiny-float32-tflite"
        assert bundle.artifact(format="onnx", precision="int8").name == "tiny-int8-onnx"


@pytest.mark.parametrize(
    ("wanted", "word"),
    [({"name": "big"}, "no big artefact"), ({"precision": "float16", "format": "onnx"}, "no float16 onnx artefact")],
)
def test_an_artefact_that_is_not_there_lists_what_is(bundle_folder: Path, wanted: dict[str, str], word: str) -> None:
    with Bundle.open(bundle_folder) as bundle, pytest.raises(BundleError, match=f"{word}; it holds tiny-float32-onnx"):
        bundle.artifact(**wanted)


@pytest.fixture
def saved_model_bundle(bundle_folder: Path, sign_off: Callable[..., None]) -> Path:
    """A bundle that also holds a folder as an artefact."""
    folder = bundle_folder / "artifacts/saved"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables/data").write_bytes(b"weights")
    artifacts = Manifest.from_json((bundle_folder / MANIFEST).read_text(encoding="utf-8")).artifacts
    saved = replace(
        artifacts[2],
        name="tiny-float32-saved_model",
        file="artifacts/saved",
        format="saved_model",
        sha256=hash_tree(folder),
        size=len(b"graphweights"),
    )
    sign_off(bundle_folder, artifacts=(*artifacts, saved))
    return bundle_folder


def test_a_saved_model_is_a_folder_that_the_runtime_does_not_run(saved_model_bundle: Path) -> None:
    with Bundle.open(saved_model_bundle) as bundle:
        assert bundle.path("artifacts/saved").is_dir()
        assert bundle.artifact("tiny-float32-saved_model").format == "saved_model"
        assert all(artifact.format != "saved_model" for artifact in bundle.artifacts())
        with pytest.raises(BundleError, match="no saved_model artefact"):
            bundle.artifact(format="saved_model")


def test_a_saved_model_with_another_tree_is_refused(saved_model_bundle: Path, sign_off: Callable[..., None]) -> None:
    (saved_model_bundle / "artifacts/saved/saved_model.pb").write_bytes(b"GRAPH")
    sign_off(saved_model_bundle)
    with pytest.raises(BundleIntegrityError, match="declares artifacts/saved wrongly"):
        Bundle.open(saved_model_bundle)


def test_hashes(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/y").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1" * 3_000_000)
    (tmp_path / MANIFEST).write_bytes(b"not counted")
    one, two = hashlib.sha256(b"1" * 3_000_000).hexdigest(), hashlib.sha256(b"2").hexdigest()
    assert hash_file(tmp_path / "a") == one
    assert hash_files(tmp_path) == {"a": one, "b/y": two}
    assert hash_tree(tmp_path) == hashlib.sha256(f"{one}  a\n{two}  b/y\n".encode()).hexdigest()


def test_a_manifest_is_written_whole_or_not_at_all(bundle_folder: Path) -> None:
    before = (bundle_folder / MANIFEST).read_bytes()
    with Bundle.open(bundle_folder) as bundle:
        broken = replace(bundle.manifest, training={"loss": float("nan")})
        with pytest.raises(BundleError):
            write_manifest(bundle_folder, broken)
        assert (bundle_folder / MANIFEST).read_bytes() == before
        assert write_manifest(bundle_folder, bundle.manifest).read_bytes() == before
    Bundle.open(bundle_folder).close()


def test_zips_are_equal_byte_for_byte(master_bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(master_bundle, tmp_path / "copy", copy_function=shutil.copyfile))
    (copy / "CARD.md").chmod(0o600)
    one = zip_bundle(master_bundle, tmp_path / "one.zip")
    two = zip_bundle(copy, tmp_path / "two.zip")
    assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "one.zip", "two.zip"]


def test_a_spoilt_bundle_is_not_zipped(bundle_folder: Path, tmp_path: Path) -> None:
    flip(bundle_folder / "CARD.md")
    with pytest.raises(BundleIntegrityError):
        zip_bundle(bundle_folder, tmp_path / "tiny.zip")
    assert not (tmp_path / "tiny.zip").exists()


def test_a_zip_that_cannot_be_finished_leaves_nothing(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "zips"
    target.mkdir()
    (target / "tiny.zip").write_bytes(b"the old one")

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        zip_bundle(bundle_folder, target / "tiny.zip")
    assert [path.read_bytes() for path in target.iterdir()] == [b"the old one"]
