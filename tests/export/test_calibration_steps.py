"""The steps that use ranges: what stands in the quantised files is what was measured and chosen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_export import Export, GoldenImage, Interval, ParitySet
from sigedge_export.calibration import CalibrationSet, MethodRow, Origin, compare_ranges
from sigedge_export.calibration.compare import QDQ, WRITERS, best_method, verdict
from sigedge_export.calibration.ranges import choose_ranges
from sigedge_export.process import run_step
from sigedge_runtime.errors import ExportError
from sigedge_runtime.preprocessing import PreprocessSpec

SIZE = (32, 64)


@pytest.fixture(scope="module")
def canvases() -> NDArray[np.uint8]:
    return ((np.random.default_rng(0).random((6, *SIZE)) > 0.9) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, canvases: NDArray[np.uint8]) -> dict[str, Path]:
    """Two layers of a network as float32 ONNX, and its calibration canvases."""
    import torch

    from sigedge_models import CheckpointInfo, create, save_checkpoint

    torch.manual_seed(3)
    config = {"stages": [[4, 4], [6, 4]], "embedding_size": 5, "canvas_height": SIZE[0], "canvas_width": SIZE[1]}
    spec = PreprocessSpec(canvas_height=SIZE[0], canvas_width=SIZE[1])
    info = CheckpointInfo("edgesig", config, "tiny", "0", spec.to_dict(), {})
    folder = tmp_path_factory.mktemp("tiny")
    model = create("edgesig", **config)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias)  # the exporter leaves biases of zeros out
    checkpoint = save_checkpoint(folder / "tiny.safetensors", model.eval(), info)
    np.save(folder / "canvases.npy", canvases)
    run_step("torch_to_onnx", ["--checkpoint", checkpoint, "--onnx", folder / "float32.onnx"], folder)
    return {"folder": folder, "onnx": folder / "float32.onnx", "calibration": folder / "canvases.npy"}


def quantise(files: dict[str, Path], method: str) -> Any:
    """The QDQ graph of a method."""
    import onnx

    qdq = files["folder"] / f"{method}.onnx"
    inputs: list[str | Path] = ["--onnx", files["onnx"], "--calibration", files["calibration"]]
    run_step("onnx_to_qdq", [*inputs, "--qdq", qdq, "--ranges", method], files["folder"])
    return onnx.load(qdq)


def scales(graph: Any, operator: str) -> dict[str, NDArray[np.float32]]:
    """Scale of each tensor that nodes of one kind read, by the tensor's name."""
    import onnx

    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    return {node.input[0]: held[node.input[1]] for node in graph.graph.node if node.op_type == operator}


@pytest.mark.parametrize("method", ["minmax", "percentile-99.9", "mse"])
def test_the_scales_of_activations_are_the_chosen_ranges(
    method: str, files: dict[str, Path], canvases: NDArray[np.uint8]
) -> None:
    from sigedge_export.steps.onnx_to_qdq import measure_activations

    wanted = choose_ranges(measure_activations(files["onnx"], canvases), method, symmetric=True, exact=("canvas",))
    found = scales(quantise(files, method), "QuantizeLinear")
    assert list(wanted) == list(found) and len(found) == 3
    for name, scale in found.items():
        assert scale == pytest.approx(wanted[name][1] / 127, rel=1e-6), name
    assert found["canvas"] == pytest.approx(255 / 127)


def test_histograms_hold_what_the_network_computes(files: dict[str, Path], canvases: NDArray[np.uint8]) -> None:
    from sigedge_export.steps.onnx_to_qdq import measure_activations

    found = measure_activations(files["onnx"], canvases)
    assert found["canvas"].counts.sum() == canvases.size and found["canvas"].high == 255
    inner = [histogram for name, histogram in found.items() if name != "canvas"]
    assert [histogram.counts.sum() for histogram in inner] == [6 * 4 * 8 * 16, 6 * 6 * 2 * 4]
    assert all(histogram.low == 0 for histogram in inner), "ReLU returns nothing negative"


def test_onnx_weights_have_a_scale_for_each_channel_and_biases_stay_float(files: dict[str, Path]) -> None:
    import onnx

    graph = quantise(files, "minmax")
    weights = {name: scale for name, scale in scales(graph, "DequantizeLinear").items() if "weight" in name}
    assert sorted(scale.shape for scale in weights.values()) == [(4,), (6,), (6,)]
    biases = [tensor for tensor in graph.graph.initializer if tensor.name.endswith(".bias")]
    assert len(biases) == 3 and all(tensor.data_type == onnx.TensorProto.FLOAT for tensor in biases)


def test_an_unknown_method_is_refused_by_the_step(files: dict[str, Path]) -> None:
    with pytest.raises(ExportError, match=r"exit code 2 .*guess"):
        quantise(files, "guess")


def weight_scales(tflite: Path) -> list[tuple[int, int]]:
    """Output channels and number of scales of every int8 kernel in a TFLite file."""
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_path=str(tflite)).get_tensor_details()
    kernels = [tensor for tensor in details if tensor["dtype"] == np.int8 and tensor["shape"][0] > 1]
    return [(int(kernel["shape"][0]), len(kernel["quantization_parameters"]["scales"])) for kernel in kernels]


@pytest.mark.slow
def test_tflite_weights_have_a_scale_for_each_channel(exported: Export) -> None:
    found = weight_scales(exported.bundle / "artifacts" / "small-int8.tflite")
    assert len(found) == 5 and all(channels == count for channels, count in found)


@pytest.mark.slow
def test_chosen_ranges_reach_a_tflite_file(exported: Export, calibration: NDArray[np.uint8], tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    np.save(tmp_path / "canvases.npy", calibration)
    source = exported.bundle / "artifacts" / "small-float32.tflite"
    steps: dict[str, list[float]] = {}
    for method in ("minmax", "percentile-99.9"):
        inputs: list[str | Path] = ["--tflite", source, "--calibration", tmp_path / "canvases.npy"]
        made = tmp_path / f"{method}.tflite"
        run_step("tflite_to_quantized", [*inputs, "--mixed", made, "--ranges", method], tmp_path)
        assert all(channels == count for channels, count in weight_scales(made))
        details = Interpreter(model_path=str(made)).get_tensor_details()
        inner = [tensor for tensor in details if tensor["dtype"] == np.int8 and tensor["shape"][0] == 1]
        steps[method] = [float(tensor["quantization"][0]) for tensor in inner]
    narrower = np.array(steps["percentile-99.9"]) / np.array(steps["minmax"])
    assert narrower[0] == 1.0, "the canvas keeps its range"
    assert (narrower <= 1.0001).all() and narrower.min() < 0.95


@pytest.mark.slow
def test_a_file_of_a_dynamic_range_gives_on_average_what_the_float_one_gives(
    exported: Export, calibration: NDArray[np.uint8], tmp_path: Path
) -> None:
    from ai_edge_quantizer import quantizer

    from sigedge_export.steps.tflite_to_quantized import recipe_of
    from sigedge_export.watching import open_interpreter

    def mean_embedding(content: bytes) -> NDArray[np.float64]:
        interpreter = open_interpreter(content)
        (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
        rows = []
        for canvas in calibration:
            interpreter.set_tensor(taken["index"], canvas[None, :, :, None].astype(np.float32))
            interpreter.invoke()
            rows.append(interpreter.get_tensor(given["index"])[0])
        return np.mean(rows, axis=0, dtype=np.float64)

    artifacts = exported.bundle / "artifacts"
    source = artifacts / "small-float32.tflite"
    plain = quantizer.Quantizer(str(source), recipe_of("dynamic_range").get_quantization_recipe()).quantize()
    exact = mean_embedding(source.read_bytes())
    uncorrected = np.abs(mean_embedding(bytes(plain.quantized_model)) - exact).mean()
    corrected = np.abs(mean_embedding((artifacts / "small-dynamic_range.tflite").read_bytes()) - exact).mean()
    assert corrected < 0.5 * uncorrected


def test_a_comparison_measures_every_method(
    checkpoint: Path, calibration: NDArray[np.uint8], parity_set: ParitySet, golden: list[GoldenImage]
) -> None:
    origins = tuple(Origin("synthetic", str(row), seed=1) for row in range(len(calibration)))
    drawn = CalibrationSet(calibration, origins, PreprocessSpec().digest(), 1)
    methods = ("minmax", "percentile-99.9")
    found = compare_ranges(checkpoint, drawn, parity_set, golden, methods=methods, writers=(QDQ,))
    assert [(row.writer, row.method) for row in found.rows] == [(QDQ, method) for method in methods]
    assert len({row.parity.max_score_difference for row in found.rows}) == 2
    assert all(0 < row.parity.max_score_difference < 0.3 for row in found.rows)
    assert found.chosen[QDQ] in methods and found.chosen[QDQ] in found.verdicts[QDQ]
    values = found.to_dict()
    assert values["calibration_canvases"] == 32 and len(values["rows"]) == 2
    assert not values.keys() & {"files", "findings"}, "they are about a scratch folder"


def test_a_comparison_refuses_an_unknown_method(
    checkpoint: Path, calibration: NDArray[np.uint8], parity_set: ParitySet
) -> None:
    drawn = CalibrationSet(calibration[:1], (Origin("a", "1", seed=0),), "", 0)
    with pytest.raises(ExportError, match="no range method 'guess'"):
        compare_ranges(checkpoint, drawn, parity_set, [], methods=("guess",))


def row(method: str, p99: float, change: Interval, writer: str = QDQ) -> MethodRow:
    return MethodRow(writer, method, SimpleNamespace(p99_score_difference=p99, eer_difference=change))  # type: ignore[arg-type]


NO_WORSE, WORSE = Interval(0.001, -0.002, 0.004), Interval(0.004, 0.001, 0.008)


class TestChoice:
    def test_takes_the_smallest_differences_among_those_that_do_no_harm(self) -> None:
        rows = [row("minmax", 0.03, NO_WORSE), row("mse", 0.02, NO_WORSE), row("percentile-99.9", 0.01, WORSE)]
        assert best_method(rows, QDQ) == "mse"

    def test_where_all_do_harm_the_differences_decide(self) -> None:
        assert best_method([row("minmax", 0.03, WORSE), row("mse", 0.04, WORSE)], QDQ) == "minmax"

    def test_looks_at_one_writer_alone(self) -> None:
        rows = [row("minmax", 0.03, NO_WORSE), row("mse", 0.001, NO_WORSE, writer=WRITERS[1])]
        assert best_method(rows, QDQ) == "minmax"

    def test_the_verdict_asks_for_training_above_the_rule(self) -> None:
        assert "at most 0.3" in verdict([row("mse", 0.1, NO_WORSE)], QDQ, "mse")
        asked = verdict([row("mse", 0.1, NO_WORSE), row("mse", 0.1, WORSE)], QDQ, "mse")
        assert "+0.40 points [+0.10, +0.80]" in asked and "--quantization-aware" in asked


class TestBiasCorrection:
    """Without it the mean of a channel drifts; with it the float model's mean comes back, layer by layer."""

    def means(self, path: Path, canvases: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
        import onnx
        import onnxruntime

        model = onnx.load(path)
        names = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        feeds = [{"canvas": canvas[None, None].astype(np.float32)} for canvas in canvases]
        runs = [session.run(names, feed) for feed in feeds]
        return [np.mean([run[place].mean(axis=(0, 2, 3)) for run in runs], axis=0) for place in range(len(names))]

    def test_gives_each_channel_its_mean_back(self, files: dict[str, Path], canvases: NDArray[np.uint8]) -> None:
        quantise(files, "minmax")
        kept = files["folder"] / "kept.onnx"
        paths: list[str | Path] = ["--onnx", files["onnx"], "--calibration", files["calibration"], "--qdq", kept]
        run_step("onnx_to_qdq", [*paths, "--keep-biases"], files["folder"])
        exact = self.means(files["onnx"], canvases)
        drift = [
            max(
                float(np.abs(found - wanted).max())
                for found, wanted in zip(self.means(path, canvases), exact, strict=True)
            )
            for path in (kept, files["folder"] / "minmax.onnx")
        ]
        assert drift[1] < 1e-4 * max(float(np.abs(wanted).max()) for wanted in exact)
        assert drift[0] > 20 * drift[1]
