"""Zipped bundles from strangers: good ones open, hostile ones are refused and leave nothing behind."""

from __future__ import annotations

import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sigedge_runtime import _zip
from sigedge_runtime.bundle import MANIFEST, Bundle, zip_bundle
from sigedge_runtime.errors import BundleError, BundleIntegrityError


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where archives are unpacked; tests look whether it is empty again."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def zipped(master_bundle: Path, tmp_path: Path) -> Path:
    """An intact zip file."""
    return zip_bundle(master_bundle, tmp_path / "tiny.zip")


def add(path: Path, name: str, data: bytes = b"x", mode: int = 0, **attributes: int) -> None:
    entry = zipfile.ZipInfo(name)
    entry.filename = name  # as it is, with backslashes
    entry.external_attr = mode << 16
    for key, value in attributes.items():
        setattr(entry, key, value)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, data)


def test_a_zip_opens_and_is_removed_on_close(zipped: Path, scratch: Path) -> None:
    with Bundle.open(zipped) as bundle:
        assert bundle.path("CARD.md").read_text().startswith("# Tiny")
        assert bundle.name == str(zipped)
        assert len(list(scratch.iterdir())) == 1
    assert list(scratch.iterdir()) == []
    bundle.close()


def test_a_compressed_zip_with_folder_entries_opens(master_bundle: Path, tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "by-hand.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(master_bundle.rglob("*")):
            archive.write(file, file.relative_to(master_bundle))
    with Bundle.open(path) as bundle:
        assert bundle.manifest.model.name == "tiny"


ATTACKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "traversal": (lambda path: add(path, "../evil"), "leaves its folder"),
    "deep traversal": (lambda path: add(path, "artifacts/../../evil"), "leaves its folder"),
    "absolute": (lambda path: add(path, "/tmp/evil"), "leaves its folder"),
    "drive": (lambda path: add(path, "C:/evil"), "leaves its folder"),
    "backslash": (lambda path: add(path, "..\\evil"), "leaves its folder"),
    "link": (lambda path: add(path, "link", b"/etc/passwd", stat.S_IFLNK | 0o777), "is a link or a device"),
    "device": (lambda path: add(path, "device", b"", stat.S_IFCHR | 0o600), "is a link or a device"),
    "other case": (lambda path: add(path, "card.MD"), "'card.md' twice"),
    "too small": (lambda path: path.write_bytes(b"PK"), "no intact zip file"),
    "no zip": (lambda path: path.write_bytes(b"#" * 5000), "no intact zip file"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-200]), "no intact zip file"),
    "flipped byte": (lambda path: patch(path, b"# Tiny", b"# tiny"), "no intact zip file"),
    "bomb": (lambda path: add(path, "zeros", bytes(50 * 2**20), compress_type=zipfile.ZIP_DEFLATED), "200 times"),
    "encrypted": (lambda path: encrypt(path), "is encrypted"),
    "unknown compression": (lambda path: compress(path, 98), "compressed by method 98, neither"),
}


def patch(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def set_in_headers(path: Path, local: int, central: int, value: int) -> None:
    """Write 16 bits at an offset of every local (PK 3 4) and central (PK 1 2) header."""
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\3\4", local), (b"PK\1\2", central)):
        position = data.find(magic)
        while position >= 0:
            struct.pack_into("<H", data, position + offset, value)
            position = data.find(magic, position + 4)
    path.write_bytes(data)


def encrypt(path: Path) -> None:
    set_in_headers(path, 6, 8, 1)


def compress(path: Path, method: int) -> None:
    set_in_headers(path, 8, 10, method)


@pytest.mark.parametrize("name", list(ATTACKS))
def test_an_attack_is_refused_and_leaves_nothing(name: str, zipped: Path, scratch: Path) -> None:
    attack, word = ATTACKS[name]
    attack(zipped)
    with pytest.raises(BundleError, match=word) as raised:
        Bundle.open(zipped)
    assert str(zipped) in str(raised.value)
    assert list(scratch.iterdir()) == []
    assert not (scratch.parent / "evil").exists() and not Path("/tmp/evil").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_given_twice_is_refused(zipped: Path, scratch: Path) -> None:
    add(zipped, "CARD.md")
    with pytest.raises(BundleError, match=r"'card\.md' twice"):
        Bundle.open(zipped)


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 1000), ("MAX_ENTRIES", 3)])
def test_an_archive_that_is_too_large_is_refused(
    zipped: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(_zip, limit, value)
    with pytest.raises(BundleError, match=r"it unpacks to .* files"):
        Bundle.open(zipped)


def test_a_file_that_says_it_is_small_cannot_grow(zipped: Path, scratch: Path) -> None:
    with zipfile.ZipFile(zipped) as archive:
        entry = archive.getinfo("CARD.md")
    data = bytearray(zipped.read_bytes())
    central = data.rfind(b"CARD.md") - 46
    struct.pack_into("<I", data, central + 24, entry.file_size - 4)
    zipped.write_bytes(data)
    with pytest.raises(BundleError, match="no intact zip file"):
        Bundle.open(zipped)


def test_a_zip_of_the_folder_itself_says_where_the_manifest_belongs(master_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "nested.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(master_bundle / MANIFEST, f"tiny/{MANIFEST}")
    with pytest.raises(BundleError, match=r"manifest\.json is missing; name the folder that holds it"):
        Bundle.open(path)


def test_an_intact_zip_of_an_altered_bundle_is_refused(zipped: Path, scratch: Path) -> None:
    add(zipped, "extra.txt")
    with pytest.raises(BundleIntegrityError, match=r"tiny\.zip holds extra\.txt"):
        Bundle.open(zipped)
    assert list(scratch.iterdir()) == []


def test_a_full_disk_is_named(zipped: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", fail)
    with pytest.raises(BundleError, match=r"cannot be unpacked .*No space left"):
        Bundle.open(zipped)
    assert list(scratch.iterdir()) == []
