"""A real bundle with a tiny ONNX model: the embedding is the ink in each of 128 cells of the canvas."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import CanvasCache, read_folders
from sigedge.evaluation.bundle import acquire, evaluate_bundle
from sigedge_runtime.bundle import hash_file, hash_files, write_manifest
from sigedge_runtime.decision import Calibration, Decision, OperatingPoint
from sigedge_runtime.errors import BundleError, BundleIntegrityError, DataError
from sigedge_runtime.manifest import Artifact, Manifest, ModelInfo, Tensor
from sigedge_runtime.preprocessing import PreprocessSpec

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

NAME = "cells-float32-onnx"


def write_model(path: Path) -> None:
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["canvas"], ["cells"], kernel_shape=[16, 16], strides=[16, 16]),
            helper.make_node("Flatten", ["cells"], ["embedding"], axis=1),
        ],
        "cells",
        [helper.make_tensor_value_info("canvas", floats, [1, 1, 128, 256])],
        [helper.make_tensor_value_info("embedding", floats, [1, 128])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bundle")
    write_model(root / "cells.onnx")
    (root / "vectors").mkdir()
    (root / "vectors" / "vectors.json").write_text("{}")
    (root / "CARD.md").write_text("A model of cells.\n")
    artifact = Artifact(
        name=NAME,
        file="cells.onnx",
        format="onnx",
        precision="float32",
        sha256=hash_file(root / "cells.onnx"),
        size=(root / "cells.onnx").stat().st_size,
        input=Tensor("canvas", (1, 1, 128, 256), "float32", "NCHW", None),
        output=Tensor("embedding", (1, 128), "float32", "ND", None),
        score_tolerance=0.01,
    )
    decision = Decision(
        "mean", "balanced", (OperatingPoint("balanced", 1, 0.5, 0.2, 0.2),), (Calibration(1, 10.0, -5.0),)
    )
    manifest = Manifest(
        format_version=1,
        created="2026-01-01",
        model=ModelInfo("cells", "cells", "0.0.1", "0" * 64, "verification", 128, (), None, 1, "Apache-2.0"),
        preprocess=PreprocessSpec(),
        artifacts=(artifact,),
        decision=decision,
        vectors="vectors/vectors.json",
        card="CARD.md",
        training={},
        tools={},
        files=hash_files(root),
    )
    write_manifest(root, manifest)
    return root


def hands() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Four signers with a shape of their own; their forgers get it less right."""
    for signer in range(4):
        shape = np.random.default_rng(signer).integers(20, 100, 12)
        for label, count, error in (("genuine", 6, 4), ("forged", 5, 14)):
            for sample in range(count):
                rng = np.random.default_rng([signer, sample, error])
                heights = shape + rng.normal(0, error, 12)
                points = np.column_stack([np.linspace(20, 280, 12), heights]).astype(np.int32)
                image = np.full((120, 300), 230, np.uint8)
                cv2.polylines(image, [points], False, (50,), 3, cv2.LINE_AA)
                yield f"{signer}/{label}/{sample:02d}.png", image


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    root = tmp_path / "hands"
    for name, image in hands():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), image)
    return root


def test_the_deployed_file_is_scored(bundle: Path, drawn: Path, tmp_path: Path) -> None:
    result = evaluate_bundle(
        bundle, read_folders(drawn), reference_counts=(1, 3), cache=tmp_path / "cache", bootstrap=100
    )
    assert (result["dataset"], result["split"], result["artifact"]) == ("hands", "test", NAME)
    assert result["acquisition"] == {"images": 44, "unreadable": 0, "duplicates": 0, "unusable": 0}
    one, three = result["references"]["1"], result["references"]["3"]
    assert 0 < one["eer_skilled"] < 0.35 and three["eer_skilled"] <= one["eer_skilled"]
    assert one["eer_random"] < one["eer_skilled"]
    assert one["threshold"] == 0.5 and one["cllr"] is not None
    gates = result["leak_gates"]
    assert gates["background_ink_auc"] == pytest.approx(0.5) and gates["skeleton_auc"] is not None
    meta = result["meta"]
    assert meta["model"] == {"name": "cells", "version": "0.0.1", "checkpoint_sha256": "0" * 64}
    assert meta["artifact"]["sha256"] == hash_file(bundle / "cells.onnx")
    assert meta["engine"]["name"] == "onnxruntime" and meta["seed"] == 0


def test_left_out_images_are_counted(bundle: Path, drawn: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(drawn / "0" / "genuine" / "00.png"), np.full((120, 300), 230, np.uint8))
    (drawn / "1" / "genuine" / "00.png").write_bytes(b"broken")
    (drawn / "2" / "genuine" / "01.png").write_bytes((drawn / "2" / "genuine" / "00.png").read_bytes())
    result = evaluate_bundle(bundle, read_folders(drawn), reference_counts=(1,), cache=tmp_path / "cache", bootstrap=0)
    assert result["acquisition"] == {"images": 44, "unreadable": 1, "duplicates": 1, "unusable": 1}
    assert result["images"] == 41


def test_the_bundles_own_preprocessing_is_used(
    bundle: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Recorded(CanvasCache):
        def __init__(self, folder: str | Path, spec: PreprocessSpec) -> None:
            seen.append(spec)
            super().__init__(folder, spec)

    monkeypatch.setattr("sigedge.evaluation.bundle.CanvasCache", Recorded)
    wide = dataclasses.replace(PreprocessSpec(), stroke_width=5)
    manifest = Manifest.from_json((bundle / "manifest.json").read_text())
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    write_manifest(other, dataclasses.replace(manifest, preprocess=wide))
    evaluate_bundle(other, read_folders(drawn), reference_counts=(1,), cache=tmp_path / "cache", bootstrap=0)
    assert seen == [wide]


def test_bad_input(bundle: Path, drawn: Path, tmp_path: Path) -> None:
    records = read_folders(drawn)
    with pytest.raises(BundleError, match="nothing-int8"):
        evaluate_bundle(bundle, records, artifact="nothing-int8", cache=tmp_path)
    with pytest.raises(BundleError, match="does not exist"):
        evaluate_bundle(tmp_path / "gone", records, cache=tmp_path)
    with pytest.raises(DataError, match="no record to evaluate"):
        evaluate_bundle(bundle, [], cache=tmp_path)
    page = drawn / "0" / "genuine" / "00.png"
    cv2.imwrite(str(page), np.full((120, 300), 230, np.uint8))
    with pytest.raises(DataError, match="Not one of 1 images shows a usable signature"):
        acquire(records[:1], CanvasCache(tmp_path / "cache"))


def test_a_tampered_bundle_is_not_evaluated(bundle: Path, drawn: Path, tmp_path: Path) -> None:
    tampered = tmp_path / "tampered"
    shutil.copytree(bundle, tampered)
    (tampered / "cells.onnx").write_bytes((bundle / "cells.onnx").read_bytes() + b"\0")
    with pytest.raises(BundleIntegrityError):
        evaluate_bundle(tampered, read_folders(drawn), cache=tmp_path / "cache")
