"""The real converters, once, and what their files must be like."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from sigedge_export import Export, ParitySet, Reference
from sigedge_runtime.bundle import Bundle, hash_file
from sigedge_runtime.engines import available, open_engine

ARTIFACTS = (
    "small-float32-onnx",
    "small-int8-onnx",
    "small-float32-saved_model",
    "small-float32-tflite",
    "small-float16-tflite",
    "small-int8-tflite",
)


def producers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    return {output: node for node in graph.node for output in node.output}


def test_every_wanted_artefact_is_in_the_bundle(exported: Export) -> None:
    with Bundle.open(exported.bundle) as bundle:
        assert tuple(artifact.name for artifact in bundle.manifest.artifacts) == ARTIFACTS


def test_the_zip_holds_the_same_bundle(exported: Export) -> None:
    assert exported.archive == exported.bundle.with_name("small.zip")
    with Bundle.open(exported.archive) as unpacked, Bundle.open(exported.bundle) as folder:
        assert unpacked.manifest == folder.manifest
    with zipfile.ZipFile(exported.archive) as archive:
        assert archive.testzip() is None


def test_the_manifest_names_the_checkpoint_and_its_tools(
    exported: Export, checkpoint: Path, reference: Reference
) -> None:
    with Bundle.open(exported.bundle) as bundle:
        model, tools = bundle.manifest.model, bundle.manifest.tools
    assert model.checkpoint_sha256 == hash_file(checkpoint)
    assert (model.name, model.architecture, model.embedding_size) == ("small", "edgesig", 16)
    assert model.parameters == reference.parameters < sum(p.numel() for p in reference.model.parameters())
    assert {"torch", "onnx2tf", "tensorflow", "onnxruntime"} <= set(tools)


def test_each_step_left_its_noise_in_a_log(exported: Export) -> None:
    logs = {path.name for path in exported.bundle.with_name("small.logs").iterdir()}
    steps = ("torch_to_onnx", "onnx_to_qdq", "onnx_to_saved_model", "saved_model_to_tflite")
    assert logs == {f"{step}.log" for step in steps}


def test_nothing_else_is_left_beside_the_bundle(exported: Export) -> None:
    assert {path.name for path in exported.bundle.parent.iterdir()} == {"small", "small.zip", "small.logs"}


def test_every_artefact_ran_on_every_installed_engine(exported: Export) -> None:
    measured = Counter(row.engine.split()[0] for row in exported.report.rows)
    for name, status in available().items():
        if status.available:
            assert measured[name] == (2 if name == "onnxruntime" else 3)
    assert measured["tensorflow"] == 1
    json.loads(exported.report.to_json())


def test_float32_artefacts_score_as_the_reference(exported: Export) -> None:
    rows = [row for row in exported.report.rows if row.precision == "float32"]
    assert max(row.max_score_difference for row in rows) < 1e-5
    assert all(row.flipped == 0 for row in rows)


@pytest.mark.parametrize("name", ["small-float32-onnx", "small-int8-onnx"])
def test_onnx_has_a_static_batch_named_tensors_and_all_its_weights(exported: Export, name: str) -> None:
    with Bundle.open(exported.bundle) as bundle:
        path = bundle.path(bundle.artifact(name).file)
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        tensor.name: [side.dim_value for side in tensor.type.tensor_type.shape.dim]
        for tensor in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"canvas": [1, 1, 128, 256], "embedding": [1, 16]}
    assert all(weight.data_location == onnx.TensorProto.DEFAULT for weight in model.graph.initializer)


def test_qdq_has_no_pair_between_convolution_and_relu_and_float_biases(exported: Export) -> None:
    graph = onnx.load(exported.bundle / "artifacts" / "small-int8.onnx").graph
    made_by, weights = producers(graph), {weight.name: weight for weight in graph.initializer}
    relus = [node for node in graph.node if node.op_type == "Relu"]
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(relus) == 4 and all(made_by[relu.input[0]].op_type == "Conv" for relu in relus)
    for convolution in convolutions:
        canvas, kernel, bias = convolution.input
        assert made_by[canvas].op_type == made_by[kernel].op_type == "DequantizeLinear"
        assert weights[bias].data_type == onnx.TensorProto.FLOAT
        stored = weights[made_by[kernel].input[0]]
        scales = weights[made_by[kernel].input[1]]
        assert stored.data_type == onnx.TensorProto.INT8
        assert list(scales.dims) == [stored.dims[0]]


def test_int8_tflite_takes_raw_canvas_bytes_and_is_integer_throughout(exported: Export) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(exported.bundle / "artifacts" / "small-int8.tflite"))
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (taken["dtype"], taken["quantization"]) == (np.uint8, (1.0, 0))
    assert given["dtype"] == np.float32
    floats = [detail for detail in interpreter.get_tensor_details() if detail["dtype"] == np.float32]
    assert [detail["index"] for detail in floats] == [given["index"]]


def test_sizes_follow_the_precision(exported: Export) -> None:
    with Bundle.open(exported.bundle) as bundle:
        sizes = {artifact.name: artifact.size for artifact in bundle.manifest.artifacts}
        parameters = bundle.manifest.model.parameters
    assert sizes["small-float32-tflite"] > 4 * parameters
    assert sizes["small-float16-tflite"] < 0.65 * sizes["small-float32-tflite"]
    assert sizes["small-int8-tflite"] < 0.45 * sizes["small-float32-tflite"]


def test_the_engines_of_the_device_reproduce_the_reference(
    exported: Export, reference: Reference, parity_set: ParitySet
) -> None:
    canvases: NDArray[np.uint8] = parity_set.canvases[:3]
    expected = reference.embed(canvases)
    with Bundle.open(exported.bundle) as bundle:
        artifact = bundle.artifact("small-float32-tflite")
        with open_engine("auto", artifact, bundle.path(artifact.file)) as engine:
            assert np.allclose(engine.infer_batch(canvases), expected, atol=1e-4 * np.abs(expected).max())
