"""Bad input: one sentence on stderr that names the file and the remedy, exit code 2, nothing half-written."""

from __future__ import annotations

import re
import sqlite3
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from sigedge.synthesis import write_dataset

Spoil = Callable[[Path, Path], None]


def truncated(path: Path, sound: Path) -> None:
    path.write_bytes(sound.read_bytes()[: sound.stat().st_size // 2])


def one_pixel(path: Path, sound: Path) -> None:
    cv2.imwrite(str(path), np.full((1, 1), 255, np.uint8))


def two_hundred_megapixels(path: Path, sound: Path) -> None:
    """A header that promises 20,000 x 10,000 pixels; no test has to store them."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 10_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + sound.read_bytes()[33:])


def blank_page(path: Path, sound: Path) -> None:
    cv2.imwrite(str(path), np.full((400, 800), 250, np.uint8))


def photo_without_ink(path: Path, sound: Path) -> None:
    """A soft gradient with sensor noise in colour: a table top, a wall."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:480, 0:640]
    light = 150 + 60 * np.sin(rows / 300) + 30 * np.cos(columns / 250)
    colour = light[..., None] + np.array([10, 0, -20]) + rng.normal(0, 3, (480, 640, 3))
    cv2.imwrite(str(path), colour.clip(0, 255).astype(np.uint8))


def a_text(path: Path, sound: Path) -> None:
    path.write_text("not a picture")


def nothing(path: Path, sound: Path) -> None:
    path.touch()


def missing(path: Path, sound: Path) -> None:
    assert not path.exists()


IMAGES = [
    missing,
    nothing,
    truncated,
    one_pixel,
    two_hundred_megapixels,
    blank_page,
    photo_without_ink,
    a_text,
]


@pytest.fixture(params=IMAGES, ids=lambda spoil: spoil.__name__)
def bad_image(request: pytest.FixtureRequest, tmp_path: Path, signatures: Path) -> Path:
    path = tmp_path / "questioned.png"
    request.param(path, signatures / "ada" / "0.png")
    return path


def sentence_of(result) -> str:
    """The one line on stderr of a command that ended with code 2."""
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and "Traceback" not in result.stderr
    line = result.stderr.strip()
    assert re.fullmatch(r"sigedge: [^\n]+[.\w)'`]", line), line
    return line


def names(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*")}


def test_verify_names_the_image(run, bad_image: Path, signatures: Path, master_bundle: Path) -> None:
    result = run("verify", bad_image, "-r", signatures / "ada" / "0.png", "-b", master_bundle)
    assert str(bad_image) in sentence_of(result)


def test_a_bad_reference_is_named_too(run, bad_image: Path, signatures: Path, master_bundle: Path) -> None:
    good = signatures / "ada" / "0.png"
    result = run("verify", good, "-r", signatures / "ada" / "1.png", "-r", bad_image, "-b", master_bundle)
    assert str(bad_image) in sentence_of(result)


def test_enrolment_with_a_bad_image_stores_nothing(
    run, bad_image: Path, signatures: Path, master_bundle: Path, tmp_path: Path
) -> None:
    before = names(tmp_path)
    images = (signatures / "ada" / "0.png", bad_image)
    result = run("enroll", *images, "--user", "ada", "--store", tmp_path / "t.db", "-b", master_bundle)
    assert str(bad_image) in sentence_of(result)
    assert names(tmp_path) == before


def test_an_empty_folder(run, master_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    result = run("enroll", folder, "--user", "ada", "--store", tmp_path / "t.db", "-b", master_bundle)
    assert str(folder) in sentence_of(result)
    assert names(tmp_path) == {folder}


@pytest.mark.parametrize("name", ["", "  "])
def test_a_user_without_a_name(run, signatures: Path, master_bundle: Path, tmp_path: Path, name: str) -> None:
    store = tmp_path / "t.db"
    result = run("enroll", signatures / "ada", "--user", name, "--store", store, "-b", master_bundle)
    assert "blank" in sentence_of(result)
    assert not store.exists()


@pytest.fixture
def store(run, signatures: Path, master_bundle: Path, tmp_path: Path) -> Path:
    path = tmp_path / "t.db"
    assert run("enroll", signatures / "ada", "--user", "ada", "--store", path, "-b", master_bundle).exit_code == 0
    return path


def test_an_unknown_user(run, store: Path, signatures: Path, master_bundle: Path) -> None:
    result = run("verify", signatures / "ada" / "0.png", "--user", "eve", "--store", store, "-b", master_bundle)
    line = sentence_of(result)
    assert "'eve'" in line and str(store) in line and "enrol" in line


@pytest.mark.parametrize("command", [("verify", "--user", "ada"), ("identify",)])
def test_a_store_that_is_not_there_is_not_made(
    run, command: tuple[str, ...], signatures: Path, master_bundle: Path, tmp_path: Path
) -> None:
    name, *options = command
    absent = tmp_path / "absent.db"
    result = run(name, signatures / "ada" / "0.png", *options, "--store", absent, "-b", master_bundle)
    assert str(absent) in sentence_of(result)
    assert not absent.exists()


def test_a_locked_store(run, store: Path, signatures: Path, master_bundle: Path) -> None:
    other = sqlite3.connect(store)
    other.execute("BEGIN EXCLUSIVE")
    try:
        result = run("enroll", signatures / "bob", "--user", "bob", "--store", store, "-b", master_bundle)
    finally:
        other.rollback()
        other.close()
    line = sentence_of(result)
    assert str(store) in line and "locked" in line and "try again" in line
    unknown = run("verify", signatures / "bob" / "0.png", "--user", "bob", "--store", store, "-b", master_bundle)
    assert unknown.exit_code == 2


def test_a_file_that_is_no_store(run, signatures: Path, master_bundle: Path, tmp_path: Path) -> None:
    store = tmp_path / "t.db"
    store.write_text("a diary, not a database" * 100)
    result = run("identify", signatures / "ada" / "0.png", "--store", store, "-b", master_bundle)
    assert str(store) in sentence_of(result)
    assert store.read_text().startswith("a diary")


def test_a_store_in_a_missing_folder(run, signatures: Path, master_bundle: Path, tmp_path: Path) -> None:
    store = tmp_path / "absent" / "t.db"
    result = run("enroll", signatures / "ada", "--user", "ada", "--store", store, "-b", master_bundle)
    assert str(store) in sentence_of(result)


BUNDLE_COMMANDS = (
    ("selftest", "{bundle}"),
    ("verify", "q.png", "-r", "r.png", "--bundle", "{bundle}"),
    ("enroll", "q.png", "--user", "ada", "--store", "never.db", "--bundle", "{bundle}"),
    ("identify", "q.png", "--store", __file__, "--bundle", "{bundle}"),
    ("bench", "{bundle}"),
    ("parity", "{bundle}"),
)


def with_bundle(command: tuple[str, ...], bundle: Path) -> list[str]:
    return [word.format(bundle=bundle) for word in command]


@pytest.mark.parametrize("command", BUNDLE_COMMANDS, ids=lambda command: command[0])
def test_a_missing_bundle(run, command: tuple[str, ...], tmp_path: Path) -> None:
    assert str(tmp_path / "absent") in sentence_of(run(*with_bundle(command, tmp_path / "absent")))


@pytest.mark.parametrize("command", BUNDLE_COMMANDS, ids=lambda command: command[0])
def test_a_tampered_bundle(run, command: tuple[str, ...], bundle_folder: Path) -> None:
    victim = bundle_folder / "artifacts" / "int8.tflite"
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    assert "int8.tflite" in sentence_of(run(*with_bundle(command, bundle_folder)))
    assert not Path("never.db").exists()


def test_a_file_slipped_into_a_bundle(run, bundle_folder: Path) -> None:
    (bundle_folder / "artifacts" / "extra.tflite").write_bytes(b"x")
    assert "extra.tflite" in sentence_of(run("selftest", bundle_folder))


def test_a_zip_that_is_none(run, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(b"PK\x03\x04 and so on")
    assert str(path) in sentence_of(run("selftest", path))


@pytest.mark.parametrize(("option", "value"), [("--engine", "abacus"), ("--precision", "int3")])
def test_what_no_engine_or_bundle_has(run, master_bundle: Path, option: str, value: str) -> None:
    assert value in sentence_of(run("selftest", master_bundle, option, value))


def write_nan_checkpoint(path: Path) -> None:
    torch = pytest.importorskip("torch", reason="checkpoints need PyTorch (pip install 'sigedge[export]')")
    from safetensors.torch import save_file

    from sigedge_models import create

    state = create("edgesig").state_dict()
    name = next(key for key, value in state.items() if value.is_floating_point())
    state[name].flatten()[0] = torch.nan
    header = (
        '{"architecture": "edgesig", "config": {}, "name": "edgesig", "version": "1", "preprocess": {}, "decision": {}}'
    )
    save_file(state, path, metadata={"sigedge": header})


def test_weights_that_are_no_numbers(run, tmp_path: Path) -> None:
    path = tmp_path / "nan.safetensors"
    write_nan_checkpoint(path)
    line = sentence_of(run("export", path, "--out", tmp_path / "bundle"))
    assert str(path) in line and "NaN" in line
    assert names(tmp_path) == {path}


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04pickle"])
def test_a_checkpoint_that_is_none(run, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    before = names(tmp_path)
    assert str(path) in sentence_of(run("export", path, "--out", tmp_path / "bundle"))
    assert names(tmp_path) == before


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("synth") / "people", signers=2, genuine=2, forged=1, seed=9)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--splits", "absent.json"), "absent.json"),
        (("--split", "tets"), "tets"),
        (("--dataset", "cedra"), "cedra"),
        (("--refs", "1;5"), "1;5"),
        (("--artifact", "tiny-int3"), "tiny-int3"),
        (("--engine", "abacus"), "abacus"),
    ],
)
def test_evaluate_names_what_it_cannot_use(
    run, dataset: Path, master_bundle: Path, tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    result = run("evaluate", master_bundle, "--index", dataset, *options, "--cache", tmp_path / "c", "--json", "r.json")
    assert named in sentence_of(result)
    assert not Path("r.json").exists()


def test_evaluate_without_an_index(run, master_bundle: Path, tmp_path: Path) -> None:
    absent = tmp_path / "index.csv"
    assert str(absent) in sentence_of(run("evaluate", master_bundle, "--index", absent))


def test_a_result_that_cannot_be_written_is_named(run, signatures: Path, master_bundle: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    good = signatures / "ada" / "0.png"
    result = run("verify", good, "-r", good, "-b", master_bundle, "--json", blocked / "verdict.json")
    assert result.exit_code == 2 and str(blocked) in result.stderr
