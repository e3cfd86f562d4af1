"""A real bundle with a tiny ONNX model: the embedding is the ink in each of 128 cells of the canvas."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import CanvasCache, read_folders
from sigedge.evaluation.bundle import acquire, evaluate_bundle
from sigedge.evaluation.distortions import DISTORTIONS
from sigedge_runtime.bundle import hash_file, hash_files, write_manifest
from sigedge_runtime.decision import Calibration, Decision, OperatingPoint
from sigedge_runtime.engines import Engine
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


def test_the_deployed_file_is_scored(bundle: Path, drawn: Path, tmp_path: Path) -> None:
    result = evaluate_bundle(
        bundle, read_folders(drawn), reference_counts=(1, 3), cache=tmp_path / "cache", bootstrap=100
    ).result
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
    result = evaluate_bundle(
        bundle, read_folders(drawn), reference_counts=(1,), cache=tmp_path / "cache", bootstrap=0
    ).result
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


def test_a_second_run_infers_nothing_and_scores_the_same_trials(
    bundle: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inferred = []
    infer = Engine.infer

    def counted(self: Engine, canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
        inferred.append(bool(canvas.any()))  # an engine warms up on an empty canvas
        return infer(self, canvas)

    monkeypatch.setattr(Engine, "infer", counted)
    runs = []
    for _ in range(2):
        records, cache = read_folders(drawn), tmp_path / "cache"
        runs.append(
            # By name: `auto` would measure the engines first.
            evaluate_bundle(bundle, records, reference_counts=(1, 3), cache=cache, bootstrap=0, engine="onnxruntime")
        )
    assert sum(inferred) == 44 and len(inferred) == 44 + 2
    first, second = (run.result for run in runs)
    assert first["references"] == second["references"]
    assert first["meta"]["protocol_sha256"] == second["meta"]["protocol_sha256"]
    assert len(list((tmp_path / "cache" / "protocols").iterdir())) == 1
    assert list(runs[0].scores.trials) == [1, 3]
    assert len(runs[0].scores.trials[3].scores) == sum(first["references"]["3"]["trials"].values())


def test_a_named_protocol_is_written_and_followed(bundle: Path, drawn: Path, tmp_path: Path) -> None:
    file, cache = tmp_path / "trials.json", tmp_path / "cache"
    records = read_folders(drawn)
    options = {"reference_counts": (3,), "cache": cache, "protocol": file, "bootstrap": 0}
    drawn_anew = evaluate_bundle(bundle, records, seed=8, **options)
    stored = file.read_text()
    followed = evaluate_bundle(bundle, records, seed=1, **options)
    assert followed.result["references"] == drawn_anew.result["references"] and file.read_text() == stored
    with pytest.raises(DataError, match="drawn from other records"):
        evaluate_bundle(bundle, records[1:], **options)


def test_robustness_is_measured_where_it_is_asked_for(
    bundle: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blur = next(entry for entry in DISTORTIONS if entry.name == "blur")
    short = dataclasses.replace(blur, ladder={label: blur.ladder[label] for label in ("0", "2")})
    monkeypatch.setattr("sigedge.evaluation.robustness.DISTORTIONS", (short,))
    options = {"reference_counts": (1, 3, 7), "cache": tmp_path / "cache", "bootstrap": 20}
    found = evaluate_bundle(bundle, read_folders(drawn), robustness_signers=3, **options).result["robustness"]
    assert (found["references"], found["signers"], found["queries"]) == (3, 3, {"genuine": 9, "skilled": 15})
    plain, blurred = found["distortions"]["blur"]["levels"]
    assert (plain["level"], plain["distorted"], blurred["level"], blurred["distorted"]) == ("0", False, "2", True)
    assert plain["eer_skilled"] is not None and plain != blurred
    assert "robustness" not in evaluate_bundle(bundle, read_folders(drawn), **options).result


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
