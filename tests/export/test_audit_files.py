"""What the audit sees in files, and what it says of files that are not what they are said to be."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from sigedge_export.audit import Audit, audit, examine, golden_canvases
from sigedge_export.audits.onnx import HIGHEST_OPSET
from sigedge_export.metadata import label_bundle
from sigedge_export.steps.torch_to_onnx import OPSET
from sigedge_runtime.bundle import MANIFEST, Bundle, hash_file, hash_files, write_manifest
from sigedge_runtime.engines import available
from sigedge_runtime.errors import ExportError
from sigedge_runtime.manifest import Manifest

_spec = importlib.util.spec_from_file_location(
    "tiny_bundle_for_audits", Path(__file__).parent.parent / "runtime" / "conftest.py"
)
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)
master_bundle = tiny.master_bundle

Edit = Callable[[Path], None]
OLD_ENGINE = available()["tflite_runtime"].available


@pytest.fixture
def alter(master_bundle: Path, tmp_path: Path) -> Callable[..., Path]:
    """A bundle of one artefact, labelled, whose file a function edits before the manifest is written."""

    def make(name: str, edit: Edit = lambda _: None, *, label: bool = True, **changes: Any) -> Path:
        folder = Path(shutil.copytree(master_bundle, tmp_path / "altered"))
        manifest = Manifest.from_json((folder / MANIFEST).read_text())
        artifact = next(one for one in manifest.artifacts if one.name == name)
        path = folder / artifact.file
        edit(path)
        for other in (folder / "artifacts").iterdir():
            if other != path:
                other.unlink()
        entry = replace(artifact, sha256=hash_file(path), size=path.stat().st_size, **changes)
        write_manifest(folder, replace(manifest, artifacts=(entry,), files=hash_files(folder)))
        if label:
            label_bundle(folder)
        return folder

    return make


def look(folder: Path) -> Audit:
    with Bundle.open(folder) as bundle:
        return examine(bundle, golden_canvases(bundle))


def edit_onnx(change: Callable[[onnx.ModelProto], None]) -> Edit:
    def edit(path: Path) -> None:
        model = onnx.load(path)
        change(model)
        onnx.save(model, path)

    return edit


def edit_tflite(change: Callable[[Any], None]) -> Edit:
    def edit(path: Path) -> None:
        model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        change(model)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))

    return edit


def newer_operator(model: Any) -> None:
    """As a current converter writes dynamic-range files: FULLY_CONNECTED version 12."""
    codes = [code for code in model.operatorCodes if code.builtinCode == schema.BuiltinOperator.FULLY_CONNECTED]
    assert len(codes) == 1
    codes[0].version = 12


def test_sound_files_are_described(master_bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(master_bundle, tmp_path / "tiny"))
    label_bundle(folder)
    found = look(folder)
    assert found.findings == ()
    facts = {entry.artifact: entry for entry in found.files}
    assert list(facts) == ["tiny-float32-onnx", "tiny-int8-onnx", "tiny-float32-tflite", "tiny-int8-tflite"]
    assert facts["tiny-float32-onnx"].opset == 17 and facts["tiny-float32-tflite"].opset is None
    assert facts["tiny-float32-tflite"].weights["float32"] == 4 * 1024
    assert facts["tiny-int8-tflite"].weights["int8"] == 1024
    assert facts["tiny-float32-onnx"].bytes_per_parameter == pytest.approx(4, rel=0.05)
    assert facts["tiny-int8-onnx"].bytes_per_parameter == pytest.approx(1, rel=0.1)
    for name in ("tiny-float32-tflite", "tiny-int8-tflite"):
        assert facts[name].loads_on == ("ai-edge-litert 2.1.0", "tflite-runtime 2.14.0")
        assert any(operator.startswith("AVERAGE_POOL_2D version ") for operator in facts[name].operators)


def test_each_run_says_what_computed_it(master_bundle: Path) -> None:
    runs = {(run.artifact.name, run.engine): run for run in look(master_bundle).runs}
    onnx_run = runs["tiny-float32-onnx", "onnxruntime"]
    assert str(onnx_run.placement) == "CPUExecutionProvider, 3 of 3 nodes"
    litert = runs["tiny-float32-tflite", "litert"].placement
    assert litert is not None and litert.delegate == "XNNPACK" and 0 < litert.delegated <= litert.nodes
    assert all(run.placement is not None for run in runs.values())


@pytest.mark.skipif(not OLD_ENGINE, reason="tflite-runtime, which delegates no int8 file, is not installed")
def test_an_engine_that_delegates_nothing_says_so(alter: Callable[..., Path]) -> None:
    runs = {run.engine: run for run in look(alter("tiny-int8-tflite")).runs}
    old = runs["tflite_runtime"].placement
    assert old is not None and (old.delegate, old.delegated) == ("none", 0) and old.nodes > 0


def test_an_engine_too_old_for_an_operator_is_reported_not_fatal(alter: Callable[..., Path]) -> None:
    folder = alter("tiny-float32-tflite", edit_tflite(newer_operator))
    with Bundle.open(folder) as bundle:
        found = audit(bundle, golden_canvases(bundle))
    assert "litert" in {run.engine for run in found.runs}
    (facts,) = found.files
    assert facts.loads_on == ("ai-edge-litert 2.1.0",)
    (reason,) = facts.refused_by
    assert "tflite-runtime 2.14.0 does not know FULLY_CONNECTED version 12" in reason
    if OLD_ENGINE:
        (missed,) = [entry for entry in found.unmeasured if entry.engine == "tflite_runtime"]
        assert missed.reason == reason
        assert "tflite_runtime" not in {run.engine for run in found.runs}


def test_a_file_that_no_engine_knows_must_not_ship(alter: Callable[..., Path]) -> None:
    def far_future(model: Any) -> None:
        newer_operator(model)
        for code in model.operatorCodes:
            code.version = 99

    (finding,) = look(alter("tiny-float32-tflite", edit_tflite(far_future))).findings
    assert finding.grave and "no engine loads it" in str(finding) and "version '99'" in str(finding)


@pytest.mark.skipif(not OLD_ENGINE, reason="needs a second TFLite engine, which is not installed")
def test_a_refusal_that_no_operator_explains_is_grave(
    alter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table says that the engine knows version 12; then its refusal has another reason, and nobody knows it."""
    from sigedge_export.audits import tflite

    releases = tuple(
        replace(one, operators={**one.operators, "FULLY_CONNECTED": (1, 12)}) for one in tflite.known_engines()
    )
    monkeypatch.setattr(tflite, "known_engines", lambda: releases)
    found = look(alter("tiny-float32-tflite", edit_tflite(newer_operator)))
    (finding,) = found.findings
    assert finding.grave and "does not load on tflite_runtime" in str(finding)
    assert found.files[0].refused_by[0].startswith("tflite-runtime 2.14.0: ")


@pytest.mark.parametrize(
    ("name", "precision", "words"),
    [
        ("tiny-float32-onnx", "int8", "declared int8, but its weights are 100% float32, 4.0 bytes a parameter"),
        ("tiny-float32-onnx", "float16", "declared float16, but its weights are 100% float32"),
        ("tiny-int8-onnx", "float32", "declared float32, but its weights are 100% int8, 1."),
        ("tiny-float32-tflite", "dynamic_range", "declared dynamic_range, but its weights are 100% float32"),
        ("tiny-float32-tflite", "mixed", "declared mixed, but its weights are 100% float32"),
        ("tiny-float32-tflite", "int16_activations", "declared int16_activations, but"),
    ],
)
def test_a_file_of_another_precision_is_found_by_its_weights(
    name: str, precision: str, words: str, alter: Callable[..., Path]
) -> None:
    folder = alter(name, precision=precision)
    grave = [str(finding) for finding in look(folder).findings if finding.grave]
    assert len(grave) == 1 and words in grave[0]
    with Bundle.open(folder) as bundle, pytest.raises(ExportError, match=f"Artefact {name} is declared {precision}"):
        audit(bundle, golden_canvases(bundle))


def rename_output(model: onnx.ModelProto) -> None:
    model.graph.node[-1].output[0] = model.graph.output[0].name = "features"


def free_batch(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "d"


def own_domain(model: onnx.ModelProto) -> None:
    """Gelu by a contributed operator instead of by standard ones."""
    last = model.graph.node[-1]
    last.output[0] = "raw"
    model.graph.node.append(helper.make_node("Gelu", ["raw"], ["embedding"], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def newer_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = HIGHEST_OPSET + 2
    model.ir_version = 9


@pytest.mark.parametrize(
    ("change", "words", "grave"),
    [
        (rename_output, "takes and gives {'inputs': [{'name': 'canvas'", True),
        (free_batch, "'shape': [1, 0]", True),
        (own_domain, "needs operators of com.microsoft", False),
        (newer_opset, f"is of opset {HIGHEST_OPSET + 2}, above {HIGHEST_OPSET}", False),
    ],
)
def test_an_onnx_file_with_another_interface_is_found(
    change: Callable[[onnx.ModelProto], None], words: str, grave: bool, alter: Callable[..., Path]
) -> None:
    found = look(alter("tiny-float32-onnx", edit_onnx(change))).findings
    assert [finding.grave for finding in found if words in str(finding)] == [grave]


def test_weights_in_another_file_are_found(alter: Callable[..., Path]) -> None:
    def move_out(path: Path) -> None:
        model = onnx.load(path)
        weights = model.graph.initializer[0]
        content = numpy_helper.to_array(weights).tobytes()
        (path.parent.parent / "weights.bin").write_bytes(content)
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value="../weights.bin")
        onnx.save(model, path)

    sentences = [str(finding) for finding in look(alter("tiny-float32-onnx", move_out)).findings if finding.grave]
    assert any("keeps weights in other files (weights)" in sentence for sentence in sentences)


def test_the_opset_is_the_one_that_the_chain_writes() -> None:
    assert HIGHEST_OPSET == OPSET


def test_an_invalid_graph_is_found(alter: Callable[..., Path]) -> None:
    def break_graph(model: onnx.ModelProto) -> None:
        model.graph.node[1].input[0] = "nowhere"

    (finding,) = look(alter("tiny-float32-onnx", edit_onnx(break_graph))).findings
    assert finding.grave and "Artefact tiny-float32-onnx does not run" in str(finding)


def test_another_name_in_the_signature_is_found(alter: Callable[..., Path]) -> None:
    def rename(model: Any) -> None:
        (signature,) = model.signatureDefs
        signature.outputs[0].name = b"features"

    grave = [str(finding) for finding in look(alter("tiny-int8-tflite", edit_tflite(rename))).findings if finding.grave]
    assert grave and all("'outputs': ['features']" in sentence for sentence in grave)


def test_another_input_scale_is_found(alter: Callable[..., Path]) -> None:
    def rescale(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].quantization.scale = np.array([0.5], np.float32)

    grave = [
        str(finding) for finding in look(alter("tiny-int8-tflite", edit_tflite(rescale))).findings if finding.grave
    ]
    assert any("scale and zero point (0.5, 0) instead of (1.0, 0)" in sentence for sentence in grave)


def test_a_file_without_metadata_cannot_stand_alone_but_may_ship(alter: Callable[..., Path]) -> None:
    (finding,) = look(alter("tiny-int8-tflite", label=False)).findings
    assert not finding.grave and "cannot stand alone" in str(finding)


def test_the_metadata_of_another_model_must_not_ship(alter: Callable[..., Path]) -> None:
    folder = alter("tiny-int8-tflite")
    manifest = Manifest.from_json((folder / MANIFEST).read_text())
    write_manifest(folder, replace(manifest, model=replace(manifest.model, version="2.0")))
    (finding,) = look(folder).findings
    assert finding.grave and "carries the metadata of another" in str(finding)


def test_every_finding_is_listed_and_the_audit_stops_at_the_first(alter: Callable[..., Path]) -> None:
    folder = alter("tiny-float32-onnx", edit_onnx(rename_output), precision="int8")
    grave = [finding for finding in look(folder).findings if finding.grave]
    assert len(grave) == 2
    with Bundle.open(folder) as bundle, pytest.raises(ExportError, match=r"\(1 more are wrong\.\)") as raised:
        audit(bundle, golden_canvases(bundle))
    assert str(grave[0]) in str(raised.value)


def test_golden_canvases_are_those_of_the_vectors(master_bundle: Path) -> None:
    with Bundle.open(master_bundle) as bundle:
        canvases = golden_canvases(bundle)
    assert canvases.shape == (4, 128, 256) and set(np.unique(canvases)) == {0, 255}
