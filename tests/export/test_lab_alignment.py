"""Layers of the same network in different formats find each other, whatever a converter did to names and order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_export.lab.alignment import align, turn, view
from sigedge_export.lab.compare import compare
from sigedge_export.lab.expectation import EXPECTATIONS
from sigedge_export.lab.operators import LINEAR, MOVED, NORMALISED, RESIZED, is_transparent, kinds
from sigedge_export.lab.trace import Layer, Layout, Recorder, Trace, load_trace

Values = NDArray[np.float32]
Row = tuple[str, str, list[int], Values]


def trace(layout: Layout, rows: list[Row]) -> Trace:
    """A trace of rows name, operator, inputs, values [N, ...]; the first is the canvas, the last the embedding."""
    layers = tuple(Layer(name, operator, tuple(inputs), values[:, None]) for name, operator, inputs, values in rows)
    return Trace(layout, layers, len(rows) - 1)


def draw(*shape: int, seed: int = 0) -> Values:
    return np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32)


def last(values: Values) -> Values:
    """Channels last."""
    return np.moveaxis(values, 1, -1)


def names(reference: Trace, candidate: Trace) -> list[tuple[str, str]]:
    return [
        (reference.layers[match.reference].name, candidate.layers[match.candidate].name)
        for match in align(reference, candidate)
    ]


@pytest.mark.parametrize(
    ("kind", "operators"),
    [
        (LINEAR, ["conv2d", "Conv", "Conv2D", "CONV_2D", "DepthwiseConv2dNative", "TRANSPOSE_CONV", "ConvTranspose"]),
        (LINEAR, ["linear", "Gemm", "MatMul", "FULLY_CONNECTED", "BATCH_MATMUL", "BatchMatMulV2", "addmm"]),
        (MOVED, ["view", "Reshape", "RESHAPE", "PAD", "Pad", "QUANTIZE", "_to_copy", "Transpose"]),
        (NORMALISED, ["batch_norm", "BatchNormalization", "FusedBatchNormV3"]),
        (RESIZED, ["Resize", "upsample_bilinear2d", "RESIZE_NEAREST_NEIGHBOR", "ResizeBilinear"]),
        ("relu", ["relu", "Relu", "RELU", "aten::relu"]),
        ("mean", ["mean", "ReduceMean", "GlobalAveragePool", "AVERAGE_POOL_2D", "adaptive_avg_pool2d"]),
        ("add", ["add", "Add", "AddV2", "ADD"]),
    ],
)
def test_every_format_has_a_name_of_its_own_for_an_operator(kind: str, operators: list[str]) -> None:
    assert {kinds(operator) for operator in operators} == {frozenset({kind})}


def test_what_is_fused_counts_and_what_is_unknown_keeps_its_name() -> None:
    assert kinds("CONV_2D+RELU6") == {LINEAR, "relu"}
    assert kinds("GridSample") == kinds("grid_sample") == {"gridsample"}
    assert is_transparent("PADV2") and is_transparent("Cast") and not is_transparent("Transpose")


def test_layouts_and_sides_of_length_one_do_not_matter() -> None:
    image, vector = draw(3, 4, 5), draw(7)
    one = trace("NCHW", [("canvas", "Input", [], image), ("v", "flatten", [0], vector[:, :, None, None])])
    other = trace("NHWC", [("canvas", "Input", [], last(image)), ("v", "RESHAPE", [0], vector)])
    for place in range(2):
        assert np.array_equal(view(one.layers[place], one), view(other.layers[place], other))


def test_tokens_are_turned_to_where_they_agree_best() -> None:
    tokens = draw(6, 9)
    assert np.array_equal(turn(np.swapaxes(tokens, 1, 2), tokens), tokens)
    assert turn(draw(6, 8), tokens) is None
    square = draw(6, 6)
    assert turn(square, draw(6, 6, seed=1)) is square


def conv_relu_pairs(count: int) -> list[tuple[Values, Values]]:
    outputs = [draw(4, 6, 8, seed=seed) for seed in range(count)]
    return [(values, np.maximum(values, 0)) for values in outputs]


def torch_like(count: int) -> Trace:
    rows: list[Row] = [("canvas", "Input", [], draw(1, 12, 16, seed=99))]
    for number, (linear, activated) in enumerate(conv_relu_pairs(count)):
        rows.append((f"conv{number}", "conv2d", [len(rows) - 1], linear))
        rows.append((f"relu{number}", "relu", [len(rows) - 1], activated))
    return trace("NCHW", [*rows, ("out", "linear", [len(rows) - 1], draw(5, seed=98))])


@given(st.lists(st.sampled_from(["PAD", "TRANSPOSE", ""]), min_size=1, max_size=6))
def test_fused_activations_and_moves_in_between_are_seen_through(moves: list[str]) -> None:
    rows: list[Row] = [("in", "Input", [], last(draw(1, 12, 16, seed=99)))]
    for number, ((_, activated), move) in enumerate(zip(conv_relu_pairs(len(moves)), moves, strict=True)):
        if move:
            rows.append((f"move{number}", move, [len(rows) - 1], rows[-1][3]))
        rows.append((f"fused{number}", "CONV_2D+RELU", [len(rows) - 1], last(activated)))
    candidate = trace("NHWC", [*rows, ("out", "FULLY_CONNECTED", [len(rows) - 1], draw(5, seed=98))])
    fused = [(f"relu{number}", f"fused{number}") for number in range(len(moves))]
    assert names(torch_like(len(moves)), candidate) == [("canvas", "in"), *fused, ("out", "out")]


def test_layers_of_one_shape_keep_their_order_when_no_value_agrees() -> None:
    reference = torch_like(5)
    layers = tuple(
        Layer(layer.name, layer.operator, layer.inputs, layer.values if place == 0 else -7 * layer.values**3)
        for place, layer in enumerate(reference.layers)
    )
    same = [(layer.name, layer.name) for layer in layers]
    assert names(reference, Trace("NCHW", layers, reference.output)) == same


def test_a_batch_norm_that_was_folded_into_its_convolution() -> None:
    canvas, raw, normalised = draw(1, 6, 8), draw(4, 6, 8, seed=1), draw(4, 6, 8, seed=2)
    rows: list[Row] = [("canvas", "Input", [], canvas), ("conv", "conv2d", [0], raw)]
    reference = trace("NCHW", [*rows, ("bn", "batch_norm", [1], normalised), ("out", "relu", [2], draw(3))])
    folded = trace("NCHW", [rows[0], ("conv", "Conv", [0], normalised), ("out", "Relu", [1], draw(3))])
    assert names(reference, folded) == [("canvas", "canvas"), ("bn", "conv"), ("out", "out")]
    found = compare(reference, folded, EXPECTATIONS["float32"])
    assert found.fault is None
    assert found.only_reference == ("conv (conv2d)",)


def test_a_swish_that_one_format_writes_as_two_operators() -> None:
    before, gate = draw(4, 6, 8, seed=1), draw(4, 6, 8, seed=2)
    canvas: Row = ("canvas", "Input", [], draw(1, 6, 8))
    end = draw(3, seed=5)
    reference = trace(
        "NCHW", [canvas, ("conv", "conv2d", [0], before), ("silu", "silu", [1], before * gate), ("out", "x", [2], end)]
    )
    split = [("conv", "Conv", [0], before), ("gate", "Sigmoid", [1], gate), ("mul", "Mul", [1, 2], before * gate)]
    candidate = trace("NCHW", [canvas, *split, ("out", "x", [3], end)])
    assert names(reference, candidate) == [("canvas", "canvas"), ("conv", "conv"), ("silu", "mul"), ("out", "out")]


def residual(branch: Values, shortcut: Values) -> Trace:
    rows: list[Row] = [("canvas", "Input", [], shortcut), ("branch", "conv2d", [0], branch)]
    total = branch + shortcut
    return trace("NCHW", [*rows, ("sum", "add", [1, 0], total), ("out", "mean", [2], total.mean(axis=(1, 2)))])


def test_the_error_of_a_branch_is_found_in_the_branch() -> None:
    branch, shortcut = draw(1, 6, 8, seed=1), draw(1, 6, 8, seed=2)
    found = compare(residual(branch, shortcut), residual(branch * 2, shortcut), EXPECTATIONS["float32"]).fault
    assert found is not None and found.layer.layer == "branch"
    assert found.kind == "normalisation" and "once scaled by 2" in found.sentence


def test_a_layer_that_only_seems_to_correspond_is_no_fault() -> None:
    """Its noise would have to be gone in all that is computed from it."""
    branch, shortcut = draw(1, 6, 8, seed=1), draw(1, 6, 8, seed=2)
    reference = residual(branch, shortcut)
    layers = list(residual(branch, shortcut).layers)
    layers[1] = Layer("other", "conv2d", (0,), draw(1, 6, 8, seed=3)[:, None])
    found = compare(reference, Trace("NCHW", tuple(layers), 3), EXPECTATIONS["float32"])
    assert found.fault is None
    assert found.only_reference == ("branch (conv2d)",) and found.only_candidate == ("other (conv2d)",)


def test_an_embedding_of_another_size_is_a_fault_and_no_crash() -> None:
    canvas: Row = ("canvas", "Input", [], draw(1, 6, 8))
    reference, candidate = (trace("NCHW", [canvas, ("out", "linear", [0], draw(size))]) for size in (3, 4))
    found = compare(reference, candidate, EXPECTATIONS["float32"]).fault
    assert found is not None and "another shape" in found.sentence


def test_a_trace_survives_its_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    recorder = Recorder("NHWC")
    for run in range(2):
        recorder.begin()
        canvas = recorder.add("canvas", "Input", [], np.full((1, 2, 3, 1), run))
        first = recorder.add("same", "CONV_2D", [canvas], np.full((1, 4), run + 0.5))
        recorder.add("same", "RELU", [first], np.full((1, 4), run + 0.25))
    found = load_trace(recorder.save(tmp_path_factory.mktemp("trace") / "trace.npz", 2))
    assert (found.layout, found.output) == ("NHWC", 2)
    assert [layer.name for layer in found.layers] == ["canvas", "same", "same_1"]
    assert [layer.inputs for layer in found.layers] == [(), (0,), (1,)]
    assert found.layers[2].values.tolist() == [[[0.25] * 4], [[1.25] * 4]]


def test_a_network_that_runs_another_way_for_another_canvas_is_refused() -> None:
    recorder = Recorder("NCHW")
    recorder.begin()
    recorder.add("a", "Conv", [], np.zeros(1))
    recorder.begin()
    with pytest.raises(ValueError, match="ran another way for another canvas, at a"):
        recorder.add("a", "Relu", [], np.zeros(1))
