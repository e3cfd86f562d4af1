from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_export import Export, GoldenImage, Reference
from sigedge_export.vectors import write_vectors
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import ExportError
from sigedge_runtime.images import read_image
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise
from sigedge_runtime.scoring import score

Vectors = dict[str, Any]


def test_images_replay_to_the_stored_canvases_and_embeddings(
    exported: Export, vectors: Vectors, reference: Reference
) -> None:
    folder = exported.bundle / "vectors"
    for case in vectors["cases"]:
        canvas = harmonise(read_image(folder / case["image"])).canvas
        assert np.array_equal(canvas, cv2.imread(str(folder / case["canvas"]), cv2.IMREAD_UNCHANGED))
        assert hashlib.sha256(canvas.tobytes()).hexdigest() == case["canvas_sha256"]
        assert np.allclose(reference.embed(canvas[None])[0], case["embedding"], rtol=1e-4, atol=1e-4)


def test_scores_and_decisions_follow_from_the_embeddings(exported: Export, vectors: Vectors) -> None:
    embeddings = {case["id"]: np.array(case["embedding"], np.float32) for case in vectors["cases"]}
    with Bundle.open(exported.bundle) as bundle:
        decision = bundle.manifest.decision
    for entry in vectors["scores"]:
        references = np.stack([embeddings[name] for name in entry["references"]])
        expected = score(embeddings[entry["query"]], references, decision)
        threshold = decision.operating_point("balanced", len(references)).threshold
        assert entry["score"] == pytest.approx(expected, abs=1e-6)
        assert entry["accepted"] == (entry["score"] >= threshold)


def test_all_kinds_of_comparison_are_there(vectors: Vectors) -> None:
    cases = {case["id"]: case for case in vectors["cases"]}
    kinds = set()
    for entry in vectors["scores"]:
        owner, query = cases[entry["references"][0]], cases[entry["query"]]
        assert entry["query"] not in entry["references"]
        same = owner["signer"] == query["signer"]
        kinds.add((len(entry["references"]), query["label"] if same else "random"))
    assert kinds == {(count, kind) for count in (1, 2) for kind in ("genuine", "skilled", "random")}
    assert {entry["accepted"] for entry in vectors["scores"]} == {True, False}


def test_all_kinds_of_image_are_there(exported: Export, vectors: Vectors) -> None:
    kinds = set()
    for case in vectors["cases"]:
        image = cv2.imread(str(exported.bundle / "vectors" / case["image"]), cv2.IMREAD_UNCHANGED)
        assert image is not None
        kinds.add((Path(case["image"]).suffix, image.shape[2] if image.ndim == 3 else 1))
    assert kinds == {(".png", 1), (".png", 3), (".png", 4), (".jpg", 1)}


def test_the_format_is_declared_and_every_file_is_used(exported: Export, vectors: Vectors) -> None:
    assert (vectors["format_version"], vectors["reference"]) == (1, "torch float32")
    folder = exported.bundle / "vectors"
    named = {case[key] for case in vectors["cases"] for key in ("image", "canvas")} | {"vectors.json"}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == named


def embed_sums(canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
    return canvases.reshape(len(canvases), 8, -1).sum(axis=2).astype(np.float32)


def write(folder: Path, images: list[GoldenImage], decision: dict[str, Any]) -> None:
    write_vectors(folder, images, PreprocessSpec(), Decision.from_dict(decision), embed_sums)


def test_a_blank_golden_image_is_refused(tmp_path: Path, golden: list[GoldenImage], exported: Export) -> None:
    blank = GoldenImage("blank", "a", "genuine", np.full((60, 120), 255, np.uint8))
    with Bundle.open(exported.bundle) as bundle, pytest.raises(ExportError, match="golden image blank shows no"):
        write(tmp_path, [*golden, blank], bundle.manifest.decision.to_dict())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [(lambda images: [*images, images[0]], "repeat an id"), (lambda images: images[:1], "two or more of one")],
)
def test_golden_images_must_be_distinct_and_comparable(
    change: Any, sentence: str, tmp_path: Path, golden: list[GoldenImage], exported: Export
) -> None:
    with Bundle.open(exported.bundle) as bundle, pytest.raises(ExportError, match=sentence):
        write(tmp_path, change(golden), bundle.manifest.decision.to_dict())
    assert list(tmp_path.iterdir()) == []
