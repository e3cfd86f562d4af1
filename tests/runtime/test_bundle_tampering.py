"""Every byte of a bundle counts, and no zip file gets out of its folder or its limits."""

from __future__ import annotations

import io
import os
import shutil
import struct
import tracemalloc
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigedge_runtime import _zip
from sigedge_runtime.bundle import MANIFEST, Bundle, hash_files, sign_bundle, write_manifest, zip_bundle
from sigedge_runtime.errors import BundleError, BundleIntegrityError
from sigedge_runtime.signing import SIGNATURE, generate_key, public_file


class Signed:
    """A signed bundle whose files can be spoilt and are mended afterwards."""

    def __init__(self, folder: Path, key: Path) -> None:
        self.folder, self.trusted = folder, [public_file(key)]
        self.files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        self.zip = zip_bundle(folder, folder.with_suffix(".zip"))
        self.zip_bytes = self.zip.read_bytes()

    def refuses(self, changes: dict[Path, bytes]) -> None:
        """Opening with these contents fails as a bundle does, when one asks who signed it."""
        try:
            for path, content in changes.items():
                path.write_bytes(content)
            with pytest.raises(BundleError):
                Bundle.open(self.folder, trusted_keys=self.trusted)
        finally:
            for path in changes:
                path.write_bytes(self.files[path])


@pytest.fixture(scope="module")
def signed(master_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    parent = tmp_path_factory.mktemp("signed")
    generate_key(parent / "key")
    folder = Path(shutil.copytree(master_bundle, parent / "tiny"))
    sign_bundle(folder, parent / "key")
    bundle = Signed(folder, parent / "key")
    yield bundle
    assert {path: path.read_bytes() for path in bundle.files} == bundle.files


def test_every_file_is_among_those_that_are_spoilt_below(signed: Signed) -> None:
    names = {path.relative_to(signed.folder).as_posix() for path in signed.files}
    assert {MANIFEST, SIGNATURE, "CARD.md", "artifacts/int8.tflite", "vectors/vectors.json"} <= names
    assert names == {MANIFEST, SIGNATURE, *hash_files(signed.folder)}


@settings(max_examples=150)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_noticed(signed: Signed, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(signed.files)))
    content = bytearray(signed.files[path])
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    signed.refuses({path: bytes(content)})


@settings(max_examples=60)
@given(data=st.data())
def test_a_file_cut_or_grown_or_replaced_is_noticed(signed: Signed, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(signed.files)))
    content = signed.files[path]
    other = data.draw(
        st.one_of(
            st.integers(0, len(content) - 1).map(lambda size: content[:size]),
            st.binary(min_size=1, max_size=20).map(lambda more: content + more),
            st.binary(max_size=200).filter(lambda found: found != content),
        )
    )
    signed.refuses({path: other})


@given(data=st.data())
def test_two_files_changed_for_one_another_are_noticed(signed: Signed, data: st.DataObject) -> None:
    one, other = data.draw(st.lists(st.sampled_from(list(signed.files)), min_size=2, max_size=2, unique=True))
    if signed.files[one] != signed.files[other]:
        signed.refuses({one: signed.files[other], other: signed.files[one]})


def test_every_file_is_missed_when_it_is_gone_renamed_or_a_link(signed: Signed) -> None:
    aside = signed.folder.parent / "aside"
    for path in signed.files:
        renamed = path.with_suffix(".renamed")
        path.rename(aside)
        refuse(signed)
        aside.rename(renamed)
        refuse(signed)
        renamed.rename(aside)
        path.symlink_to(aside)
        refuse(signed)
        path.unlink()
        aside.rename(path)


def refuse(signed: Signed) -> None:
    with pytest.raises(BundleError):
        Bundle.open(signed.folder, trusted_keys=signed.trusted)


@pytest.mark.parametrize(
    "name", [".hidden", "more/deep/file", "manifest.json.bak", "vectors/manifest.sig", "Manifest.sig"]
)
def test_no_further_file_is_tolerated(name: str, bundle_folder: Path) -> None:
    (bundle_folder / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle_folder / name).write_bytes(b"")
    with pytest.raises(BundleIntegrityError, match="not in its manifest"):
        Bundle.open(bundle_folder)


def test_a_manifest_that_is_a_link_a_pipe_or_endless_is_not_read(bundle_folder: Path, tmp_path: Path) -> None:
    manifest = bundle_folder / MANIFEST
    shutil.move(manifest, tmp_path / MANIFEST)
    manifest.symlink_to(tmp_path / MANIFEST)
    with pytest.raises(BundleIntegrityError, match="not a plain file"):
        Bundle.open(bundle_folder)
    manifest.unlink()
    os.mkfifo(manifest)  # reading it would wait for ever
    with pytest.raises(BundleIntegrityError, match="not a plain file"):
        Bundle.open(bundle_folder)
    manifest.unlink()
    with manifest.open("wb") as file:
        file.truncate(17 * 2**20)
    with pytest.raises(BundleIntegrityError, match="longer than"):
        Bundle.open(bundle_folder)


COMPOSED = unicodedata.normalize("NFC", "caf\u00e9.txt")


@pytest.mark.parametrize("names", [("notes.txt", "Notes.TXT"), (COMPOSED, unicodedata.normalize("NFD", COMPOSED))])
def test_names_that_are_one_on_some_file_systems_are_refused(
    names: tuple[str, str], bundle_folder: Path, sign_off: Callable[..., None], tmp_path: Path
) -> None:
    for name in names:
        (bundle_folder / name).write_text(name)
    sign_off(bundle_folder)
    with pytest.raises(BundleIntegrityError, match="in two ways that some file systems take for one"):
        Bundle.open(bundle_folder)
    path = tmp_path / "alike.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in bundle_folder.rglob("*"):
            archive.write(file, file.relative_to(bundle_folder))
    with pytest.raises(BundleError, match="twice"):
        Bundle.open(path)


def opens_as_it_was(signed: Signed, content: bytes) -> bool:
    """Whether a zip opens; when it does it must hold exactly what was signed."""
    path = signed.folder.parent / "spoilt.zip"
    path.write_bytes(content)
    try:
        with Bundle.open(path, trusted_keys=signed.trusted) as bundle:
            found = {
                path.relative_to(bundle.root): path.read_bytes() for path in bundle.root.rglob("*") if path.is_file()
            }
        assert found == {path.relative_to(signed.folder): content for path, content in signed.files.items()}
    except BundleError:
        return False
    return True


@settings(max_examples=250)
@given(data=st.data())
def test_a_flipped_bit_in_a_zip_is_refused_or_changes_nothing(signed: Signed, data: st.DataObject) -> None:
    """Dates and the like may differ; contents and names may not."""
    content = bytearray(signed.zip_bytes)
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    opens_as_it_was(signed, bytes(content))


@settings(max_examples=150)
@given(data=st.data())
def test_the_directory_of_a_zip_can_be_spoilt_anywhere(signed: Signed, data: st.DataObject) -> None:
    """All the bytes that say where and what: the headers at the end, with up to four bytes overwritten."""
    content = bytearray(signed.zip_bytes)
    start = data.draw(st.integers(content.find(b"PK\1\2"), len(content) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=4))
    content[start : start + len(noise)] = noise
    opens_as_it_was(signed, bytes(content[: len(signed.zip_bytes)]))


@given(data=st.data())
def test_a_cut_zip_is_refused(signed: Signed, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(signed.zip_bytes) - 1))
    assert not opens_as_it_was(signed, signed.zip_bytes[:size])


@given(st.binary(max_size=400))
def test_noise_is_no_zip(signed: Signed, noise: bytes) -> None:
    assert not opens_as_it_was(signed, noise)
    assert not opens_as_it_was(signed, b"PK\5\6" + noise)


def test_the_sound_zip_opens(signed: Signed) -> None:
    assert opens_as_it_was(signed, signed.zip_bytes)


UNSAFE = [
    "../evil",
    "artifacts/../../evil",
    "/etc/evil",
    "//host/share/evil",
    "C:evil",
    "C:/evil",
    "..\\evil",
    "artifacts\\evil",
    "./evil",
    "artifacts//evil",
    "artifacts/./evil",
    "evil\0.txt",
    "..",
]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_name_that_may_leave_the_folder_is_refused(name: str, signed: Signed, tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    path.write_bytes(signed.zip_bytes)
    entry = zipfile.ZipInfo("placeholder")
    entry.filename = name
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, b"x")
    with pytest.raises(BundleError, match="leaves its folder"):
        Bundle.open(path)


@pytest.mark.parametrize("name", [name for name in UNSAFE if "\0" not in name])
def test_a_manifest_lists_no_such_name_either(name: str, bundle_folder: Path) -> None:
    with Bundle.open(bundle_folder) as bundle, pytest.raises(ValueError, match="relative path inside"):
        replace(bundle.manifest, files={**bundle.manifest.files, name: "00" * 32})


def test_a_file_and_a_folder_of_one_name_are_refused(signed: Signed, tmp_path: Path) -> None:
    path = tmp_path / "both.zip"
    path.write_bytes(signed.zip_bytes)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("CARD.md/inside", b"x")
    with pytest.raises(BundleError, match="cannot be unpacked"):
        Bundle.open(path)


def lying_zip(path: Path, method: int, content: bytes, stream: bytes) -> None:
    """An archive whose headers declare `content` and whose data is `stream`."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("CARD.md", content)
        entry = archive.getinfo("CARD.md")
    raw = path.read_bytes()
    start = 30 + len("CARD.md")
    central = bytearray(raw[start + entry.compress_size :])
    struct.pack_into("<I", central, 20, len(stream))
    end = central.rfind(b"PK\5\6")
    struct.pack_into("<I", central, end + 16, start + len(stream))
    header = bytearray(raw[:start])
    struct.pack_into("<I", header, 18, len(stream))
    path.write_bytes(bytes(header) + stream + bytes(central))


def test_a_stream_longer_than_its_entry_declares_is_not_expanded(tmp_path: Path) -> None:
    """64 MB behind an entry of 10 bytes: the limits look at declared sizes, so nothing else may ever be written."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = squeeze.compress(bytes(64 * 2**20)) + squeeze.flush()
    path = tmp_path / "bomb.zip"
    lying_zip(path, zipfile.ZIP_DEFLATED, bytes(10), stream)
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("CARD.md").file_size == 10
    tracemalloc.start()
    try:
        with pytest.raises(BundleError):
            Bundle.open(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_cannot_be_bounded_is_refused(method: int, signed: Signed, tmp_path: Path) -> None:
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for file, content in signed.files.items():
            archive.writestr(file.relative_to(signed.folder).as_posix(), content)
    with pytest.raises(BundleError, match=f"compressed by method {method}"):
        Bundle.open(path)


def test_entries_that_share_their_data_count_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many directory entries for one stream unpack to far more than the file holds."""
    monkeypatch.setattr(_zip, "MAX_BYTES", 10 * 2**20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", os.urandom(2**20))
        first = archive.infolist()[0]
        for number in range(30):
            twin = zipfile.ZipInfo(f"a{number}")
            for name in ("header_offset", "CRC", "compress_size", "file_size", "compress_type", "flag_bits"):
                setattr(twin, name, getattr(first, name))
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
    path = tmp_path / "overlap.zip"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(BundleError, match="it unpacks to 31 files of 31 MB"):
        Bundle.open(path)


def test_writing_a_manifest_that_fails_leaves_the_older_and_nothing_else(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hash_files(bundle_folder), (bundle_folder / MANIFEST).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Bundle.open(bundle_folder) as bundle:
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_manifest(bundle_folder, replace(bundle.manifest, created="2030-01-01"))
    assert (hash_files(bundle_folder), (bundle_folder / MANIFEST).read_bytes()) == before
