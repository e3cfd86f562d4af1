"""The device API on real engines: it accepts, rejects, ranks, and refuses with a sentence."""

from __future__ import annotations

import json
import math
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_runtime import bundle as bundle_module
from sigedge_runtime import engines
from sigedge_runtime.bundle import Bundle, zip_bundle
from sigedge_runtime.engines import engine_class
from sigedge_runtime.errors import (
    BundleError,
    EngineError,
    EngineUnavailableError,
    ImageError,
    QualityError,
    StoreError,
    StoreLockedError,
    TemplateMismatchError,
    UnknownUserError,
)
from sigedge_runtime.matching import COSINE, LocalMatching
from sigedge_runtime.preprocessing import harmonise
from sigedge_runtime.results import Timings
from sigedge_runtime.scoring import score
from sigedge_runtime.store import TemplateStore
from sigedge_runtime.verifier import Verifier

Draw = Callable[[int, int], NDArray[np.uint8]]
BLANK = np.full((300, 600), 240, np.uint8)


@pytest.fixture(scope="module")
def shared(master_bundle: Path) -> Iterator[Verifier]:
    """A verifier whose store stays empty."""
    with Verifier.open(master_bundle) as opened:
        yield opened


@pytest.fixture
def verifier(master_bundle: Path) -> Iterator[Verifier]:
    with Verifier.open(master_bundle, selftest=False) as opened:
        yield opened


def genuine(draw: Draw, signer: int, count: int = 3) -> list[NDArray[np.uint8]]:
    return [draw(signer, sample) for sample in range(count)]


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_every_engine_accepts_and_rejects(master_bundle: Path, draw: Draw, engine: str, precision: str) -> None:
    with Verifier.open(master_bundle, engine=engine, precision=precision) as verifier:
        assert (verifier.engine.name, verifier.artifact.precision) == (engine, precision)
        verifier.enroll("ada", genuine(draw, 0))
        assert verifier.verify("ada", draw(0, 7)).accepted
        assert not verifier.verify("ada", draw(1, 7)).accepted


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_a_bundle_may_compare_cell_by_cell(cells_bundle: Path, draw: Draw, engine: str, precision: str) -> None:
    with Verifier.open(cells_bundle, engine=engine, precision=precision) as verifier:
        for signer, count in ((0, 3), (1, 1)):
            verifier.enroll(f"user-{signer}", genuine(draw, signer, count))
            assert verifier.verify(f"user-{signer}", draw(signer, 7)).accepted
            assert not verifier.verify(f"user-{signer}", draw(signer + 2, 7)).accepted
            best = verifier.identify(draw(signer, 9)).candidates[0]
            assert (best.user, best.accepted) == (f"user-{signer}", True)


def test_the_best_artefact_and_engine_are_the_default(shared: Verifier) -> None:
    assert (shared.artifact.name, shared.engine.name) == ("tiny-int8-tflite", "litert")
    assert shared.operating_point == "balanced"
    assert shared.manifest.model.name == "tiny"
    sha256 = shared.artifact.sha256
    assert shared.identity == f"tiny:{'ab' * 6}:tiny-int8-tflite:{sha256[:12]}"


def test_without_a_tflite_engine_float32_onnx_runs(master_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, engine_class(name).module, None)
    with Verifier.open(master_bundle) as verifier:
        assert verifier.artifact.name == "tiny-float32-onnx"
    with Verifier.open(master_bundle, precision="int8") as verifier:
        assert verifier.artifact.name == "tiny-int8-onnx"


def test_without_any_engine_the_sentence_says_what_to_install(
    master_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in engines.names():
        monkeypatch.setitem(sys.modules, engine_class(name).module, None)
    with pytest.raises(EngineUnavailableError, match="install ai-edge-litert"):
        Verifier.open(master_bundle)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"precision": "float16"}, "no float16 artefact; it holds tiny-float32-onnx"),
        ({"precision": "float16", "engine": "litert"}, "no float16 artefact for the engine litert"),
        ({"operating_point": "lax"}, "no operating point 'lax'; choose one of balanced, high-security"),
    ],
)
def test_what_the_bundle_lacks_is_listed(master_bundle: Path, options: dict[str, Any], word: str) -> None:
    with pytest.raises(BundleError, match=word):
        Verifier.open(master_bundle, **options)


def test_an_unknown_engine_is_refused(master_bundle: Path) -> None:
    with pytest.raises(EngineError, match="no engine 'gpu'"):
        Verifier.open(master_bundle, engine="gpu")


def test_a_failed_open_closes_what_it_opened(
    master_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zip_bundle(master_bundle, tmp_path / "tiny.zip")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    closed = []
    close = engine_class("litert").close
    monkeypatch.setattr(engine_class("litert"), "close", lambda self: closed.append(close(self)))
    with pytest.raises(StoreError):
        Verifier.open(archive, engine="litert", store=tmp_path / "no" / "folder.db")
    assert len(closed) == 1 and list(scratch.iterdir()) == []
    with Verifier.open(archive) as verifier:
        assert verifier.selftest().passed
        assert len(list(scratch.iterdir())) == 1
    assert list(scratch.iterdir()) == []


def test_the_default_bundle_is_used(master_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "DEFAULT_BUNDLE", master_bundle)
    with Verifier.open() as verifier:
        assert verifier.bundle.root == master_bundle


def test_what_the_caller_opened_stays_open(master_bundle: Path, draw: Draw, tmp_path: Path) -> None:
    store = TemplateStore(tmp_path / "templates.db")
    with Bundle.open(master_bundle) as bundle:
        with Verifier.open(bundle, store=store) as verifier:
            verifier.enroll("ada", genuine(draw, 0))
        assert bundle.path("CARD.md").exists()
    assert [user.name for user in store.users()] == ["ada"]
    store.close()
    with pytest.raises(EngineError, match="closed"):
        verifier.embed(draw(0, 0))
    verifier.close()


def test_an_embedding_is_the_unit_vector_of_the_network(master_bundle: Path, draw: Draw, expected: Any) -> None:
    with Verifier.open(master_bundle, precision="float32") as verifier:
        found = verifier.embed(draw(0, 0))
        exact = COSINE.prepare(expected(harmonise(draw(0, 0)).canvas))
        np.testing.assert_allclose(found.vector, exact, atol=1e-5)
        assert found.vector.dtype == np.float32
        assert found.identity == verifier.identity
        assert found.quality.usable


def test_an_embedding_is_prepared_as_the_bundle_compares(cells_bundle: Path, draw: Draw, expected: Any) -> None:
    with Verifier.open(cells_bundle, precision="float32") as verifier:
        found = verifier.embed(draw(0, 0)).vector
        np.testing.assert_allclose(np.linalg.norm(found.reshape(2, 4), axis=1).sum(), 1, rtol=1e-5)
        rows = np.stack([expected(harmonise(draw(0, sample)).canvas) for sample in range(4)])
        verifier.enroll("ada", genuine(draw, 0))
        exact = score(rows[3], rows[:3], verifier.manifest.verification)
        assert verifier.verify("ada", draw(0, 3)).score == pytest.approx(exact, abs=1e-4)


def test_consistency_is_of_the_references_stored_now(cells_bundle: Path, draw: Draw) -> None:
    with Verifier.open(cells_bundle, selftest=False) as verifier:
        for signer, again in ((0, False), (1, False), (2, True), (3, True)):
            verifier.enroll("ada", genuine(draw, signer, 2), replace=again)
            references = verifier.store.templates("ada", verifier.identity)
            for _ in range(2):
                verdict = verifier.verify("ada", draw(0, 7))
                (candidate,) = verifier.identify(draw(0, 7)).candidates
                exact = score(verifier.embed(draw(0, 7)).vector, references, verifier.manifest.verification)
                assert verdict.score == pytest.approx(exact, abs=1e-6)
                assert (candidate.score, candidate.references) == (pytest.approx(exact, abs=1e-6), len(references))


def test_consistency_is_worked_out_once_for_each_user(
    cells_bundle: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    original = LocalMatching.consistencies

    def count(self: LocalMatching, references: NDArray[np.float32], sizes: NDArray[np.intp]) -> NDArray[np.float64]:
        asked.extend(sizes)
        return original(self, references, sizes)

    monkeypatch.setattr(LocalMatching, "consistencies", count)
    with Verifier.open(cells_bundle, selftest=False) as verifier:
        verifier.enroll("ada", genuine(draw, 0, 3))
        verifier.enroll("bob", genuine(draw, 1, 2))
        for _ in range(2):
            verifier.verify("ada", draw(0, 7))
            verifier.identify(draw(1, 7))
        assert asked == [3, 2]
        verifier.enroll("ada", [draw(0, 4)])
        verifier.identify(draw(1, 7))
        assert asked == [3, 2, 4]


def test_what_is_remembered_of_users_is_bounded_and_holds_no_template(
    cells_bundle: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigedge_runtime.known_users.REMEMBERED", 3)
    with Verifier.open(cells_bundle, selftest=False) as verifier:
        for number in range(8):
            verifier.enroll(f"user {number}", genuine(draw, number % 2, 2))
            first = verifier.verify(f"user {number}", draw(0, 7)).score
            assert verifier.verify(f"user {number}", draw(0, 7)).score == first
            assert 1 <= len(verifier._judge.users._consistencies) <= 3
        remembered = verifier._judge.users._consistencies.values()
        assert all(isinstance(part, (int, float)) for known in remembered for part in known)


def test_images_may_be_paths_bytes_or_arrays(verifier: Verifier, draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "signature.png"
    cv2.imwrite(str(path), draw(0, 0))
    vectors = [verifier.embed(image).vector for image in (path, str(path), path.read_bytes(), draw(0, 0))]
    for vector in vectors[1:]:
        np.testing.assert_array_equal(vector, vectors[0])


def test_a_verdict_tells_everything(verifier: Verifier, draw: Draw) -> None:
    verifier.enroll("ada", genuine(draw, 0))
    verdict = verifier.verify("ada", draw(0, 5))
    assert verdict.accepted and verdict.score >= verdict.threshold
    assert (verdict.references, verdict.operating_point) == (3, "balanced")
    # Three references: the threshold and the calibration measured with three.
    assert verdict.threshold == pytest.approx(0.86)
    assert verdict.log_likelihood_ratio == pytest.approx(40 * verdict.score - 34.4)
    assert verdict.probability == pytest.approx(1 / (1 + math.exp(-verdict.log_likelihood_ratio)))
    assert (verdict.sign_again, verdict.remedy, verdict.quality_index) == (False, "", 1.0)
    assert verdict.identity == verifier.identity
    data = json.loads(json.dumps(verdict.to_dict()))
    assert data["accepted"] is True and data["quality"]["usable"] is True
    assert set(data["timings"]) == {"decode", "preprocess", "infer", "match", "total"}


def test_the_operating_point_can_be_chosen(master_bundle: Path, draw: Draw) -> None:
    with Verifier.open(master_bundle, operating_point="high-security") as strict:
        strict.enroll("ada", genuine(draw, 0))
        verdict = strict.verify("ada", draw(0, 5))
        assert (verdict.operating_point, verdict.threshold, verdict.accepted) == ("high-security", 0.9999, False)


def check_timings(timings: Timings) -> None:
    stages = (timings.decode, timings.preprocess, timings.infer, timings.match)
    assert all(stage > 0 for stage in stages)
    assert timings.total >= sum(stages)


def test_every_stage_is_timed(verifier: Verifier, draw: Draw) -> None:
    verifier.enroll("ada", genuine(draw, 0))
    check_timings(verifier.verify("ada", draw(0, 5)).timings)
    check_timings(verifier.identify(draw(0, 5)).timings)
    check_timings(verifier.compare(genuine(draw, 0), draw(0, 5)).timings)
    embedded = verifier.embed(draw(0, 5)).timings
    assert embedded.match == 0 and embedded.infer > 0


@pytest.mark.parametrize("bundle", ["master_bundle", "cells_bundle"])
def test_compare_decides_as_verify_does(bundle: str, draw: Draw, request: pytest.FixtureRequest) -> None:
    with Verifier.open(request.getfixturevalue(bundle), selftest=False) as verifier:
        verifier.enroll("ada", genuine(draw, 0))
        for signer in (0, 1):
            stored = verifier.verify("ada", draw(signer, 5))
            for references in (genuine(draw, 0), [verifier.embed(image) for image in genuine(draw, 0)]):
                for query in (draw(signer, 5), verifier.embed(draw(signer, 5))):
                    direct = verifier.compare(references, query)
                    assert replace(direct, timings=stored.timings) == stored


@pytest.mark.parametrize("images", [[], (), "one.png", b"bytes", Path("one.png"), BLANK])
def test_no_list_of_images_is_refused(shared: Verifier, images: Any) -> None:
    with pytest.raises(ImageError, match="give a list with one image or more"):
        shared.enroll("ada", images)
    with pytest.raises(ImageError, match="give a list"):
        shared.compare(images, BLANK)


def test_enrolling_again_adds_or_replaces(verifier: Verifier, draw: Draw) -> None:
    first = verifier.enroll("ada", genuine(draw, 0))
    assert (first.added, first.templates, first.user, len(first.qualities)) == (3, 3, "ada", 3)
    assert verifier.enroll("ada", [draw(0, 8)]).templates == 4
    assert verifier.enroll("ada", [draw(0, 8)], replace=True).templates == 1
    assert verifier.verify("ada", draw(0, 9)).references == 1
    assert json.loads(json.dumps(first.to_dict()))["identity"] == verifier.identity


def test_guidance_is_on_all_references_of_the_user(verifier: Verifier, draw: Draw, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.png"
    cv2.imwrite(str(stranger), draw(1, 0))
    first = verifier.enroll("ada", genuine(draw, 0)).guidance
    assert (first.references, first.consistency_tenth, first.outliers, first.advised) == (3, 10, (), None)
    second = verifier.enroll("ada", [stranger])
    assert (second.templates, second.guidance.references, second.guidance.outliers) == (4, 4, (3,))
    assert second.guidance.consistency_tenth == 1
    assert any(f"Reference 4 of 4 ({stranger}) resembles" in sentence for sentence in second.guidance.sentences)
    third = verifier.enroll("ada", [draw(0, 3)]).guidance
    assert third.outliers == (3,)
    assert any("Reference 4 of 5 resembles" in sentence for sentence in third.sentences)
    again = verifier.enroll("ada", [draw(0, 4), draw(0, 5)], replace=True).guidance
    assert (again.references, again.outliers, again.measured.references) == (2, (), 1)
    assert again.advised is not None and again.advised.references == 3
    assert json.loads(json.dumps(second.to_dict()))["guidance"]["outliers"] == [3]


def test_guidance_tells_the_errors_of_the_operating_point(master_bundle: Path, draw: Draw) -> None:
    with Verifier.open(master_bundle, operating_point="high-security", selftest=False) as strict:
        assert strict.enroll("ada", [draw(0, 0)]).guidance.measured.frr == 0.9


def test_guidance_of_an_older_bundle_names_no_outliers(cells_bundle: Path, draw: Draw) -> None:
    with Verifier.open(cells_bundle, selftest=False) as verifier:
        guidance = verifier.enroll("ada", [*genuine(draw, 0), draw(1, 0)]).guidance
        assert (guidance.outliers, guidance.consistency_tenth) == (None, None)
        references = verifier.store.templates("ada", verifier.identity)
        consistencies = verifier.manifest.verification.similarity.consistencies(references, np.array([4]))
        assert guidance.consistency == pytest.approx(consistencies[0], abs=1e-6)


@pytest.fixture
def asking(bundle_folder: Path, sign_off: Callable[..., None]) -> Iterator[Verifier]:
    """A verifier that sends poor pictures back."""
    with Bundle.open(bundle_folder) as bundle:
        decision = replace(bundle.manifest.verification, sign_again_below=0.9)
    sign_off(bundle_folder, decision=decision)
    with Verifier.open(bundle_folder) as opened:
        yield opened


def test_a_poor_picture_is_asked_for_again_whatever_its_score(asking: Verifier, draw: Draw) -> None:
    asking.enroll("ada", genuine(draw, 0))
    blurred = cv2.GaussianBlur(draw(0, 5), (0, 0), 2.6)
    verdict = asking.verify("ada", blurred)
    assert verdict.score >= verdict.threshold and verdict.quality.usable
    assert (verdict.accepted, verdict.sign_again) == (False, True)
    assert verdict.quality_index < 0.9 and "The strokes are blurred; hold" in verdict.remedy
    assert not asking.compare(genuine(draw, 0), asking.embed(blurred)).accepted
    found = asking.identify(blurred)
    assert (found.sign_again, found.remedy, found.quality_index) == (True, verdict.remedy, verdict.quality_index)
    assert found.candidates[0].score >= found.candidates[0].threshold and not found.candidates[0].accepted
    assert json.loads(json.dumps(verdict.to_dict()))["sign_again"] is True
    assert json.loads(json.dumps(found.to_dict()))["sign_again"] is True


def test_a_good_picture_is_not_asked_for_again(asking: Verifier, draw: Draw) -> None:
    asking.enroll("ada", genuine(draw, 0))
    verdict = asking.verify("ada", draw(0, 5))
    assert (verdict.accepted, verdict.sign_again, verdict.remedy) == (True, False, "")
    assert asking.identify(draw(0, 5)).candidates[0].accepted
    with pytest.raises(QualityError):
        asking.verify("ada", BLANK)


def test_without_a_bound_a_poor_picture_is_decided_on(verifier: Verifier, draw: Draw) -> None:
    verifier.enroll("ada", genuine(draw, 0))
    verdict = verifier.verify("ada", cv2.GaussianBlur(draw(0, 5), (0, 0), 2.6))
    assert verdict.accepted and not verdict.sign_again and verdict.quality_index < 0.9


def test_enrolment_is_all_or_nothing(verifier: Verifier, draw: Draw, tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    for bad, error in ((BLANK, QualityError), (missing, ImageError)):
        with pytest.raises(error):
            verifier.enroll("ada", [draw(0, 0), bad, draw(0, 1)])
        assert verifier.store.users() == ()
    verifier.enroll("ada", [draw(0, 0)])
    with pytest.raises(QualityError):
        verifier.enroll("ada", [draw(0, 1), BLANK], replace=True)
    assert verifier.store.users()[0].templates == 1


def test_a_page_without_ink_is_named_with_its_reasons(shared: Verifier, tmp_path: Path) -> None:
    path = tmp_path / "blank.png"
    cv2.imwrite(str(path), BLANK)
    for call in (lambda: shared.embed(path), lambda: shared.compare([path], path)):
        with pytest.raises(QualityError, match=r"blank\.png shows no usable signature: \w+") as raised:
            call()
        assert not raised.value.quality.usable
        assert raised.value.quality.issues[0].message in str(raised.value)


def test_unknown_users_are_refused_before_the_image_is_read(shared: Verifier) -> None:
    with pytest.raises(UnknownUserError, match="'eve' is not enrolled"):
        shared.verify("eve", "does-not-exist.png")
    with pytest.raises(UnknownUserError, match="Nobody is enrolled"):
        shared.identify("does-not-exist.png")


def test_templates_of_another_precision_are_refused(master_bundle: Path, draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "templates.db"
    with Verifier.open(master_bundle, precision="float32", store=path) as other:
        other.enroll("ada", genuine(draw, 0))
        foreign = other.embed(draw(0, 0))
    with Verifier.open(master_bundle, store=path) as verifier:
        for call in (
            lambda: verifier.verify("ada", draw(0, 5)),
            lambda: verifier.identify(draw(0, 5)),
            lambda: verifier.enroll("ada", genuine(draw, 0)),
        ):
            with pytest.raises(TemplateMismatchError, match=r"tiny-float32-tflite.*tiny-int8-tflite.*enrol again"):
                call()
        for call in (
            lambda: verifier.compare([foreign], draw(0, 5)),
            lambda: verifier.compare([draw(0, 5)], foreign),
        ):
            with pytest.raises(TemplateMismatchError, match="embed its image again"):
                call()
        verifier.enroll("ada", genuine(draw, 0), replace=True)
        assert verifier.verify("ada", draw(0, 5)).accepted


def test_a_locked_store_stops_enrolment_alone(master_bundle: Path, draw: Draw, tmp_path: Path) -> None:
    store = TemplateStore(tmp_path / "templates.db", busy_timeout_ms=50)
    with Verifier.open(master_bundle, store=store) as verifier:
        verifier.enroll("ada", genuine(draw, 0))
        other = sqlite3.connect(tmp_path / "templates.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreLockedError, match=r"templates\.db is locked"):
            verifier.enroll("bob", genuine(draw, 1))
        assert verifier.verify("ada", draw(0, 5)).accepted
        other.close()
        assert [user.name for user in store.users()] == ["ada"]
    store.close()


def test_a_model_that_computes_nan_never_serves(nan_bundle: Path) -> None:
    with pytest.raises(EngineError, match=r"nan\.onnx.*NaN"):
        Verifier.open(nan_bundle, selftest=False)


def test_the_writer_is_ranked_first(verifier: Verifier, draw: Draw) -> None:
    for signer in range(4):
        verifier.enroll(f"user-{signer}", genuine(draw, signer, count=1 + signer))
    for signer in range(4):
        found = verifier.identify(draw(signer, 9))
        best = found.candidates[0]
        assert best.user == f"user-{signer}" and best.accepted
        assert best.references == 1 + signer
        assert not any(candidate.accepted for candidate in found.candidates[1:])
        chances = [candidate.probability for candidate in found.candidates]
        assert chances == sorted(chances, reverse=True)
        assert (found.enrolled, len(found.candidates), found.operating_point) == (4, 4, "balanced")


def test_identify_scores_as_verify_does(verifier: Verifier, draw: Draw) -> None:
    for signer in range(3):
        verifier.enroll(f"user-{signer}", genuine(draw, signer, count=1 + signer))
    for candidate in verifier.identify(draw(1, 9)).candidates:
        verdict = verifier.verify(candidate.user, draw(1, 9))
        assert candidate.score == pytest.approx(verdict.score, abs=1e-6)
        assert candidate.probability == pytest.approx(verdict.probability, abs=1e-4)
        assert candidate.log_likelihood_ratio == pytest.approx(verdict.log_likelihood_ratio, abs=1e-3)
        assert (candidate.threshold, candidate.accepted) == (verdict.threshold, verdict.accepted)


@pytest.mark.parametrize(("limit", "length"), [(0, 0), (-1, 0), (2, 2), (99, 3)])
def test_the_number_of_candidates_is_limited(verifier: Verifier, draw: Draw, limit: int, length: int) -> None:
    for signer in range(3):
        verifier.enroll(f"user-{signer}", [draw(signer, 0)])
    found = verifier.identify(draw(0, 1), limit=limit)
    assert (len(found.candidates), found.enrolled) == (length, 3)
    assert len(json.loads(json.dumps(found.to_dict()))["candidates"]) == length


def test_threads_share_a_verifier(verifier: Verifier, draw: Draw) -> None:
    verifier.enroll("ada", genuine(draw, 0))
    expected = [verifier.verify("ada", draw(signer, 5)).score for signer in range(3)]
    wrong: list[int] = []

    def work() -> None:
        for signer in range(3):
            if verifier.verify("ada", draw(signer, 5)).score != expected[signer]:
                wrong.append(signer)

    with ThreadPoolExecutor(4) as pool:
        for finished in [pool.submit(work) for _ in range(4)]:
            finished.result()
    assert wrong == []


def test_replaying_the_vectors_leaves_the_store_alone(verifier: Verifier) -> None:
    report = verifier.selftest()
    assert report.passed
    assert verifier.store.users() == ()
