"""Quantization-aware training: it rounds as the int8 file does, and trains what the checkpoint holds."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sigedge.synthesis import write_dataset
from sigedge.training import train
from sigedge.training.batches import Batches
from sigedge.training.quantisation import LEVELS, QuantisedDeployment, quantise_kernel
from sigedge.training.similarity import matching_of, similarities
from sigedge_export.process import run_step
from sigedge_models import CheckpointInfo, create, load_checkpoint, names, save_checkpoint
from sigedge_runtime.errors import CheckpointError, RecipeError
from sigedge_runtime.matching import LocalMatching
from sigedge_runtime.preprocessing import PreprocessSpec

SIZE = (32, 64)
TINY = {
    "stages": [[6, 4], [6, 1], [8, 2]],
    "embedding_size": 8,
    "demanding": False,
    "canvas_height": SIZE[0],
    "canvas_width": SIZE[1],
}


def signatures(seed: int, count: int = 4) -> tuple[Tensor, Tensor]:
    """Noisy copies of six patterns as canvases float [6 * count, 1, H, W], and whose each is."""
    patterns = np.random.default_rng(0).random((6, 1, *SIZE)) > 0.9
    noise = np.random.default_rng(seed).random((6, count, *SIZE)) > 0.97
    canvases = np.where(noise, ~patterns, patterns).reshape(-1, 1, *SIZE)
    return torch.from_numpy(canvases.astype(np.float32) * 255), torch.arange(6).repeat_interleave(count)


def fit(network: nn.Module, steps: int, rate: float = 3e-3) -> None:
    """Train as a verifier is trained, on similarities."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
    for step in range(steps):
        canvases, signers = signatures(step)
        same = (signers[:, None] == signers[None]).float()
        optimiser.zero_grad()
        ((similarities(network(canvases), matching_of(network)) - same) ** 2).mean().backward()  # type: ignore[no-untyped-call]
        optimiser.step()


@pytest.fixture(scope="module", params=["local", "global"])
def trained(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    model = create("edgesig", **TINY, head=request.param).train()
    fit(model, 40, rate=1e-2)
    return model.eval()


@pytest.fixture(scope="module")
def spoilt(trained: nn.Module) -> nn.Module:
    """The same function, but one channel of the first layer is a hundred times as large as the others.

    Its activations set the range of the whole tensor, and leave a level or two to all other channels.
    """
    model = copy.deepcopy(trained)
    first, second = model.blocks[0], model.blocks[1]  # type: ignore[index]
    # A channel of a layer with a shortcut runs through it, so the first layer of two is the one to spoil.
    second.has_shortcut = False
    with torch.no_grad():
        first.norm.weight[0] *= 100
        first.norm.bias[0] *= 100
        second.conv.weight[:, 0] /= 100
    return model


def quantised(model: nn.Module, canvases: Tensor) -> QuantisedDeployment:
    network = QuantisedDeployment(model, 0.9)
    network.start_ranges(canvases)
    return network.eval()  # type: ignore[return-value]


def int8_error(model: nn.Module) -> float:
    """99th percentile of the score differences between int8 and float, on signatures that trained nothing."""
    canvases, _ = signatures(999)
    matching = matching_of(model)
    with torch.no_grad():
        rounded, exact = quantised(model, canvases)(canvases), model.eval()(canvases)
        difference = similarities(rounded, matching) - similarities(exact, matching)
    return float(difference.abs().quantile(0.99))


class TestKernel:
    @given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1]))
    def test_each_channel_is_rounded_to_its_own_levels(self, seed: int, axis: int) -> None:
        kernel = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(seed % 2**31)).double().float()
        rounded = quantise_kernel(kernel, axis)
        for channel in range(kernel.shape[axis]):
            before, after = kernel.select(axis, channel), rounded.select(axis, channel)
            step = float(before.abs().max()) / LEVELS
            assert float((before - after).abs().max()) <= step / 2 * 1.001
            assert torch.allclose(after / step, (after / step).round(), atol=1e-3)

    def test_gradients_pass_as_if_nothing_was_rounded(self) -> None:
        kernel = torch.randn(2, 3, 1, 1, requires_grad=True)
        quantise_kernel(kernel, 0).sum().backward()  # type: ignore[no-untyped-call]
        assert kernel.grad is not None and torch.equal(kernel.grad, torch.ones_like(kernel))

    def test_a_dead_channel_stays_zero(self) -> None:
        assert torch.equal(quantise_kernel(torch.zeros(2, 1, 1, 1), 0), torch.zeros(2, 1, 1, 1))


class TestDeployment:
    @pytest.mark.parametrize("name", [name for name in names() if hasattr(create(name), "deployed_weights")])
    def test_deployed_weights_are_those_of_the_exported_graph(self, name: str) -> None:
        torch.manual_seed(1)
        model = create(name).eval()
        exported = model.export_module().state_dict()  # type: ignore[operator]
        weights = model.deployed_weights()  # type: ignore[operator]
        assert weights.keys() == exported.keys()
        assert all(torch.equal(weights[key], exported[key]) for key in exported)

    def test_it_is_compared_as_the_model_is(self, trained: nn.Module) -> None:
        assert QuantisedDeployment(trained, 0.9).matching == trained.matching
        assert trained.matching in (LocalMatching(4, 8, 1, 2), None)
        assert QuantisedDeployment(Plain(), 0.9).matching is None

    def test_it_computes_nearly_what_the_model_does(self, trained: nn.Module) -> None:
        assert 0 < int8_error(trained) < 0.05

    def test_gradients_reach_the_parameters_that_the_checkpoint_holds(self, trained: nn.Module) -> None:
        model = copy.deepcopy(trained)
        before = {name: buffer.clone() for name, buffer in model.named_buffers()}
        model.zero_grad()
        network = quantised(model, signatures(0)[0]).train()
        network(signatures(0)[0]).square().sum().backward()
        assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())
        assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())

    def test_ranges_follow_the_batches_in_training_only(self, trained: nn.Module) -> None:
        canvases, _ = signatures(0)
        network = quantised(trained, canvases)
        started = network.ranges.clone()
        assert started[0] == 255 and bool((started > 0).all())
        network(canvases * 0)
        assert torch.equal(network.ranges, started)
        network.train()(canvases * 0)
        assert network.ranges[0] == pytest.approx(0.9 * 255)

    def test_values_beyond_the_range_are_clipped_and_get_no_gradient(self, trained: nn.Module) -> None:
        network = quantised(trained, signatures(0)[0])
        canvas = torch.tensor([100.0, 300.0]).repeat(1, 1, SIZE[0], SIZE[1] // 2).requires_grad_()
        network(canvas).sum().backward()
        assert canvas.grad is not None
        assert bool((canvas.grad[..., 1::2] == 0).all()) and bool((canvas.grad[..., 0::2] != 0).any())

    def test_it_keeps_the_model_and_the_ranges_and_nothing_else(self, trained: nn.Module) -> None:
        network = QuantisedDeployment(trained, 0.9)
        assert {*network.state_dict()} == {"ranges"} | {f"model.{key}" for key in trained.state_dict()}

    def test_a_copy_has_ranges_of_its_own(self, trained: nn.Module) -> None:
        network = quantised(trained, signatures(0)[0])
        before = network.ranges.clone()
        twin = copy.deepcopy(network).train()
        twin(signatures(1)[0] * 0)
        assert torch.equal(network.ranges, before) and not torch.equal(twin.ranges, before)


class Plain(nn.Sequential):
    """An architecture with nothing to fold, with a linear layer and a transposed convolution."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 3, 5, 8), nn.ReLU(), nn.ConvTranspose2d(3, 2, 2), nn.Flatten(1), nn.LazyLinear(4))

    def export_module(self) -> nn.Module:
        return self


class Fused(Plain):
    """One that folds, but cannot say how its weights follow from its own."""

    def export_module(self) -> nn.Module:
        return nn.Sequential(*self)


def test_an_architecture_that_deploys_itself_needs_nothing_more() -> None:
    model = Plain()
    canvases, _ = signatures(0)
    expected = model(canvases)
    network = quantised(model, canvases)
    assert len(network.ranges) == 4
    difference = (network(canvases) - expected).abs().max()
    assert 0 < difference < 0.05 * expected.abs().max()
    assert torch.equal(model(canvases), expected), "the model itself stays as it is"
    network.train()(canvases).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_an_architecture_that_cannot_be_differentiated_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"Fused cannot be trained with quantization.*deployed_weights"):
        QuantisedDeployment(Fused(), 0.9)


def test_training_with_quantization_heals_a_planted_bad_range(trained: nn.Module, spoilt: nn.Module) -> None:
    """And ordinary fine-tuning, with the same batches and steps, does not."""
    broken = int8_error(spoilt)
    assert broken > 3 * int8_error(trained)
    healed, tuned = copy.deepcopy(spoilt), copy.deepcopy(spoilt)
    network = quantised(healed, signatures(0)[0]).train()
    fit(network, 60)
    fit(tuned.train(), 60)
    assert int8_error(healed) < 0.6 * broken
    assert int8_error(healed) < 0.8 * int8_error(tuned)


@pytest.mark.slow
def test_the_simulation_rounds_as_the_qdq_file_does(trained: nn.Module, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    canvases, _ = signatures(5)
    np.save(tmp_path / "canvases.npy", canvases[:, 0].numpy().astype(np.uint8))
    spec = PreprocessSpec(canvas_height=SIZE[0], canvas_width=SIZE[1])
    config = {**TINY, "head": "local" if trained.matching else "global"}
    checkpoint = save_checkpoint(
        tmp_path / "tiny.safetensors", trained, CheckpointInfo("edgesig", config, "tiny", "0", spec.to_dict(), {})
    )
    run_step("torch_to_onnx", ["--checkpoint", checkpoint, "--onnx", tmp_path / "float32.onnx"], tmp_path)
    paths: list[str | Path] = ["--onnx", tmp_path / "float32.onnx", "--qdq", tmp_path / "int8.onnx"]
    run_step(
        "onnx_to_qdq",
        [*paths, "--calibration", tmp_path / "canvases.npy", "--ranges", "minmax", "--keep-biases"],
        tmp_path,
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(tmp_path / "int8.onnx"), options, providers=["CPUExecutionProvider"])
    written = np.concatenate([session.run(None, {"canvas": canvas[None].numpy()})[0] for canvas in canvases])
    network = quantised(trained, canvases)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    held = {tensor.name: float(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer if not tensor.dims}
    scales = [held[node.input[1]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert network.ranges[:-1] / LEVELS == pytest.approx(scales, rel=0.05)
    network.ranges[:-1] = torch.tensor(scales) * LEVELS
    with torch.no_grad():
        simulated, exact = network(canvases).numpy(), trained(canvases).numpy()
    # The simulation also rounds the embedding, as a TFLite file does and a QDQ file does not.
    step = float(network.ranges[-1]) / LEVELS
    assert np.mean(np.abs(simulated - written) <= 0.51 * step) > 0.95
    assert np.mean(np.abs(simulated - exact) <= 0.51 * step) < 0.8


RECIPE = {
    "architecture": "edgesig",
    "name": "tiny",
    "version": "1",
    "licence": "Apache-2.0",
    "config": {"stages": [[4, 4], [8, 4], [8, 2]], "embedding_size": 8},
    "seed": 5,
    "data": {"signers_per_batch": {"made": 2}, "genuine": 2, "forged": 2},
    "optimisation": {"steps": 2, "steps_per_epoch": 2, "validate_every": 1},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four synthetic signers as a research folder."""
    folder = tmp_path_factory.mktemp("data")
    images = write_dataset(folder / "made", signers=4, genuine=6, forged=3, seed=4)
    with (folder / "index.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "dataset", "signer", "label", "sample", "width", "height"])
        for path in sorted(images.glob("*/*/*.png")):
            rows.writerow([path.relative_to(folder), "made", path.parts[-3], path.parts[-2], int(path.stem), 0, 0])
    signers = [f"signer_{i:04d}" for i in range(1, 5)]
    (folder / "splits.json").write_text(json.dumps({"made": {"train": signers, "test": []}}))
    return folder


@pytest.fixture(scope="module")
def recipe(data: Path) -> Path:
    path = data / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE | {"quantization_aware": {"steps": 4, "learning_rate": 1e-3}}))
    return path


@pytest.fixture(scope="module")
def initial(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = data / "ordinary.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return train("edgesig", data, tmp_path_factory.mktemp("initial"), recipe=path, cache=data / "cache")


@pytest.fixture(scope="module")
def tuned(data: Path, recipe: Path, initial: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    return train("edgesig", data, folder, recipe=recipe, initial=initial, cache=data / "cache")


def test_the_result_is_an_ordinary_checkpoint_that_says_how_it_was_made(tuned: Path, initial: Path) -> None:
    model, info = load_checkpoint(tuned)
    started, before = load_checkpoint(initial)
    assert model.state_dict().keys() == started.state_dict().keys()
    assert not torch.equal(model.state_dict()["cells.weight"], started.state_dict()["cells.weight"])
    assert (info.architecture, info.config) == (before.architecture, before.config)
    assert info.training["recipe"]["quantization_aware"] == {"steps": 4, "learning_rate": 1e-3, "range_decay": 0.99}
    assert info.training["recipe"]["optimisation"]["steps"] == 4
    assert info.training["initial"]["recipe"]["quantization_aware"] is None


def test_an_interrupted_run_goes_on_to_the_same_weights(
    tuned: Path, data: Path, recipe: Path, initial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Batches.__getitem__

    def interrupt(self: Batches, index: int) -> tuple[Tensor, Tensor, Tensor]:
        if (self._epoch, index) == (1, 1):
            raise KeyboardInterrupt
        return original(self, index)

    options = {"recipe": recipe, "initial": initial, "cache": data / "cache"}
    with monkeypatch.context() as patch:
        patch.setattr(Batches, "__getitem__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train("edgesig", data, tmp_path, **options)  # type: ignore[arg-type]
    resumed, _ = load_checkpoint(train("edgesig", data, tmp_path, **options))  # type: ignore[arg-type]
    straight, _ = load_checkpoint(tuned)
    for name, tensor in straight.state_dict().items():
        assert torch.allclose(tensor, resumed.state_dict()[name], atol=1e-6), name


def test_the_flag_takes_the_defaults_and_steps_shorten_it(data: Path, initial: Path, tmp_path: Path) -> None:
    made = train(
        *("edgesig", data, tmp_path),
        recipe=data / "ordinary.yaml",
        initial=initial,
        cache=data / "cache",
        steps=2,
        quantization_aware=True,
    )
    settings = load_checkpoint(made)[1].training["recipe"]
    assert settings["quantization_aware"]["steps"] == 300 and settings["optimisation"]["steps"] == 2
    assert settings["optimisation"]["learning_rate"] == settings["quantization_aware"]["learning_rate"] == 1e-4


def test_it_needs_a_checkpoint_to_start_from(data: Path, recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="name its checkpoint with --initial"):
        train("edgesig", data, tmp_path, recipe=recipe, cache=data / "cache")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        train("edgesig", data, tmp_path, recipe=recipe, initial=tmp_path / "gone", cache=data / "cache")
