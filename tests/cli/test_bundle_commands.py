"""`sigedge bundle keygen`, `sign`, `verify` and `audit` on the tiny bundle."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from sigedge_runtime.bundle import Bundle, zip_bundle


@pytest.fixture
def key(run, tmp_path: Path) -> Path:
    path = tmp_path / "release.pem"
    assert run("bundle", "keygen", "--out", path).exit_code == 0
    return path


def public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def test_a_key_pair(run, tmp_path: Path) -> None:
    result = run("bundle", "keygen", "--out", tmp_path / "key", "--json", "-")
    found = json.loads(result.stdout)
    assert found["public_key"] == str(tmp_path / "key.pub") and len(found["key_id"]) == 64
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert "keep" in result.stderr and "PRIVATE" not in result.output
    again = run("bundle", "keygen", "--out", tmp_path / "key")
    assert again.exit_code == 2 and "may be the only copy" in again.stderr


@pytest.mark.parametrize("zipped", [False, True])
def test_signed_and_verified(run, bundle_folder: Path, key: Path, zipped: bool) -> None:
    path = zip_bundle(bundle_folder, bundle_folder.with_suffix(".zip")) if zipped else bundle_folder
    unsigned = run("bundle", "verify", path, "--public-key", public(key))
    assert unsigned.exit_code == 1 and "REFUSED" in unsigned.stdout and "is not signed" in unsigned.stdout
    signed = json.loads(run("bundle", "sign", path, "--key", key, "--json", "-").stdout)
    result = run("bundle", "verify", path, "--public-key", public(key), "--json", "-")
    verified = json.loads(result.stdout)
    assert result.exit_code == 0 and "VERIFIED" in result.stderr
    assert verified["verified"] is True and verified["key_id"] == signed["key_id"] and verified["files"] > 5


def test_an_altered_bundle_is_refused_with_code_1(run, bundle_folder: Path, key: Path) -> None:
    run("bundle", "sign", bundle_folder, "--key", key)
    (bundle_folder / "CARD.md").write_text("# Other\n")
    result = run("bundle", "verify", bundle_folder, "--public-key", public(key), "--json", "-")
    assert result.exit_code == 1 and "CARD.md" in result.stderr
    assert json.loads(result.stdout)["verified"] is False


def test_a_stranger_is_refused_unless_trusted_too(run, bundle_folder: Path, key: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    run("bundle", "keygen", "--out", other)
    run("bundle", "sign", bundle_folder, "--key", other)
    verify = ("bundle", "verify", bundle_folder, "--public-key", public(key))
    assert run(*verify).exit_code == 1
    assert run(*verify, "--public-key", public(other)).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("verify", "BUNDLE", "--public-key", "KEY"), "is no Ed25519 public key"),
        (("sign", "BUNDLE", "--key", "PUB"), "is no Ed25519 private key"),
        (("sign", "BUNDLE", "--key", "NOWHERE"), "cannot be read"),
        (("sign", "NOWHERE", "--key", "KEY"), "does not exist"),
        (("verify", "NOWHERE", "--public-key", "PUB"), "does not exist"),
        (("audit", "NOWHERE"), "does not exist"),
        (("verify", "BUNDLE"), "--public-key"),
    ],
)
def test_bad_input_is_code_2(
    run, arguments: tuple[str, ...], word: str, bundle_folder: Path, key: Path, tmp_path: Path
) -> None:
    places = {"BUNDLE": bundle_folder, "KEY": key, "PUB": public(key), "NOWHERE": tmp_path / "nowhere"}
    result = run("bundle", *(places.get(one, one) for one in arguments))
    assert result.exit_code == 2 and word in result.stderr and "Traceback" not in result.output


def test_an_audit_lists_files_runs_and_findings(run, master_bundle: Path) -> None:
    result = run("bundle", "audit", master_bundle, "--json", "-")
    found = json.loads(result.stdout)
    assert result.exit_code == 0 and "cannot stand alone" in result.stderr
    assert {entry["artifact"] for entry in found["files"]} == {entry["artifact"] for entry in found["runs"]}
    assert found["files"][2]["loads_on"] == ["ai-edge-litert 2.1.0", "tflite-runtime 2.14.0"]
    assert found["runs"][0]["placement"]["delegate"] == "CPUExecutionProvider"
    assert not any(entry["grave"] for entry in found["findings"])


def test_an_audit_that_finds_something_grave_is_code_1(run, bundle_folder: Path, sign_off) -> None:
    with Bundle.open(bundle_folder) as bundle:
        float32, int8, *rest = bundle.manifest.artifacts
    (bundle_folder / int8.file).unlink()
    sign_off(bundle_folder, artifacts=(replace(float32, precision="int8"), *rest))
    result = run("bundle", "audit", bundle_folder)
    assert result.exit_code == 1 and "declared int8, but its weights are 100% float32" in result.stdout
