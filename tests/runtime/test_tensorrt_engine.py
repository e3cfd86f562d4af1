"""The engine `tensorrt`: finds plans and never builds them; the GPU under it is a recording fake."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_runtime import Verifier, engines
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import open_engine
from sigedge_runtime.errors import EngineError, EngineUnavailableError
from sigedge_runtime.manifest import Artifact
from sigedge_runtime.tensorrt import build_engine
from sigedge_runtime.tensorrt.machine import this_machine
from sigedge_runtime.tensorrt.plans import BuildFacts, PlanFolder

_spec = importlib.util.spec_from_file_location("fake_tensorrt", Path(__file__).with_name("fake_tensorrt.py"))
fake = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake)

Canvas = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGEDGE_TENSORRT_CACHE", str(tmp_path / "plans"))
    return tmp_path / "plans"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, expected: Callable[[Canvas], NDArray[np.float32]]) -> Any:
    """A fake TensorRT 10.3 on a fake GPU that computes what the tiny network does."""
    recorder = fake.Recorder(lambda tensor: expected(tensor[0, 0]))
    recorder.install(monkeypatch)
    return recorder


@pytest.fixture
def bundle(master_bundle: Path) -> Iterator[Bundle]:
    with Bundle.open(master_bundle) as opened:
        yield opened


@pytest.fixture
def artifact(bundle: Bundle) -> Artifact:
    return bundle.artifact("tiny-float32-onnx")


@pytest.fixture
def built(gpu: Any, bundle: Bundle, artifact: Artifact) -> Path:
    """The plan of the float32 file."""
    path = build_engine(artifact, bundle.path(artifact.file), 1024).path
    gpu.calls.clear()
    return path


def open_tensorrt(bundle: Bundle, artifact: Artifact) -> engines.Engine:
    return open_engine("tensorrt", artifact, bundle.path(artifact.file))


@pytest.mark.usefixtures("built")
def test_the_engine_runs_the_plan_and_frees_everything(
    gpu: Any, bundle: Bundle, artifact: Artifact, expected: Callable[[Canvas], NDArray[np.float32]]
) -> None:
    canvases = np.random.default_rng(0).integers(0, 256, (3, 128, 256)).astype(np.uint8)
    with open_tensorrt(bundle, artifact) as engine:
        assert engine.load_ms > 0 and engine.warm_up_ms > 0
        np.testing.assert_array_equal(engine.infer_batch(canvases), [expected(canvas) for canvas in canvases])
        assert gpu.counts["cudaGraphLaunch"] == 4, "one by the warm-up of every engine"
    engine.close()
    assert not gpu.live
    with pytest.raises(EngineError, match="closed; open it again"):
        engine.infer(canvases[0])
    with engine.open() as again:
        np.testing.assert_array_equal(again.infer(canvases[1]), expected(canvases[1]))
    assert not gpu.live


def test_a_missing_plan_is_not_built_but_told(gpu: Any, bundle: Bundle, artifact: Artifact, plans: Path) -> None:
    with pytest.raises(
        EngineUnavailableError, match=r"No TensorRT plan of .*sigedge build-engine BUNDLE --precision float32"
    ):
        open_tensorrt(bundle, artifact)
    assert not gpu.counts["build_serialized_network"] and not plans.exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda gpu: setattr(gpu.tensorrt, "__version__", "10.7.0"), r"\(version 10\.3\.0 instead of 10\.7\.0\)"),
        (lambda gpu: setattr(gpu.cuda.gpu, "name", b"Thor"), r"\(gpu Fake GPU instead of Thor\)"),
        (lambda gpu: setattr(gpu.cuda.gpu, "minor", 9), r"\(compute_capability 8\.7 instead of 8\.9\)"),
    ],
)
@pytest.mark.usefixtures("built")
def test_a_stale_plan_is_refused_by_what_changed(
    gpu: Any, bundle: Bundle, artifact: Artifact, change: Callable[[Any], None], word: str
) -> None:
    change(gpu)
    with pytest.raises(EngineUnavailableError, match=word):
        open_tensorrt(bundle, artifact)
    assert not gpu.counts["deserialize_cuda_engine"]


@pytest.mark.usefixtures("built")
def test_the_plan_of_another_export_is_refused(gpu: Any, bundle: Bundle, artifact: Artifact) -> None:
    with pytest.raises(EngineUnavailableError, match=r"\(artifact_sha256 [0-9a-f]{12}\.\.\. instead of ababababab"):
        open_tensorrt(bundle, replace(artifact, sha256="ab" * 32))


def test_a_truncated_plan_is_refused(gpu: Any, bundle: Bundle, artifact: Artifact, built: Path) -> None:
    built.write_bytes(built.read_bytes()[:-1])
    with pytest.raises(EngineError, match=r"\.plan is damaged"):
        open_tensorrt(bundle, artifact)
    assert not gpu.counts["deserialize_cuda_engine"]


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("name", ["cudaGetDeviceProperties", "cudaMalloc", "cudaMallocHost", "cudaStreamSynchronize"])
def test_a_failed_open_names_the_call_and_leaves_nothing(
    gpu: Any, bundle: Bundle, artifact: Artifact, name: str
) -> None:
    gpu.fail = {name: gpu.counts[name] + 1}
    with pytest.raises(EngineError, match=f"{name} failed"):
        open_tensorrt(bundle, artifact)
    assert not gpu.live


@pytest.mark.usefixtures("built")
def test_a_failed_warm_up_names_the_call_and_leaves_nothing(gpu: Any, bundle: Bundle, artifact: Artifact) -> None:
    gpu.fail = {"cudaGraphLaunch": 1}
    with pytest.raises(EngineError, match=r"float32\.onnx: the engine tensorrt failed \(The CUDA call cudaGraphLaunch"):
        open_tensorrt(bundle, artifact)
    assert not gpu.live


@pytest.mark.usefixtures("built")
def test_a_failed_inference_is_told_and_closing_still_works(gpu: Any, bundle: Bundle, artifact: Artifact) -> None:
    engine = open_tensorrt(bundle, artifact)
    gpu.fail = {"cudaGraphLaunch": 2}
    with pytest.raises(EngineError, match=r"cudaGraphLaunch failed .*run the self-test"):
        engine.infer(np.zeros((128, 256), np.uint8))
    engine.close()
    assert not gpu.live


@pytest.mark.usefixtures("built")
def test_running_without_a_graph_is_said(gpu: Any, bundle: Bundle, artifact: Artifact) -> None:
    gpu.fail = {"cudaStreamEndCapture": 1}
    with open_tensorrt(bundle, artifact) as engine:
        (sentence,) = engine.fallbacks
    assert "runs without a CUDA graph. The CUDA call cudaStreamEndCapture failed" in sentence


def test_float_layers_of_an_int8_plan_are_named(gpu: Any, bundle: Bundle) -> None:
    artifact = bundle.artifact("tiny-int8-onnx")
    build_engine(artifact, bundle.path(artifact.file), 1024)
    gpu.tensorrt.layers = [
        {"Name": "conv1", "Weights": {"Type": "Float", "Count": 64}},
        {"Name": "conv2", "Weights": {"Type": "Int8", "Count": 64}},
        {"Name": "relu", "Weights": {"Type": "Float", "Count": 0}},
        "a name alone",
    ]
    with open_tensorrt(bundle, artifact) as engine:
        assert engine.fallbacks == ("int8 was asked for, but TensorRT runs layers of tiny-int8-onnx in float (conv1).",)
    gpu.tensorrt.layers = gpu.tensorrt.layers[1:]
    with engine.open():
        assert engine.fallbacks == ()


@pytest.mark.usefixtures("built")
def test_a_plan_that_tells_nothing_of_its_layers_is_no_fallback(gpu: Any, bundle: Bundle, artifact: Artifact) -> None:
    gpu.tensorrt.layers = [{"Name": "conv1", "Weights": {"Type": "Float", "Count": 64}}]
    with open_tensorrt(bundle, artifact) as engine:
        assert engine.fallbacks == (), "float32 was asked for"


def test_a_plan_unlike_its_manifest_is_refused(gpu: Any, bundle: Bundle, artifact: Artifact) -> None:
    gpu.compute = lambda tensor: np.zeros((1, 9), np.float32)
    plan = b"PLAN" + json.dumps([[("canvas", (1, 1, 128, 256))], [("embedding", (1, 9))]]).encode()
    PlanFolder().store(artifact, this_machine().key(artifact), plan, BuildFacts(1.0, 4, None, False))
    with pytest.raises(EngineError, match=r"finds .*shape=\(1, 9\).* as output where the manifest says"):
        open_tensorrt(bundle, artifact)
    assert not gpu.live


@pytest.mark.usefixtures("built")
def test_a_verifier_runs_on_tensorrt_and_its_self_test_passes(
    gpu: Any, master_bundle: Path, draw: Callable[[int, int], Canvas], tmp_path: Path
) -> None:
    for name, (signer, sample) in {"a": (0, 0), "genuine": (0, 2), "random": (1, 0)}.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), draw(signer, sample))
    with Verifier.open(master_bundle, engine="tensorrt") as verifier:
        assert (verifier.engine.name, verifier.artifact.name) == ("tensorrt", "tiny-float32-onnx")
        assert verifier.selftest().passed
        verifier.enroll("ada", [tmp_path / "a.png"])
        assert verifier.verify("ada", tmp_path / "genuine.png").accepted
        assert not verifier.verify("ada", tmp_path / "random.png").accepted
    assert not gpu.live


@pytest.mark.usefixtures("gpu")
def test_auto_goes_on_taking_what_needs_no_plan(bundle: Bundle, artifact: Artifact) -> None:
    assert engines.available()["tensorrt"].available
    with open_engine("auto", artifact, bundle.path(artifact.file)) as engine:
        assert engine.name == "onnxruntime"


@pytest.mark.usefixtures("built")
def test_auto_takes_tensorrt_where_there_is_nothing_else(
    bundle: Bundle, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with open_engine("auto", artifact, bundle.path(artifact.file)) as engine:
        assert engine.name == "tensorrt"


def test_the_version_names_the_flavour(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engines.available()["tensorrt"].detail == "10.3.0"
    pytest.importorskip("tensorrt_rtx_bindings", reason="tensorrt-rtx-cu12-bindings is not installed")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert engines.available()["tensorrt"].detail.startswith("TensorRT-RTX 1.")


def test_without_a_gpu_the_engine_is_not_available_and_opening_it_says_why(
    gpu: Any, bundle: Bundle, artifact: Artifact
) -> None:
    gpu.sticky, gpu.fail, gpu.cuda.error = True, {"cudaGetDevice": 1}, fake.CudaError.cudaErrorNoDevice
    status = engines.available()["tensorrt"]
    assert not status.available and "needs an NVIDIA GPU" in status.detail
    with pytest.raises(EngineUnavailableError, match="cudaErrorNoDevice"):
        open_tensorrt(bundle, artifact)


@pytest.mark.parametrize("module", ["cuda.bindings.runtime", "cuda.cudart"])
def test_the_real_cuda_python_without_a_gpu_is_understood(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, artifact: Artifact, module: str
) -> None:
    """cuda-python itself: its enums, tuples and texts, as far as a machine without a GPU goes."""
    real = pytest.importorskip(module, reason="cuda-python is not installed")
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, real if name == module else None)
    monkeypatch.setitem(sys.modules, "tensorrt", fake.Recorder(lambda canvas: canvas).tensorrt)
    if int(real.cudaGetDeviceCount()[0]) == 0:
        pytest.skip("this machine has a GPU")
    with pytest.raises(EngineUnavailableError, match=r"CUDA call cudaGetDevice failed \(cudaError\w+: [\w -]+\); this"):
        open_tensorrt(bundle, artifact)


@pytest.mark.parametrize("module", ["cuda.bindings.runtime", "cuda.cudart"])
def test_the_real_cuda_python_has_every_call_and_constant_of_the_fake(module: str) -> None:
    real = pytest.importorskip(module, reason="cuda-python is not installed")
    names = [name[1:] for name in vars(fake.FakeCuda) if name.startswith("_cuda")]
    assert len(names) > 14
    for name in [*names, "cudaGetErrorString", "cudaGetLastError", "cudaStreamNonBlocking"]:
        assert hasattr(real, name), name
    assert real.cudaMemcpyKind.cudaMemcpyHostToDevice.value == 1
    assert real.cudaMemcpyKind.cudaMemcpyDeviceToHost.value == 2
    assert real.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal.value == 1
    assert int(real.cudaStream_t(7)) == 7
    assert {"name", "major", "minor"} <= set(dir(real.cudaDeviceProp))
