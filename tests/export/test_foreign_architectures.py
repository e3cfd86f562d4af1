"""Architectures that another distribution brings: residual attention, depthwise swish, transposed convolutions.

Each goes through every hop; what cannot be had is declared in its export.json. The networks are untrained and one gives
images, so tensors are compared with PyTorch's, hop by hop: signal-to-noise ratios in decibels.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_export import ExportOptions, Reference, choose_targets, load_options, load_reference
from sigedge_export.chain import run_chain
from sigedge_export.process import run_step
from sigedge_export.runners import FRAMEWORKS
from sigedge_export.targets import TARGETS, Target
from sigedge_models import CheckpointInfo, create, names, save_checkpoint
from sigedge_models.registry import folder
from sigedge_runtime.errors import CheckpointError, ExportError
from sigedge_runtime.preprocessing import PreprocessSpec

pytestmark = pytest.mark.slow

NETWORKS = {"attention": "Attention", "swish": "Swish", "generator": "Generator"}
LEAST = {"float32": 80.0, "float16": 45.0, "dynamic_range": 15.0, "int8": 15.0, "int16_activations": 25.0}
NO_LAYERS = {"mixed-tflite": "the model's export.json names no float_layers, the layers to keep in float"}
HEIGHT, WIDTH = 32, 64


@pytest.fixture(scope="module", autouse=True)
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An installed distribution with an entry point for each network."""
    site = tmp_path_factory.mktemp("site")
    entries = ["[sigedge.models]"]
    for name, network in NETWORKS.items():
        (site / f"foreign_{name}").mkdir()
        (site / f"foreign_{name}" / "__init__.py").write_text(f"from foreign_networks import {network} as Model\n")
        entries.append(f"{name} = foreign_{name}")
    metadata = site / "foreign-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join(entries))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.syspath_prepend(str(site))
        yield site
    for module in ["foreign_networks", *(f"foreign_{name}" for name in NETWORKS)]:
        sys.modules.pop(module, None)


def canvases(count: int, seed: int) -> NDArray[np.uint8]:
    """Blots of 4 x 4 pixels."""
    ink = np.random.default_rng(seed).random((count, HEIGHT // 4, WIDTH // 4)) < 0.2
    blots: NDArray[np.uint8] = (255 * ink).astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    return blots


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reference]:
    import torch

    torch.manual_seed(1)
    spec = {**PreprocessSpec().to_dict(), "canvas_height": HEIGHT, "canvas_width": WIDTH}
    info = CheckpointInfo(request.param, {}, request.param, "1", spec, {})
    path = tmp_path_factory.mktemp("foreign") / "weights.safetensors"
    save_checkpoint(path, create(request.param).eval(), info)
    return path, load_reference(path)


@pytest.fixture(scope="module")
def made(network: tuple[Path, Reference], tmp_path_factory: pytest.TempPathFactory) -> dict[Target, Path]:
    """Everything that the network offers."""
    checkpoint, reference = network
    options = load_options(reference.info.architecture)
    work = tmp_path_factory.mktemp("work")
    targets = choose_targets(declined=options.not_offered)
    return run_chain(checkpoint, work, targets, canvases(32, seed=1), logs=work, options=options).files


def compute(target: Target, path: Path, folder: Path, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a file makes of canvases, in the layout of PyTorch."""
    if target.format in FRAMEWORKS:
        _, step, option = FRAMEWORKS[target.format]
        np.save(folder / "in.npy", inputs)
        files: list[str | Path] = ["--canvases", folder / "in.npy", "--embeddings", folder / "out.npy"]
        run_step(step, [option, path, *files], folder)
        found = np.load(folder / "out.npy")
    else:
        found = np.concatenate(
            [run_onnx(path, one) if target.format == "onnx" else run_tflite(path, one) for one in inputs]
        )
    channels_last = target.layout == "NHWC" and found.ndim == 4
    return found.transpose(0, 3, 1, 2) if channels_last else found


def run_onnx(path: Path, canvas: NDArray[np.uint8]) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return session.run(["embedding"], {"canvas": canvas[None, None].astype(np.float32)})[0]


def run_tflite(path: Path, canvas: NDArray[np.uint8]) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_path=str(path), num_threads=1).get_signature_runner("serving_default")
    return run(canvas=canvas[None, :, :, None].astype(run.get_input_details()["canvas"]["dtype"]))["embedding"]


def test_other_distributions_add_architectures_but_replace_none(distribution: Path) -> None:
    assert set(NETWORKS) | {"edgesig"} <= set(names())
    assert folder("swish") == distribution / "foreign_swish"
    entries = distribution / "foreign-1.0.dist-info" / "entry_points.txt"
    before = entries.read_text()
    entries.write_text(f"{before}\nedgesig = foreign_swish\ngone = foreign_gone")
    assert folder("edgesig").name == "edgesig"
    with pytest.raises(CheckpointError, match="package of the architecture 'gone' cannot be found"):
        folder("gone")
    entries.write_text(before)


def test_every_format_is_made_or_declared(network: tuple[Path, Reference], made: dict[Target, Path]) -> None:
    options = load_options(network[1].info.architecture)
    assert options == ExportOptions(NO_LAYERS)
    assert {target.key for target in TARGETS} - {target.key for target in made} == set(NO_LAYERS)
    with pytest.raises(ExportError, match=r"mixed-tflite: the model's export\.json names no float_layers"):
        choose_targets(["tflite"], ["mixed"], options.not_offered)


@pytest.mark.parametrize("key", [target.key for target in TARGETS if target.precision in LEAST])
def test_every_file_computes_what_pytorch_does(
    key: str, network: tuple[Path, Reference], made: dict[Target, Path], tmp_path: Path
) -> None:
    target = next(target for target in made if target.key == key)
    inputs = canvases(6, seed=2)
    expected = network[1].embed(inputs)
    found = compute(target, made[target], tmp_path, inputs)
    assert found.shape == expected.shape
    noise = float(((found - expected) ** 2).sum()) or 1e-30
    assert 10 * np.log10(float((expected**2).sum()) / noise) > LEAST[target.precision]


def test_mixed_precision_can_be_had_by_naming_a_layer(
    network: tuple[Path, Reference], made: dict[Target, Path], tmp_path: Path
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    (float32,) = (path for target, path in made.items() if target.key == "float32-tflite")
    operators = Interpreter(model_path=str(float32))
    operators.allocate_tensors()
    tensors = {detail["index"]: detail["name"] for detail in operators.get_tensor_details()}
    (layer, *_) = (tensors[op["outputs"][0]] for op in operators._get_ops_details() if op["op_name"] == "CONV_2D")
    np.save(tmp_path / "calibration.npy", canvases(32, seed=1))
    inputs: list[str | Path] = ["--tflite", float32, "--calibration", tmp_path / "calibration.npy"]
    run_step("tflite_to_quantized", [*inputs, "--mixed", tmp_path / "mixed.tflite", "--float-layer", layer], tmp_path)
    mixed = Interpreter(model_path=str(tmp_path / "mixed.tflite"))
    kinds = {detail["name"]: detail["dtype"] for detail in mixed.get_tensor_details()}
    assert kinds[layer] == np.float32 and np.int8 in kinds.values()
    with pytest.raises(ExportError, match="the file has no layer 'nobody'"):
        run_step("tflite_to_quantized", [*inputs, "--mixed", tmp_path / "m", "--float-layer", "nobody"], tmp_path)


def test_a_declared_exception_is_read_from_the_distribution(distribution: Path) -> None:
    declared = distribution / "foreign_swish" / "export.json"
    declared.write_text(json.dumps({"not_offered": {"int8-onnx": "diverges after the second swish"}}))
    options = load_options("swish")
    declared.unlink()
    with pytest.raises(ExportError, match="int8-onnx: diverges after the second swish"):
        choose_targets(["onnx"], ["int8"], options.not_offered)
