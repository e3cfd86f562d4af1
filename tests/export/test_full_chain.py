"""The real converters, once, and what their files must be like."""

from __future__ import annotations

import json
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from sigedge_export import Export, ExportOptions, Hop, ParitySet, Reference
from sigedge_export.chain import run_chain
from sigedge_export.hop_cache import HopCache
from sigedge_export.reference import model_folder
from sigedge_export.targets import TARGETS
from sigedge_runtime.bundle import Bundle, hash_file, hash_tree
from sigedge_runtime.engines import available, engine_class, open_engine

ARTIFACTS = tuple(f"small-{target.key}" for target in TARGETS)


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
    assert (model.name, model.architecture, model.output_size) == ("small", "edgesig", 16)
    assert model.parameters == reference.parameters < sum(p.numel() for p in reference.model.parameters())
    assert {"torch", "onnx2tf", "tensorflow", "onnxruntime"} <= set(tools)


def test_each_step_left_its_noise_in_a_log(exported: Export) -> None:
    logs = {path.name for path in exported.bundle.with_name("small.logs").iterdir()}
    assert logs == {f"{target.key}.log" for target in TARGETS} | {"hops.json"}


def test_the_hops_are_recorded(exported: Export) -> None:
    recorded = json.loads((exported.bundle.with_name("small.logs") / "hops.json").read_text())
    assert recorded == [hop.to_dict() for hop in exported.hops]
    assert [hop.name for hop in exported.hops] == [target.key for target in TARGETS]
    assert all(hop.state == "done" and hop.seconds > 0 for hop in exported.hops)
    assert max(hop.peak_memory for hop in exported.hops) < 4 * 2**30


def second_run(
    folder: Path, checkpoint: Path, calibration: NDArray[np.uint8], options: ExportOptions, cache: HopCache | None
) -> tuple[dict[str, str], tuple[Hop, ...]]:
    """Sums of all files, and the hops."""
    folder.mkdir()
    made = run_chain(checkpoint, folder, TARGETS, calibration, logs=folder, options=options, cache=cache)
    sums = {target.key: (hash_tree if path.is_dir() else hash_file)(path) for target, path in made.files.items()}
    return sums, made.hops


@pytest.mark.slow
@pytest.mark.usefixtures("exported")
def test_the_converters_give_the_same_bytes_again_and_the_cache_gives_those(
    checkpoint: Path, calibration: NDArray[np.uint8], options: ExportOptions, cache: Path, tmp_path: Path
) -> None:
    reused, hops = second_run(
        tmp_path / "a", checkpoint, calibration, options, HopCache(cache, [model_folder("edgesig")])
    )
    assert [hop.name for hop in hops if not hop.cached] == []
    again, hops = second_run(tmp_path / "b", checkpoint, calibration, options, None)
    assert [hop.name for hop in hops if hop.cached] == []
    assert again == reused


def test_no_artefact_remembers_the_machine_it_was_made_on(exported: Export) -> None:
    for path in (exported.bundle / "artifacts").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert sys.prefix.encode() not in content and str(Path(__file__).parents[2]).encode() not in content, path


def test_nothing_else_is_left_beside_the_bundle(exported: Export) -> None:
    assert {path.name for path in exported.bundle.parent.iterdir()} == {"small", "small.zip", "small.logs"}


def test_every_artefact_ran_on_every_installed_engine(exported: Export) -> None:
    tried = Counter(row.engine.split()[0] for row in exported.report.rows)
    tried.update(missed.engine for missed in exported.report.unmeasured)
    formats = Counter(target.format for target in TARGETS)
    for name, status in available().items():
        if status.available:
            assert tried[name] == sum(formats[format_] for format_ in engine_class(name).formats)
    assert tried["tensorflow"] == tried["torch"] == 1
    json.loads(exported.report.to_json())


def test_float32_artefacts_score_as_the_reference(exported: Export) -> None:
    rows = [row for row in exported.report.rows if row.precision == "float32"]
    assert max(row.max_score_difference for row in rows) < 1e-5
    assert all(row.flipped == 0 for row in rows)


def test_float16_artefacts_score_nearly_as_the_reference(exported: Export) -> None:
    rows = [row for row in exported.report.rows if row.precision == "float16"]
    assert {row.format for row in rows} == {"onnx", "tflite"}
    assert 0 < max(row.max_score_difference for row in rows) < 5e-3


@pytest.mark.parametrize("name", ["small-float32-onnx", "small-float16-onnx", "small-int8-onnx"])
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


def tensor_kinds(path: Path) -> tuple[dict[str, np.dtype[Any]], list[Any]]:
    """Types of all tensors by name, then those of the input and the output."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    kinds = {detail["name"]: np.dtype(detail["dtype"]) for detail in interpreter.get_tensor_details()}
    return kinds, [taken["dtype"], given["dtype"]]


def test_dynamic_range_has_integer_weights_and_float_activations(exported: Export, options: ExportOptions) -> None:
    kinds, ends = tensor_kinds(exported.bundle / "artifacts" / "small-dynamic_range.tflite")
    assert ends == [np.float32, np.float32]
    assert kinds[options.float_layers[0]] == np.float32
    assert np.dtype(np.int8) in kinds.values() and np.dtype(np.int16) not in kinds.values()


def test_int16_activations_are_what_the_name_says(exported: Export, options: ExportOptions) -> None:
    kinds, ends = tensor_kinds(exported.bundle / "artifacts" / "small-int16_activations.tflite")
    assert ends == [np.float32, np.float32]
    assert kinds[options.float_layers[0]] == np.int16
    assert np.dtype(np.int8) in kinds.values()


def test_mixed_precision_keeps_the_chosen_layer_in_float_and_no_other(exported: Export, options: ExportOptions) -> None:
    kinds, ends = tensor_kinds(exported.bundle / "artifacts" / "small-mixed.tflite")
    assert ends == [np.float32, np.float32]
    layers, _ = tensor_kinds(exported.bundle / "artifacts" / "small-float32.tflite")
    outputs = {name for name in layers if "/Relu;" in name}
    (chosen,) = options.float_layers
    assert len(outputs) == 4 and {name for name in outputs if kinds[name] == np.float32} == {chosen}
    assert {kinds[name] for name in outputs - {chosen}} == {np.dtype(np.int8)}


def test_sizes_follow_the_precision(exported: Export) -> None:
    with Bundle.open(exported.bundle) as bundle:
        sizes = {artifact.name: artifact.size for artifact in bundle.manifest.artifacts}
        parameters = bundle.manifest.model.parameters
    assert sizes["small-float32-tflite"] > 4 * parameters
    assert sizes["small-float16-tflite"] < 0.65 * sizes["small-float32-tflite"]
    for precision in ("int8", "dynamic_range", "int16_activations"):
        assert sizes[f"small-{precision}-tflite"] < 0.45 * sizes["small-float32-tflite"]
    assert sizes["small-int8-tflite"] < sizes["small-mixed-tflite"] < sizes["small-float32-tflite"]
    assert sizes["small-float16-onnx"] < 0.65 * sizes["small-float32-onnx"]


def test_the_engines_of_the_device_reproduce_the_reference(
    exported: Export, reference: Reference, parity_set: ParitySet
) -> None:
    canvases: NDArray[np.uint8] = parity_set.canvases[:3]
    expected = reference.embed(canvases)
    with Bundle.open(exported.bundle) as bundle:
        artifact = bundle.artifact("small-float32-tflite")
        with open_engine("auto", artifact, bundle.path(artifact.file)) as engine:
            assert np.allclose(engine.infer_batch(canvases), expected, atol=1e-4 * np.abs(expected).max())
