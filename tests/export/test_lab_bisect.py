"""Faults planted into a small ONNX graph: the lab must find the layer and name the kind."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from sigedge_export.lab.compare import Comparison, compare
from sigedge_export.lab.expectation import EXPECTATIONS
from sigedge_export.lab.trace import Trace
from sigedge_export.lab.tracing import Stage
from sigedge_runtime.errors import ExportError

HEIGHT, WIDTH = 32, 64
Edit = Callable[[onnx.GraphProto], None]


def draw_canvases() -> NDArray[np.uint8]:
    random = np.random.default_rng(0)
    canvases = np.full((3, HEIGHT, WIDTH), 255, np.uint8)
    for canvas in canvases:
        points = random.integers(2, [WIDTH - 2, HEIGHT - 2], size=(12, 2)).astype(np.int32)
        cv2.polylines(canvas, [points], False, 0, 2)
    return canvases


def constant(name: str, values: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def network() -> onnx.ModelProto:
    """Normalisation, two convolutions with a resize between them, a dense layer, and an L2 norm."""
    random = np.random.default_rng(1)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return constant(name, (random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32))

    resize = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    nodes = [
        helper.make_node("Div", ["canvas", "byte"], ["normalised"]),
        helper.make_node("Conv", ["normalised", "w1", "b1"], ["conv1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("Resize", ["relu1", "", "twice"], ["resized"], **resize),
        helper.make_node("Conv", ["resized", "w2", "b2"], ["conv2"], pads=[1, 1, 1, 1], strides=[4, 4]),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        helper.make_node("Reshape", ["relu2", "flat"], ["flattened"]),
        helper.make_node("Gemm", ["flattened", "w3", "b3"], ["dense"]),
        helper.make_node("ReduceL2", ["dense", "axis"], ["length"], keepdims=1),
        helper.make_node("Div", ["dense", "length"], ["embedding"]),
    ]
    size = 6 * (HEIGHT // 4) * (WIDTH // 4)
    constants = [
        constant("byte", np.float32(255)),
        weights("w1", 4, 1, 3, 3),
        weights("b1", 4),
        constant("twice", np.array([1, 1, 2, 2], np.float32)),
        weights("w2", 6, 4, 3, 3),
        weights("b2", 6),
        constant("flat", np.array([1, size])),
        weights("w3", size, 8),
        weights("b3", 8),
        constant("axis", np.array([1])),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("canvas", onnx.TensorProto.FLOAT, [1, 1, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, [1, 8])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def node(graph: onnx.GraphProto, output: str) -> onnx.NodeProto:
    return next(entry for entry in graph.node if entry.output[0] == output)


def insert(graph: onnx.GraphProto, before: str, added: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> None:
    """Put nodes whose last output feeds the node of the output `before` in place of its first input."""
    reader = node(graph, before)
    reader.input[0] = added[-1].output[0]
    place = list(graph.node).index(reader)
    for offset, entry in enumerate(added):
        graph.node.insert(place + offset, entry)
    graph.initializer.extend(constants)


def twice_normalised(graph: onnx.GraphProto) -> None:
    insert(graph, "conv1", [helper.make_node("Div", ["normalised", "byte"], ["again"])], [])


def not_normalised(graph: onnx.GraphProto) -> None:
    node(graph, "conv1").input[0] = "canvas"
    graph.node.remove(node(graph, "normalised"))


def normalised_in_the_weights(graph: onnx.GraphProto) -> None:
    """As above, but folded: no operator is there to be seen."""
    kernel = next(entry for entry in graph.initializer if entry.name == "w1")
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel) / np.float32(255), "w1"))


def other_mean(graph: onnx.GraphProto) -> None:
    bias = next(entry for entry in graph.initializer if entry.name == "b1")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.3), "b1"))


def swapped_canvas(graph: onnx.GraphProto) -> None:
    """The canvas's bytes read column by column."""
    read = helper.make_node("Reshape", ["normalised", "swapped_shape"], ["swapped"])
    turn = helper.make_node("Transpose", ["swapped"], ["turned"], perm=[0, 1, 3, 2])
    insert(graph, "conv1", [read, turn], [constant("swapped_shape", np.array([1, 1, WIDTH, HEIGHT]))])


def swapped_flatten(graph: onnx.GraphProto) -> None:
    """Channels last before the dense layer, whose weights want them first."""
    insert(graph, "flattened", [helper.make_node("Transpose", ["relu2"], ["last"], perm=[0, 2, 3, 1])], [])


def dead(scale: float) -> Edit:
    """Quantise the second activation as a calibration that missed would."""

    def change(graph: onnx.GraphProto) -> None:
        values = [constant("scale", np.float32(scale)), constant("zero", np.int8(0))]
        quantise = helper.make_node("QuantizeLinear", ["relu1", "scale", "zero"], ["relu1_q"])
        restore = helper.make_node("DequantizeLinear", ["relu1_q", "scale", "zero"], ["relu1_dq"])
        insert(graph, "resized", [quantise, restore], values)

    return change


def nearest(graph: onnx.GraphProto) -> None:
    resize = node(graph, "resized")
    next(entry for entry in resize.attribute if entry.name == "mode").s = b"nearest"


def small_canvas(graph: onnx.GraphProto) -> None:
    """The canvas through half its size, as a caller with another canvas size would give it."""
    half = helper.make_node("Resize", ["normalised", "", "halves"], ["half"], mode="linear")
    back = helper.make_node("Resize", ["half", "", "twice"], ["blurred"], mode="linear")
    insert(graph, "conv1", [half, back], [constant("halves", np.array([1, 1, 0.5, 0.5], np.float32))])


def lost_norm(graph: onnx.GraphProto) -> None:
    for name in ("embedding", "length"):
        graph.node.remove(node(graph, name))
    node(graph, "dense").output[0] = "embedding"


def not_finite(graph: onnx.GraphProto) -> None:
    bias = next(entry for entry in graph.initializer if entry.name == "b2")
    bias.CopyFrom(numpy_helper.from_array(np.full(6, np.nan, np.float32), "b2"))


def other_weights(graph: onnx.GraphProto) -> None:
    kernel = next(entry for entry in graph.initializer if entry.name == "w2")
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel)[::-1].copy(), "w2"))


FITTING = dead(0.0153)  # the largest activation over 127


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Edit], Trace]:
    canvases = tmp_path_factory.mktemp("canvases") / "canvases.npy"
    np.save(canvases, draw_canvases())

    @functools.cache
    def trace(edit: Edit) -> Trace:
        folder = tmp_path_factory.mktemp("stage")
        model = network()
        edit(model.graph)
        onnx.save(model, folder / "network.onnx")
        return Stage("network", "onnx", "float32", folder / "network.onnx").trace(canvases, folder)

    return trace


@pytest.fixture(scope="module")
def sound(traced: Callable[[Edit], Trace]) -> Trace:
    return traced(lambda _: None)


@pytest.fixture
def against(sound: Trace, traced: Callable[[Edit], Trace]) -> Callable[..., Comparison]:
    def run(edit: Edit, precision: str = "float32") -> Comparison:
        return compare(sound, traced(edit), EXPECTATIONS[precision])

    return run


def test_a_graph_agrees_with_itself(against: Callable[..., Comparison]) -> None:
    found = against(lambda _: None)
    assert found.fault is None
    assert [layer.layer for layer in found.noise] == [
        *("canvas", "normalised", "conv1", "relu1", "resized", "conv2", "relu2", "dense", "length", "embedding")
    ]
    assert {layer.sqnr_db for layer in found.noise} == {200.0}
    assert found.only_reference == found.only_candidate == ()


@pytest.mark.parametrize(
    ("fault", "precision", "layer", "kind", "words"),
    [
        (twice_normalised, "float32", "conv1", "normalisation", "once scaled by 1/255: .* applied twice"),
        (not_normalised, "float32", "conv1", "normalisation", "once scaled by 255: .* is not applied"),
        (normalised_in_the_weights, "float32", "conv1", "normalisation", "1/255, but for an offset of each channel"),
        (other_mean, "float32", "conv1", "normalisation", "another mean is subtracted"),
        (swapped_canvas, "float32", "conv1", "layout", "input turned .Transpose.* agrees after transposing"),
        (swapped_flatten, "float32", "dense", "layout", "agrees after transposing"),
        (dead(1e-4), "int8", "relu1", "dead_range", "clipped: its quantization range is far too narrow"),
        (dead(1e3), "int8", "relu1", "dead_range", "the output is constant"),
        (dead(0.6), "int8", "relu1", "dead_range", "takes . values only: .* far too wide"),
        (nearest, "float32", "resized", "resize", "another size or interpolation"),
        (small_canvas, "float32", "conv1", "resize", "another size"),
        (lost_norm, "float32", "embedding", "lost_norm", "norm is 1 in the reference and .* here"),
        (not_finite, "float32", "conv2", "not_finite", "NaN or infinity"),
        (other_weights, "float32", "conv2", "unknown", "no simple relation"),
    ],
)
def test_a_planted_fault_is_found_and_named(
    fault: Edit, precision: str, layer: str, kind: str, words: str, against: Callable[..., Comparison]
) -> None:
    found = against(fault, precision).fault
    assert found is not None
    assert (found.layer.layer, found.kind) == (layer, kind), found.sentence
    assert found.sentence.startswith(f"The error enters at {layer}")
    assert re.search(words, found.sentence), found.sentence
    assert found.layer.sqnr_db < found.expected_db


def test_int8_noise_is_no_fault(against: Callable[..., Comparison]) -> None:
    found = against(FITTING, "int8")
    assert found.fault is None
    noise = {layer.layer: layer.sqnr_db for layer in found.noise}
    assert 30 < noise["relu1"] < 60
    assert noise["conv1"] == 200
    assert against(FITTING).fault is not None  # from a float32 file more is expected


def test_layers_without_counterpart_are_listed(against: Callable[..., Comparison]) -> None:
    found = against(twice_normalised)
    assert found.only_candidate == ("again (Div)",)
    found = against(lost_norm)
    assert found.only_reference == ("dense (Gemm)", "length (ReduceL2)")


def test_a_file_that_does_not_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    np.save(tmp_path / "canvases.npy", draw_canvases())
    stage = Stage("broken", "onnx", "float32", tmp_path / "broken.onnx")
    with pytest.raises(ExportError, match=r"The layers of broken cannot be traced\. Step trace_onnx"):
        stage.trace(tmp_path / "canvases.npy", tmp_path)
