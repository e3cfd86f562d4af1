"""Conversions that went wrong in the ways conversions go wrong: each must be found and named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from sigedge_export import (
    Export,
    ParityReport,
    ParitySet,
    Reference,
    Tolerances,
    audit,
    breaches,
    gate,
    measure_parity,
)
from sigedge_export.lab import bisect
from sigedge_export.rehearsal import rehearse
from sigedge_runtime.bundle import MANIFEST, Bundle, hash_files, write_manifest
from sigedge_runtime.errors import ExportError, ParityError
from sigedge_runtime.manifest import Manifest

Alter = Callable[[str, Callable[[Path], None]], Path]
FLOAT, INT8 = "small-float32-onnx", "small-int8-onnx"


def edit(change: Callable[[onnx.GraphProto], None]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        model = onnx.load(path)
        change(model.graph)
        onnx.save(model, path)

    return spoil


def prepend(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> None:
    """Put nodes that turn ``canvas`` into ``spoilt`` before everything else."""
    for node in graph.node:
        node.input[:] = ["spoilt" if name == "canvas" else name for name in node.input]
    for place, node in enumerate(nodes):
        graph.node.insert(place, node)
    graph.initializer.extend(constants)


def swap_layout(graph: onnx.GraphProto) -> None:
    """Read the canvas's bytes column by column."""
    shape = numpy_helper.from_array(np.array([1, 1, 256, 128]), "swapped_shape")
    read = helper.make_node("Reshape", ["canvas", "swapped_shape"], ["swapped"])
    turn = helper.make_node("Transpose", ["swapped"], ["spoilt"], perm=[0, 1, 3, 2])
    prepend(graph, [read, turn], [shape])


def forget_scale(graph: onnx.GraphProto) -> None:
    """Take 0 to 255 where the network was trained on 0 to 1."""
    factor = numpy_helper.from_array(np.array(255, np.float32), "factor")
    prepend(graph, [helper.make_node("Mul", ["canvas", "factor"], ["spoilt"])], [factor])


def shift_mean(graph: onnx.GraphProto) -> None:
    """Subtract the mean that another model wanted."""
    mean = numpy_helper.from_array(np.array(0.485 * 255, np.float32), "mean")
    prepend(graph, [helper.make_node("Sub", ["canvas", "mean"], ["spoilt"])], [mean])


def scale_activations(factor: float) -> Callable[[onnx.GraphProto], None]:
    """A calibration that missed: the activation ranges are `factor` times what they should be."""

    def change(graph: onnx.GraphProto) -> None:
        pairs = [node for node in graph.node if node.op_type == "QuantizeLinear"]
        scales = {node.input[1] for node in pairs[1:]}
        for weight in graph.initializer:
            if weight.name in scales:
                spoilt = numpy_helper.to_array(weight) * np.float32(factor)
                weight.CopyFrom(numpy_helper.from_array(spoilt, weight.name))

    return change


def nan_weight(graph: onnx.GraphProto) -> None:
    kernel = next(weight for weight in graph.initializer if len(weight.dims) == 4)
    spoilt = numpy_helper.to_array(kernel).copy()
    spoilt[0] = np.nan
    kernel.CopyFrom(numpy_helper.from_array(spoilt, kernel.name))


def widen_output(graph: onnx.GraphProto) -> None:
    """Lose the last step, as a converter that drops an axis does."""
    last = graph.node[-1]
    graph.output[0].CopyFrom(helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, [1, 1, 1, 16]))
    del graph.node[-1]


def measure(folder: Path, reference: Reference, parity_set: ParitySet) -> ParityReport:
    with Bundle.open(folder) as bundle:
        return measure_parity(bundle, reference.embed(parity_set.canvases), parity_set)


@pytest.mark.parametrize("name", [FLOAT, INT8])
def test_the_sound_artefact_passes(
    name: str,
    altered: Alter,
    reference: Reference,
    parity_set: ParitySet,
    tolerances: dict[str, Tolerances],
) -> None:
    report = measure(altered(name, lambda _: None), reference, parity_set)
    assert [row.artifact for row in report.rows] == [name]
    gate(report, tolerances)


@pytest.mark.parametrize(
    ("name", "fault", "figure"),
    [
        (FLOAT, swap_layout, "max_score_difference"),
        (FLOAT, forget_scale, "max_score_difference"),
        (FLOAT, shift_mean, "p99_score_difference"),
        (INT8, swap_layout, "p99_score_difference"),
        (INT8, shift_mean, "p99_score_difference"),
        (INT8, scale_activations(0.02), "p99_score_difference"),
        (INT8, scale_activations(1000), "variance_ratio"),
        (INT8, scale_activations(1000), "effective_rank_ratio"),
        (INT8, scale_activations(1000), "strangers_accepted_rise"),
    ],
)
def test_a_spoilt_artefact_is_stopped_and_the_figure_named(
    name: str,
    fault: Callable[[onnx.GraphProto], None],
    figure: str,
    altered: Alter,
    reference: Reference,
    parity_set: ParitySet,
    tolerances: dict[str, Tolerances],
) -> None:
    report = measure(altered(name, edit(fault)), reference, parity_set)
    found = {breach.figure: breach for breach in breaches(report, tolerances)}
    assert figure in found
    assert found[figure].artifact == name
    with pytest.raises(ParityError) as error:
        gate(report, tolerances)
    assert f"Artefact {name} on onnxruntime" in str(error.value)
    assert str(found[figure]) in str(error.value)
    assert f"{found[figure].tolerance:.4g}" in str(found[figure])


def test_a_collapsed_artefact_accepts_everyone(altered: Alter, reference: Reference, parity_set: ParitySet) -> None:
    (row,) = measure(altered(INT8, edit(scale_activations(1000))), reference, parity_set).rows
    assert row.accepted == 1
    assert row.variance_ratio < 0.01
    assert row.flipped > 0 and row.flipped_decisions == pytest.approx(row.flipped / 138, rel=0.01)


@pytest.mark.parametrize(
    ("name", "fault", "kind", "layer"),
    [
        (FLOAT, swap_layout, "layout", "conv2d"),
        (FLOAT, forget_scale, "normalisation", "conv2d"),
        (FLOAT, shift_mean, "normalisation", "conv2d"),
        (INT8, scale_activations(0.02), "dead_range", "relu"),
        (INT8, scale_activations(1000), "dead_range", "relu"),
    ],
)
def test_the_lab_names_the_layer_and_the_kind(
    name: str, fault: Callable[[onnx.GraphProto], None], kind: str, layer: str, altered: Alter, checkpoint: Path
) -> None:
    with Bundle.open(altered(name, edit(fault))) as bundle:
        report = bisect(bundle, name, checkpoint)
    found = report.first_fault
    assert found is not None
    assert (found.hop, found.layer, found.kind) == (f"torch -> {name}", layer, kind), found.sentence
    json.dumps(report.to_dict(), allow_nan=False)


def kill_range(place: int, factor: float) -> Callable[[Path], None]:
    """Give the output of a TFLite file's convolution a range that is `factor` times what it should be."""

    def spoil(path: Path) -> None:
        content = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
        graph = content.subgraphs[0]
        codes = [content.operatorCodes[operator.opcodeIndex] for operator in graph.operators]
        convolutions = [
            operator
            for operator, code in zip(graph.operators, codes, strict=True)
            if max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.CONV_2D
        ]
        tensor = graph.tensors[convolutions[place].outputs[0]]
        tensor.quantization.scale = [scale * factor for scale in tensor.quantization.scale]
        builder = flatbuffers.Builder()
        builder.Finish(content.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))

    return spoil


@pytest.mark.parametrize(("factor", "words"), [(0.02, "too narrow"), (1000.0, "constant")])
def test_the_lab_names_a_dead_range_of_a_tflite_file(
    factor: float, words: str, altered: Alter, checkpoint: Path
) -> None:
    with Bundle.open(altered("small-int8-tflite", kill_range(2, factor))) as bundle:
        report = bisect(bundle, "small-int8-tflite", checkpoint)
    found = report.first_fault
    assert found is not None
    assert found.kind == "dead_range" and words in found.sentence, found.sentence
    assert found.layer.count("relu_2") == 1
    assert report.missing == ("float32 onnx", "float32 saved_model", "float32 tflite")


def coarser(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a device would make that shrinks to half the size first."""
    height, width = canvas.shape
    half = cv2.resize(canvas, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    grey = cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(grey > 127, 255, 0).astype(np.uint8)


def transposed(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(canvas.T).reshape(canvas.shape)


@pytest.mark.parametrize(
    ("spoil", "kind"), [(coarser, "resize"), (transposed, "layout"), (lambda canvas: canvas // 255, "normalisation")]
)
def test_the_lab_names_a_canvas_that_was_made_another_way(
    spoil: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], kind: str, altered: Alter, checkpoint: Path
) -> None:
    folder = altered(FLOAT, lambda _: None)
    for path in (folder / "vectors" / "canvases").iterdir():
        cv2.imwrite(str(path), spoil(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))
    manifest = Manifest.from_json((folder / MANIFEST).read_text())
    write_manifest(folder, dataclasses.replace(manifest, files=hash_files(folder)))
    with Bundle.open(folder) as bundle:
        found = bisect(bundle, FLOAT, checkpoint).first_fault
    assert found is not None
    assert (found.hop, found.kind) == ("images -> canvases", kind), found.sentence
    assert found.sentence.startswith("The error enters before the network")


@pytest.mark.slow
def test_the_lab_finds_no_fault_in_a_sound_bundle(exported: Export, checkpoint: Path) -> None:
    told: list[str] = []
    with Bundle.open(exported.bundle) as bundle:
        report = bisect(bundle, "small-int8-tflite", checkpoint, progress=told.append)
    stages = ["torch", *(f"small-{key}" for key in ("float32-onnx", "float32-saved_model", "float32-tflite"))]
    stages.append("small-int8-tflite")
    assert [(hop.reference, hop.candidate) for hop in report.hops[1:]] == list(pairwise(stages))
    assert told == [f"layers of {stage}" for stage in stages]
    assert report.first_fault is None and report.missing == ()
    for hop in report.hops[1:4]:
        assert min(layer.sqnr_db for layer in hop.layers) > 100
    assert all(len(hop.layers) >= 6 for hop in report.hops[1:])
    # TFLite fuses each ReLU into its convolution; what it computes between the two is listed, not dropped.
    assert any("Conv2D" in name for name in report.hops[3].only_reference)


def test_cosine_alone_would_have_let_a_fault_pass(
    altered: Alter, reference: Reference, parity_set: ParitySet, tolerances: dict[str, Tolerances]
) -> None:
    """A common offset that drowns the embedding keeps each one's direction, and loses every decision."""

    def drown(graph: onnx.GraphProto) -> None:
        convolution = [node for node in graph.node if node.op_type == "Conv"][-1]
        bias = next(weight for weight in graph.initializer if weight.name == convolution.input[2])
        offset = numpy_helper.to_array(bias) + np.float32(1e3)
        bias.CopyFrom(numpy_helper.from_array(offset, bias.name))

    folder = altered(FLOAT, edit(drown))
    with Bundle.open(folder) as bundle:
        (run,) = audit(bundle, parity_set.canvases).runs
    constant = np.ones(run.embeddings.shape[1])
    cosines = run.embeddings @ constant / np.linalg.norm(run.embeddings, axis=1) / np.linalg.norm(constant)
    assert cosines.min() > 0.999  # every embedding is nearly every other
    with pytest.raises(ParityError, match="variance_ratio"):
        gate(measure(folder, reference, parity_set), tolerances)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (nan_weight, "does not run on onnxruntime: .*NaN or infinity"),
        (widen_output, r"takes and gives .*'shape': \[1, 1, 1, 16\]"),
    ],
)
def test_the_audit_stops_what_does_not_compute(
    fault: Callable[[onnx.GraphProto], None], sentence: str, altered: Alter, parity_set: ParitySet
) -> None:
    with (
        Bundle.open(altered(FLOAT, edit(fault))) as bundle,
        pytest.raises(ExportError, match=f"Artefact {FLOAT} {sentence}"),
    ):
        audit(bundle, parity_set.canvases[:2])


@pytest.mark.parametrize(("name", "fault"), [(FLOAT, swap_layout), (INT8, scale_activations(0.02))])
def test_the_rehearsal_stops_what_a_device_would_refuse(
    name: str, fault: Callable[[onnx.GraphProto], None], altered: Alter
) -> None:
    with (
        Bundle.open(altered(name, edit(fault))) as bundle,
        pytest.raises(ParityError, match=f"Artefact {name} on onnxruntime does not reproduce the golden vectors"),
    ):
        rehearse(bundle)


def test_the_rehearsal_tries_every_artefact_that_a_device_runs(exported: Export) -> None:
    told: list[str] = []
    with Bundle.open(exported.bundle) as bundle:
        rehearse(bundle, progress=told.append)
        names = {artifact.name for artifact in bundle.artifacts()}
    assert {line.split()[2] for line in told} == names
    assert len(names) == 9


def test_a_truncated_file_is_stopped_and_its_log_kept(
    altered: Alter, parity_set: ParitySet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = altered("small-int8-tflite", lambda path: path.write_bytes(path.read_bytes()[:1000]))
    with Bundle.open(folder) as bundle, pytest.raises(ExportError, match="small-int8-tflite does not"):
        audit(bundle, parity_set.canvases[:2])
    assert [path.name for path in tmp_path.glob("sigedge-inspect-tflite-*/*.log")] == ["inspect_tflite.log"]


def test_a_file_of_another_precision_is_stopped(altered: Alter, exported: Export, parity_set: ParitySet) -> None:
    other = exported.bundle / "artifacts" / "small-float32.tflite"
    folder = altered("small-int8-tflite", lambda path: path.write_bytes(other.read_bytes()))
    with Bundle.open(folder) as bundle, pytest.raises(ExportError, match="small-int8-tflite"):
        audit(bundle, parity_set.canvases[:2])


def test_reference_embeddings_of_other_canvases_are_refused(
    exported: Export, reference: Reference, parity_set: ParitySet
) -> None:
    with Bundle.open(exported.bundle) as bundle, pytest.raises(ExportError, match="do not fit"):
        measure_parity(bundle, reference.embed(parity_set.canvases[:3]), parity_set)


def test_a_precision_without_tolerances_does_not_pass(exported: Export) -> None:
    with pytest.raises(ParityError, match="no parity tolerances; add 'float32'"):
        gate(exported.report, {})
