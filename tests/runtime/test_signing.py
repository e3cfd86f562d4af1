"""Signatures: a trusted key opens the bundle it signed, and nothing else does."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import stat
import string
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sigedge_runtime.bundle import MANIFEST, Bundle, sign_bundle, write_manifest, zip_bundle
from sigedge_runtime.errors import BundleError, BundleIntegrityError, SigningError
from sigedge_runtime.signing import SIGNATURE, Signature, generate_key, public_file, sign_manifest

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "release.pem"
    generate_key(path)
    return path


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "stranger.pem"
    generate_key(path)
    return path


@pytest.fixture
def zipped(master_bundle: Path, tmp_path: Path) -> Path:
    return zip_bundle(master_bundle, tmp_path / "tiny.zip")


def private(path: Path) -> Ed25519PrivateKey:
    loaded = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(loaded, Ed25519PrivateKey)
    return loaded


def edit(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def test_a_key_pair_is_written_once_and_the_private_half_is_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key_id = generate_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = serialization.load_pem_public_key(public_file(path).read_bytes())
    assert isinstance(public, Ed25519PublicKey)
    assert key_id == hashlib.sha256(public.public_bytes_raw()).hexdigest()
    assert private(path).public_key() == public
    before = path.read_bytes()
    with pytest.raises(SigningError, match="key exists and may be the only copy"):
        generate_key(path)
    assert path.read_bytes() == before


def test_a_public_key_in_the_way_leaves_no_private_one(tmp_path: Path) -> None:
    public_file(tmp_path / "key").write_text("somebody's")
    with pytest.raises(SigningError, match=r"key\.pub exists"):
        generate_key(tmp_path / "key")
    assert [path.name for path in tmp_path.iterdir()] == ["key.pub"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="key cannot be written"):
        generate_key(tmp_path / "nowhere" / "key")


def test_a_signed_folder_opens_with_and_without_the_key(bundle_folder: Path, key: Path) -> None:
    signature = sign_bundle(bundle_folder, key)
    with Bundle.open(bundle_folder, trusted_keys=[public_file(key)]) as bundle:
        assert bundle.signature == signature and bundle.manifest.model.name == "tiny"
    with Bundle.open(bundle_folder) as bundle:
        assert bundle.signature == signature


def test_the_signature_is_plain_ed25519_over_the_bytes_of_the_manifest(bundle_folder: Path, key: Path) -> None:
    """What a verifier in another language has to do, written out."""
    found = sign_bundle(bundle_folder, key)
    message = b"sigedge bundle manifest, signature version 1\0" + (bundle_folder / MANIFEST).read_bytes()
    private(key).public_key().verify(base64.b64decode(found.signature), message)
    raw = private(key).public_key().public_bytes_raw()
    assert found.key_id == hashlib.sha256(raw).hexdigest()
    assert (bundle_folder / SIGNATURE).read_bytes() == found.to_bytes()


def test_any_of_several_trusted_keys_will_do(bundle_folder: Path, key: Path, stranger: Path) -> None:
    sign_bundle(bundle_folder, key)
    Bundle.open(bundle_folder, trusted_keys=[public_file(stranger), str(public_file(key))]).close()


def test_an_unsigned_bundle_is_refused_when_keys_are_trusted(bundle_folder: Path, zipped: Path, key: Path) -> None:
    for path in (bundle_folder, zipped):
        with pytest.raises(BundleIntegrityError, match=r"tiny(\.zip)? is not signed"):
            Bundle.open(path, trusted_keys=[public_file(key)])


def test_a_bundle_signed_by_a_stranger_is_refused(bundle_folder: Path, key: Path, stranger: Path) -> None:
    found = sign_bundle(bundle_folder, stranger)
    with pytest.raises(BundleIntegrityError, match=f"signed by the key {found.key_id[:16]}, which is not trusted"):
        Bundle.open(bundle_folder, trusted_keys=[public_file(key)])


def test_an_empty_list_trusts_nobody(bundle_folder: Path, key: Path) -> None:
    sign_bundle(bundle_folder, key)
    with pytest.raises(BundleIntegrityError, match="not trusted"):
        Bundle.open(bundle_folder, trusted_keys=[])


def test_a_key_id_does_not_make_a_key_trusted(bundle_folder: Path, key: Path, stranger: Path) -> None:
    forged = Signature(
        1, "ed25519", sign_bundle(bundle_folder, key).key_id, sign_bundle(bundle_folder, stranger).signature
    )
    (bundle_folder / SIGNATURE).write_bytes(forged.to_bytes())
    with pytest.raises(BundleIntegrityError, match="its manifest is not the one that was signed"):
        Bundle.open(bundle_folder, trusted_keys=[public_file(key)])


def test_a_signature_made_for_something_else_does_not_fit(bundle_folder: Path, key: Path) -> None:
    found = sign_bundle(bundle_folder, key)
    bare = private(key).sign((bundle_folder / MANIFEST).read_bytes())
    other = Signature(1, "ed25519", found.key_id, base64.b64encode(bare).decode())
    (bundle_folder / SIGNATURE).write_bytes(other.to_bytes())
    with pytest.raises(BundleIntegrityError, match="is not the one that was signed"):
        Bundle.open(bundle_folder, trusted_keys=[public_file(key)])


def test_white_space_in_the_manifest_is_noticed_by_the_signature_alone(bundle_folder: Path, key: Path) -> None:
    sign_bundle(bundle_folder, key)
    with (bundle_folder / MANIFEST).open("a") as file:
        file.write("\n")
    Bundle.open(bundle_folder).close()
    with pytest.raises(BundleIntegrityError, match="was altered: its manifest"):
        Bundle.open(bundle_folder, trusted_keys=[public_file(key)])


def test_whoever_replaces_a_file_and_its_sum_is_still_found_out(
    bundle_folder: Path, key: Path, sign_off: Callable[..., None]
) -> None:
    sign_bundle(bundle_folder, key)
    (bundle_folder / "CARD.md").write_text("# Better than it is\n")
    sign_off(bundle_folder)
    Bundle.open(bundle_folder).close()
    with pytest.raises(BundleIntegrityError, match="was altered"):
        Bundle.open(bundle_folder, trusted_keys=[public_file(key)])


def test_the_signature_of_an_older_bundle_does_not_fit_the_newer(
    bundle_folder: Path, key: Path, sign_off: Callable[..., None]
) -> None:
    older = sign_bundle(bundle_folder, key)
    sign_off(bundle_folder, created="2026-02-01")
    (bundle_folder / SIGNATURE).write_bytes(older.to_bytes())
    with pytest.raises(BundleIntegrityError):
        Bundle.open(bundle_folder, trusted_keys=[public_file(key)])


def test_signing_again_replaces(bundle_folder: Path, key: Path, stranger: Path) -> None:
    sign_bundle(bundle_folder, stranger)
    sign_bundle(bundle_folder, key)
    Bundle.open(bundle_folder, trusted_keys=[public_file(key)]).close()
    with pytest.raises(BundleIntegrityError):
        Bundle.open(bundle_folder, trusted_keys=[public_file(stranger)])


def test_a_zip_is_signed_inside(zipped: Path, key: Path, stranger: Path) -> None:
    with zipfile.ZipFile(zipped) as archive:
        unsigned = {name: archive.read(name) for name in archive.namelist()}
    for one in (stranger, key):
        sign_bundle(zipped, one)
    with zipfile.ZipFile(zipped) as archive:
        signed = {name: archive.read(name) for name in archive.namelist()}
    assert signed.pop(SIGNATURE) and signed == unsigned
    Bundle.open(zipped, trusted_keys=[public_file(key)]).close()
    assert [path.name for path in zipped.parent.iterdir()] == ["tiny.zip"]


def test_signing_is_deterministic(bundle_folder: Path, zipped: Path, key: Path, tmp_path: Path) -> None:
    """Ed25519 draws no random numbers, so that a signed release can be rebuilt byte for byte."""
    assert sign_bundle(bundle_folder, key) == sign_bundle(zipped, key)
    assert zip_bundle(bundle_folder, tmp_path / "two.zip").read_bytes() == zipped.read_bytes()


def test_an_interrupted_signing_leaves_the_zip_as_it_was(
    zipped: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rename = zipped.read_bytes(), os.replace

    def fail(source: Path, target: Path) -> None:
        if Path(target) == zipped:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(KeyboardInterrupt):
        sign_bundle(zipped, key)
    assert zipped.read_bytes() == before
    assert [path.name for path in zipped.parent.iterdir()] == ["tiny.zip"]


def test_a_spoilt_bundle_is_not_signed(bundle_folder: Path, key: Path) -> None:
    (bundle_folder / "CARD.md").write_text("other")
    with pytest.raises(BundleIntegrityError):
        sign_bundle(bundle_folder, key)
    assert not (bundle_folder / SIGNATURE).exists()


def ec_key(_: Path) -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, PKCS8, serialization.NoEncryption())


def locked_key(path: Path) -> bytes:
    return private(path).private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"secret"))


@pytest.mark.parametrize(
    "content",
    [ec_key, locked_key, lambda key: public_file(key).read_bytes(), lambda _: b"", lambda _: b"\xff" * 9000],
    ids=["another kind", "locked", "public half", "empty", "noise"],
)
def test_what_is_no_private_key_does_not_sign(
    content: Callable[[Path], bytes], bundle_folder: Path, key: Path, tmp_path: Path
) -> None:
    path = tmp_path / "odd.pem"
    path.write_bytes(content(key))
    with pytest.raises(SigningError, match=r"odd\.pem is no Ed25519 private key"):
        sign_bundle(bundle_folder, path)
    assert not (bundle_folder / SIGNATURE).exists()


def test_what_is_no_public_key_trusts_nothing(bundle_folder: Path, key: Path, tmp_path: Path) -> None:
    sign_bundle(bundle_folder, key)
    with pytest.raises(SigningError, match="is no Ed25519 public key"):
        Bundle.open(bundle_folder, trusted_keys=[key])
    with pytest.raises(SigningError, match="nowhere cannot be read"):
        Bundle.open(bundle_folder, trusted_keys=[tmp_path / "nowhere"])


def test_without_cryptography_nothing_is_taken_on_trust(
    bundle_folder: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_bundle(bundle_folder, key)
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(SigningError, match=r"pip install 'sigedge\[sign\]'"):
        Bundle.open(bundle_folder, trusted_keys=[public_file(key)])
    Bundle.open(bundle_folder).close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"ed25519"', b'"none"'),
        (b'"format_version": 1', b'"format_version": 2'),
        (b'"format_version": 1', b'"format_version": true'),
        (b'"format_version": 1,', b'"format_version": 1, "more": 1,'),
        (b'"key_id": "', b'"key_id": "AA'),
        (b'=="', b'="'),
        (b'=="', b'==\\n"'),
        (b'"signature": "', b'"signature": "AAAA'),
        (b"\n", b"\n\n"),
        (b"{", b"\xff{"),
    ],
)
def test_a_signature_file_is_written_in_one_way_only(bundle_folder: Path, key: Path, old: bytes, new: bytes) -> None:
    """Else the one file that no sum covers could carry whatever somebody puts there."""
    sign_bundle(bundle_folder, key)
    edit(bundle_folder / SIGNATURE, old, new)
    for trusted in (None, [public_file(key)]):
        with pytest.raises(BundleIntegrityError, match=SIGNATURE):
            Bundle.open(bundle_folder, trusted_keys=trusted)


def test_the_unused_bits_of_base64_are_no_hiding_place(key: Path) -> None:
    """The last letter before the padding carries 2 bits; 15 other letters decode to the same 64 bytes."""
    found = sign_manifest(b"{}", key)
    letters = string.ascii_letters + string.digits + "+/"
    writings = [found.signature[:-3] + letter + "==" for letter in letters]
    same = [one for one in writings if one != found.signature and base64.b64decode(one) == found.raw]
    assert len(same) == 15
    for other in same:
        with pytest.raises(BundleIntegrityError, match="no signature"):
            Signature.from_bytes(found.to_bytes().replace(found.signature.encode(), other.encode()))


def test_a_signature_that_is_no_plain_short_file_is_refused(bundle_folder: Path, key: Path, tmp_path: Path) -> None:
    sign_bundle(bundle_folder, key)
    file = bundle_folder / SIGNATURE
    shutil.move(file, tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleIntegrityError, match="not a plain file"):
        Bundle.open(bundle_folder)
    file.unlink()
    file.write_bytes(b" " * 5000)
    with pytest.raises(BundleIntegrityError, match="longer than 4096 bytes"):
        Bundle.open(bundle_folder)
    file.unlink()
    file.mkdir()
    with pytest.raises(BundleError, match="not a plain file"):
        Bundle.open(bundle_folder)


def test_a_manifest_may_not_list_its_own_signature(bundle_folder: Path, key: Path) -> None:
    sign_bundle(bundle_folder, key)
    with Bundle.open(bundle_folder) as bundle:
        write_manifest(bundle_folder, replace(bundle.manifest, files={**bundle.manifest.files, SIGNATURE: "00" * 32}))
    with pytest.raises(BundleIntegrityError, match=r"'manifest\.sig' twice"):
        Bundle.open(bundle_folder)
