"""`enroll`, `verify`, `identify` and `selftest` on the tiny bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest


@pytest.fixture
def store(run, signatures: Path, master_bundle: Path, tmp_path: Path) -> Path:
    """A store in which ada and bob are enrolled with three signatures each."""
    path = tmp_path / "templates.db"
    for user in ("ada", "bob"):
        images = [signatures / user / f"{sample}.png" for sample in range(3)]
        result = run("enroll", *images, "--user", user, "--store", path, "--bundle", master_bundle)
        assert result.exit_code == 0, result.stderr
    return path


def test_a_genuine_signature_is_accepted(run, store: Path, signatures: Path, master_bundle: Path) -> None:
    result = run("verify", signatures / "ada" / "3.png", "--user", "ada", "--store", store, "--bundle", master_bundle)
    assert result.exit_code == 0
    assert result.stdout.startswith("ACCEPTED") and "3 references" in result.stdout
    assert "at equal priors, log likelihood ratio +" in result.stdout


def test_another_persons_signature_is_rejected(run, store: Path, signatures: Path, master_bundle: Path) -> None:
    result = run("verify", signatures / "bob" / "3.png", "--user", "ada", "--store", store, "--bundle", master_bundle)
    assert result.exit_code == 1 and result.stdout.startswith("REJECTED")
    assert "log likelihood ratio -" in result.stdout


def test_a_verdict_as_json(run, store: Path, signatures: Path, master_bundle: Path) -> None:
    query = signatures / "ada" / "3.png"
    result = run("verify", query, "--user", "ada", "--store", store, "--bundle", master_bundle, "--json", "-")
    verdict = json.loads(result.stdout)
    assert verdict["accepted"] is True and verdict["references"] == 3
    assert verdict["log_likelihood_ratio"] > 0 and verdict["sign_again"] is False
    assert set(verdict["timings"]) == {"decode", "preprocess", "infer", "match", "total"}


def test_a_poor_picture_is_asked_for_again(
    run, store: Path, signatures: Path, bundle_folder: Path, sign_off, tmp_path: Path
) -> None:
    import cv2

    from sigedge_runtime import Bundle

    with Bundle.open(bundle_folder) as bundle:
        decision = bundle.manifest.verification
    sign_off(bundle_folder, decision=replace(decision, sign_again_below=0.9))
    blurred = tmp_path / "blurred.png"
    cv2.imwrite(str(blurred), cv2.GaussianBlur(cv2.imread(str(signatures / "ada" / "3.png")), (0, 0), 2.6))
    result = run("verify", blurred, "--user", "ada", "--store", store, "--bundle", bundle_folder)
    assert result.exit_code == 1 and result.stdout.startswith("SIGN AGAIN")
    assert "take the picture again. The strokes are blurred" in result.stdout
    found = run("identify", blurred, "--store", store, "--bundle", bundle_folder)
    assert found.exit_code == 1 and "take the picture again. The strokes are blurred" in found.stdout


def test_references_need_no_store(run, signatures: Path, master_bundle: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    query = signatures / "ada" / "3.png"
    assert run("verify", query, "-r", signatures / "ada", "--bundle", master_bundle).exit_code == 0
    assert run("verify", query, "-r", signatures / "bob" / "0.png", "-b", master_bundle).exit_code == 1
    assert sorted(tmp_path.iterdir()) == before


def test_an_operating_point_can_be_named(run, store: Path, signatures: Path, master_bundle: Path) -> None:
    query = ("verify", signatures / "ada" / "3.png", "--user", "ada", "--store", store, "--bundle", master_bundle)
    assert run(*query, "--operating-point", "high-security").exit_code == 1
    result = run(*query, "--operating-point", "nonsense")
    assert result.exit_code == 2 and "nonsense" in result.stderr and "high-security" in result.stderr


def test_identify_ranks_the_writer_first(run, store: Path, signatures: Path, master_bundle: Path) -> None:
    result = run("identify", signatures / "bob" / "3.png", "--store", store, "--bundle", master_bundle, "--json", "-")
    assert result.exit_code == 0
    assert [candidate["user"] for candidate in json.loads(result.stdout)["candidates"]] == ["bob", "ada"]


def test_identify_is_code_1_when_nobody_is_accepted(
    run, store: Path, draw, master_bundle: Path, tmp_path: Path
) -> None:
    import cv2

    stranger = tmp_path / "stranger.png"
    cv2.imwrite(str(stranger), draw(7, 0))
    result = run("identify", stranger, "--store", store, "--bundle", master_bundle)
    assert result.exit_code == 1 and "ada" in result.stdout


def test_a_folder_is_enrolled_as_its_images(run, signatures: Path, master_bundle: Path, tmp_path: Path) -> None:
    arguments = ("enroll", signatures / "ada", "--user", "ada", "--store", tmp_path / "t.db", "-b", master_bundle)
    assert json.loads(run(*arguments, "--json", "-").stdout)["templates"] == 4
    assert json.loads(run(*arguments, "--json", "-").stdout)["templates"] == 8
    assert json.loads(run(*arguments, "--replace", "--json", "-").stdout)["templates"] == 4


def test_enrolment_names_what_stands_out(run, store: Path, signatures: Path, master_bundle: Path) -> None:
    stranger = signatures / "bob" / "0.png"
    options = ("--user", "ada", "--store", store, "--bundle", master_bundle)
    result = run("enroll", stranger, *options)
    assert result.exit_code == 0 and "(4 in all)" in result.stdout
    assert f"Reference 4 of 4 ({stranger}) resembles" in result.stdout
    guidance = json.loads(run("enroll", signatures / "ada" / "3.png", *options, "--json", "-").stdout)["guidance"]
    assert (guidance["references"], guidance["outliers"], guidance["advised"]) == (5, [3], None)


def test_enrolment_says_how_many_more(run, signatures: Path, master_bundle: Path, tmp_path: Path) -> None:
    arguments = ("enroll", signatures / "ada" / "0.png", "--user", "ada", "--store", tmp_path / "t.db")
    result = run(*arguments, "--bundle", master_bundle)
    assert "with 3 references 3.0 % and 3.0 %; add 2 more." in result.stdout


def test_an_older_bundle_names_no_outliers(run, signatures: Path, cells_bundle: Path, tmp_path: Path) -> None:
    images = [signatures / name for name in ("ada/0.png", "ada/1.png", "ada/2.png", "bob/0.png")]
    options = ("--user", "ada", "--store", tmp_path / "t.db", "--bundle", cells_bundle, "--json", "-")
    guidance = json.loads(run("enroll", *images, *options).stdout)["guidance"]
    assert (guidance["references"], guidance["outliers"], guidance["consistency_tenth"]) == (4, None, None)


def test_templates_of_another_precision_are_refused(run, store: Path, signatures: Path, master_bundle: Path) -> None:
    query = signatures / "ada" / "3.png"
    options = ("--user", "ada", "--store", store, "--bundle", master_bundle, "--precision", "float32")
    result = run("verify", query, *options)
    assert result.exit_code == 2 and "enrol again" in result.stderr


@pytest.mark.parametrize("options", [(), ("--engine", "onnxruntime"), ("--precision", "float32", "--threads", "2")])
def test_selftest_passes(run, master_bundle: Path, options: tuple[str, ...]) -> None:
    result = run("selftest", master_bundle, *options, "--json", "-")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["passed"] is True and "PASSED" in result.stderr


def test_selftest_fails_with_code_1(run, bundle_folder: Path, sign_off) -> None:
    """Vectors that the model never gave: their sums are right, their scores are not."""
    vectors = bundle_folder / "vectors" / "vectors.json"
    content = json.loads(vectors.read_text())
    for score in content["scores"]:
        score["score"] = 0.0
    vectors.write_text(json.dumps(content))
    sign_off(bundle_folder)
    result = run("selftest", bundle_folder)
    assert result.exit_code == 1 and "FAILED" in result.stdout
    refused = run("verify", "any.png", "-r", "other.png", "--bundle", bundle_folder)
    assert refused.exit_code == 1 and "self-test" in refused.stderr
