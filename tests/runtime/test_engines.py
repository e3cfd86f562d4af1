"""Engines: all answer alike, and the base class catches whatever a file or a library does wrong."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_runtime import engines
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import Engine, EngineStatus, TensorFacts, engine_class, open_engine
from sigedge_runtime.engines._quiet import quiet_stderr
from sigedge_runtime.errors import EngineError, EngineUnavailableError
from sigedge_runtime.manifest import Artifact, Quantization, Tensor
from sigedge_runtime.preprocessing import harmonise

Canvas = NDArray[np.uint8]
# Engine, artefact, and how far its embeddings may be from the exact ones.
PAIRS = [
    ("litert", "tiny-float32-tflite", 1e-5),
    ("litert", "tiny-int8-tflite", 0.15),
    ("tflite_runtime", "tiny-float32-tflite", 1e-5),
    ("tflite_runtime", "tiny-int8-tflite", 0.15),
    ("onnxruntime", "tiny-float32-onnx", 1e-5),
    ("onnxruntime", "tiny-int8-onnx", 0.15),
]


@pytest.fixture
def tflite_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """tflite-runtime itself where it is installed; else LiteRT in its place, whose interface is the same."""
    try:
        importlib.import_module("tflite_runtime.interpreter")
    except ImportError:
        stand_in = importlib.import_module("ai_edge_litert.interpreter")
        monkeypatch.setitem(sys.modules, "tflite_runtime", ModuleType("tflite_runtime"))
        monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", stand_in)


def test_the_list_of_pairs_is_whole() -> None:
    # test_tensorrt_engine.py and test_engine_providers.py
    needs_a_gpu = {"tensorrt", "onnxruntime-cuda", "onnxruntime-tensorrt", "litert-gpu", "litert-nnapi"}
    assert {engine for engine, _, _ in PAIRS} | needs_a_gpu == set(engines.names())


@pytest.mark.usefixtures("tflite_runtime")
@pytest.mark.parametrize(("engine", "name", "tolerance"), PAIRS)
def test_every_engine_gives_the_expected_answer(
    load: Callable[..., Engine],
    draw: Callable[[int, int], Canvas],
    expected: Callable[[Canvas], NDArray[np.float32]],
    engine: str,
    name: str,
    tolerance: float,
) -> None:
    canvases = np.stack([harmonise(draw(signer, 0)).canvas for signer in range(3)])
    with load(engine, name) as opened:
        assert opened.name == engine
        assert opened.load_ms > 0 and opened.warm_up_ms > 0
        found = opened.infer_batch(canvases)
        assert found.dtype == np.float32 and found.shape == (3, 8)
        np.testing.assert_allclose(found, [expected(canvas) for canvas in canvases], atol=tolerance)
        np.testing.assert_array_equal(opened.infer(canvases[1]), found[1])
        assert opened.infer_batch(canvases[:0]).shape == (0, 8)


def test_results_are_not_overwritten_by_the_next(load: Callable[..., Engine]) -> None:
    with load("litert", "tiny-float32-tflite") as opened:
        first = opened.infer(np.full((128, 256), 255, np.uint8))
        kept = first.copy()
        opened.infer(np.zeros((128, 256), np.uint8))
        np.testing.assert_array_equal(first, kept)


def test_auto_takes_the_first_engine_that_fits(load: Callable[..., Engine]) -> None:
    with load("auto", "tiny-int8-tflite") as opened:
        assert opened.name == "litert"
    with load("auto", "tiny-int8-onnx") as opened:
        assert opened.name == "onnxruntime"


def test_threads_share_an_engine(load: Callable[..., Engine]) -> None:
    canvases = [np.full((128, 256), value, np.uint8) for value in range(8)]
    with load("litert", "tiny-float32-tflite") as opened:
        expected = [opened.infer(canvas) for canvas in canvases]
        wrong: list[int] = []

        def work() -> None:
            for _ in range(20):
                for i, canvas in enumerate(canvases):
                    if not np.array_equal(opened.infer(canvas), expected[i]):
                        wrong.append(i)

        with ThreadPoolExecutor(4) as pool:
            for finished in [pool.submit(work) for _ in range(4)]:
                finished.result()
    assert wrong == []


@pytest.mark.parametrize(
    ("engine", "name", "word"),
    [
        ("litert", "tiny-float32-onnx", "runs tflite, not tiny-float32-onnx"),
        ("onnxruntime", "tiny-int8-tflite", "runs onnx, not tiny-int8-tflite"),
        ("tpu", "tiny-int8-tflite", "no engine 'tpu'; choose one of auto, litert, tflite_runtime, onnxruntime"),
    ],
)
def test_an_engine_that_does_not_fit_is_refused(load: Callable[..., Engine], engine: str, name: str, word: str) -> None:
    with pytest.raises(EngineError, match=word):
        load(engine, name)


def test_a_negative_number_of_threads_is_refused(bundle: Bundle) -> None:
    artifact = bundle.artifact("tiny-int8-tflite")
    with pytest.raises(EngineError, match="cannot run on 0 threads"):
        open_engine("litert", artifact, bundle.path(artifact.file), threads=0)


@pytest.mark.parametrize(("engine", "name"), [("litert", "tiny-int8-tflite"), ("onnxruntime", "tiny-float32-onnx")])
@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_a_file_that_does_not_load_is_named(
    bundle: Bundle, tmp_path: Path, engine: str, name: str, content: bytes | None
) -> None:
    path = tmp_path / "broken.model"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=r"broken\.model: the engine .* cannot load it .*; export it again"):
        open_engine(engine, bundle.artifact(name), path)


@pytest.mark.parametrize(
    ("engine", "name", "changes"),
    [
        ("litert", "tiny-float32-tflite", {"output": Tensor("embedding", (1, 9), "float32", "ND", None)}),
        ("litert", "tiny-float32-tflite", {"input": Tensor("canvas", (1, 256, 128, 1), "float32", "NHWC", None)}),
        ("litert", "tiny-int8-tflite", {"input": Tensor("canvas", (1, 128, 256, 1), "float32", "NHWC", None)}),
        (
            "litert",
            "tiny-int8-tflite",
            {"input": Tensor("canvas", (1, 128, 256, 1), "uint8", "NHWC", Quantization(0.5, 0))},
        ),
        ("onnxruntime", "tiny-float32-onnx", {"output": Tensor("embedding", (1, 9), "float32", "ND", None)}),
        ("onnxruntime", "tiny-float32-onnx", {"input": Tensor("canvas", (1, 1, 128, 256), "uint8", "NCHW", None)}),
    ],
)
def test_a_file_unlike_its_manifest_is_refused(
    load: Callable[..., Engine], engine: str, name: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(EngineError, match="where the manifest says"):
        load(engine, name, **changes)


def test_a_graph_of_dynamic_size_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    artifact = bundle.artifact("tiny-float32-onnx")
    model = onnx.load(bundle.path(artifact.file))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, tmp_path / "dynamic.onnx")
    with pytest.raises(EngineError, match=r"shape=\(0, 1, 128, 256\)"):
        open_engine("onnxruntime", artifact, tmp_path / "dynamic.onnx")


def test_a_model_that_computes_nan_is_refused(nan_bundle: Path) -> None:
    with Bundle.open(nan_bundle) as bundle:
        artifact = bundle.artifact()
        with pytest.raises(EngineError, match=r"nan\.onnx.*computed NaN or infinity"):
            open_engine("auto", artifact, bundle.path(artifact.file))


@pytest.mark.parametrize(
    "canvas",
    [np.zeros((128, 255), np.uint8), np.zeros((128, 256), np.float32), np.zeros((1, 128, 256), np.uint8)],
)
def test_only_canvases_are_taken(load: Callable[..., Engine], canvas: Canvas) -> None:
    with (
        load("litert", "tiny-int8-tflite") as opened,
        pytest.raises(EngineError, match=r"must be uint8 \[128, 256\], not .*use `harmonise`"),
    ):
        opened.infer(canvas)


def test_a_closed_engine_says_so_and_opens_again(load: Callable[..., Engine]) -> None:
    opened = load("litert", "tiny-int8-tflite")
    opened.close()
    opened.close()
    canvas = np.zeros((128, 256), np.uint8)
    with pytest.raises(EngineError, match="litert is closed; open it again"):
        opened.infer(canvas)
    with opened.open() as again:
        assert again.infer(canvas).shape == (8,)


class FakeEngine(Engine):
    """An engine whose library returns what a test wants."""

    name = "fake"
    formats = frozenset({"tflite"})
    module = "json"
    distribution = "no-such-distribution"
    answer: Any = np.zeros((1, 8), np.float32)
    loads = 0

    def _load_impl(self, library: Any) -> tuple[TensorFacts, TensorFacts]:
        self.loads += 1
        facts = [TensorFacts(tensor.shape, tensor.dtype) for tensor in (self.artifact.input, self.artifact.output)]
        return facts[0], facts[1]

    def _infer_impl(self, tensor: NDArray[Any]) -> NDArray[Any]:
        self.tensor = tensor
        if isinstance(self.answer, Exception):
            raise self.answer
        result: NDArray[Any] = self.answer
        return result

    def _close_impl(self) -> None:
        self.loads -= 1


@pytest.fixture
def artifact(bundle: Bundle) -> Artifact:
    return bundle.artifact("tiny-int8-tflite")


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_integer_outputs_are_dequantised(artifact: Artifact, dtype: str) -> None:
    output = Tensor("embedding", (1, 8), dtype, "ND", Quantization(0.5, 3))
    engine = FakeEngine(replace(artifact, output=output), Path("x"))
    engine.answer = np.arange(8, dtype=dtype)[None]
    with engine:
        np.testing.assert_array_equal(engine.infer(np.zeros((128, 256), np.uint8)), 0.5 * (np.arange(8.0) - 3))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_inputs_are_raw_canvas_values(artifact: Artifact, layout: str) -> None:
    shape = (1, 128, 256, 1) if layout == "NHWC" else (1, 1, 128, 256)
    canvas = (np.arange(128 * 256) % 256).astype(np.uint8).reshape(256, 128).T  # not contiguous
    with FakeEngine(replace(artifact, input=Tensor("canvas", shape, "float32", layout, None)), Path("x")) as engine:
        engine.infer(canvas)
    assert engine.tensor.shape == shape
    np.testing.assert_array_equal(engine.tensor.reshape(128, 256), canvas)


@pytest.mark.usefixtures("tflite_runtime")
@pytest.mark.parametrize(("engine", "name", "tolerance"), PAIRS)
def test_a_canvas_that_is_not_contiguous_is_read_right(
    load: Callable[..., Engine], engine: str, name: str, tolerance: float
) -> None:
    canvas = np.random.default_rng(3).integers(0, 256, (256, 128)).astype(np.uint8).T
    with load(engine, name) as opened:
        np.testing.assert_array_equal(opened.infer(canvas), opened.infer(np.ascontiguousarray(canvas)))


@pytest.mark.usefixtures("tflite_runtime")
@pytest.mark.parametrize(("engine", "name", "tolerance"), PAIRS)
def test_an_engine_goes_on_after_an_error_that_somebody_keeps(
    load: Callable[..., Engine], engine: str, name: str, tolerance: float
) -> None:
    """A traceback keeps its frames, and a view of the interpreter's memory in one of them would stop the next run."""
    canvas = np.zeros((128, 256), np.uint8)
    with load(engine, name) as opened:
        before, sound = opened.infer(canvas), opened.artifact
        opened.artifact = replace(sound, output=replace(sound.output, shape=(1, 9)))
        with pytest.raises(EngineError, match=r"returned float32 \[1, 8\]") as kept:
            opened.infer(canvas)
        opened.artifact = sound
        np.testing.assert_array_equal(opened.infer(canvas), before)
        assert kept.value.__traceback__ is not None


@pytest.mark.usefixtures("tflite_runtime")
@pytest.mark.parametrize(("engine", "name", "tolerance"), PAIRS)
def test_a_clone_runs_beside_its_original(
    load: Callable[..., Engine], engine: str, name: str, tolerance: float
) -> None:
    canvases = np.random.default_rng(4).integers(0, 256, (2, 128, 256)).astype(np.uint8)
    with load(engine, name) as opened:
        expected = opened.infer_batch(canvases)
        twin = opened.clone()
        np.testing.assert_array_equal(twin.infer(canvases[1]), expected[1])
        np.testing.assert_array_equal(opened.infer(canvases[0]), expected[0])
    with twin:
        np.testing.assert_array_equal(twin.infer_batch(canvases), expected)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (np.zeros((8,), np.float32), r"returned float32 \[8\]"),
        (np.zeros((1, 8), np.float64), r"returned float64 \[1, 8\]"),
        (np.full((1, 8), np.nan, np.float32), "computed NaN"),
        (np.full((1, 8), -np.inf, np.float32), "computed NaN or infinity"),
        (RuntimeError("out of memory\nand more"), r"failed \(out of memory\); run the self-test"),
        (ValueError(), r"failed \(ValueError\)"),
    ],
)
def test_a_library_that_misbehaves_is_caught(artifact: Artifact, answer: Any, word: str) -> None:
    with FakeEngine(artifact, Path("the.tflite")) as engine:
        engine.answer = answer
        with pytest.raises(EngineError, match=word):
            engine.infer(np.zeros((128, 256), np.uint8))
    engine.answer = answer
    with pytest.raises(EngineError, match=r"the\.tflite: the engine fake"):
        engine.open()
    assert engine.loads == 0, "a failed open leaves nothing loaded"


def test_opening_twice_loads_once(artifact: Artifact) -> None:
    engine = FakeEngine(artifact, Path("x")).open()
    with engine.open():
        assert engine.loads == 1
    assert engine.loads == 0


def test_a_library_without_metadata_has_an_unknown_version() -> None:
    assert FakeEngine.version() == "unknown"


def test_available_reports_versions_and_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    found = engines.available()
    assert tuple(found) == engines.names()
    assert found["litert"].available and found["litert"].detail[0].isdigit()
    assert found["tflite_runtime"] == EngineStatus(False, str(found["tflite_runtime"]))
    assert "install tflite-runtime" in str(found["tflite_runtime"])


def test_without_an_engine_the_sentence_says_what_to_install(
    load: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in engines.names():
        monkeypatch.setitem(sys.modules, engine_class(name).module, None)
    with pytest.raises(EngineUnavailableError, match="install ai-edge-litert or tflite-runtime"):
        load("auto", "tiny-int8-tflite")
    with pytest.raises(EngineUnavailableError, match=r"onnxruntime cannot be loaded .*; install onnxruntime"):
        load("onnxruntime", "tiny-int8-onnx")
    with pytest.raises(EngineUnavailableError, match="No installed engine runs tiny-int8-tflite; install TensorFlow"):
        load("auto", "tiny-int8-tflite", format="saved_model")


@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_engines_start_silently(bundle: Bundle, engine: str) -> None:
    name = "tiny-int8-onnx" if engine == "onnxruntime" else "tiny-int8-tflite"
    code = (
        "import sys, numpy as np\n"
        "from sigedge_runtime import Bundle\n"
        "from sigedge_runtime.engines import open_engine\n"
        f"bundle = Bundle.open(sys.argv[1]); artifact = bundle.artifact({name!r})\n"
        f"engine = open_engine({engine!r}, artifact, bundle.path(artifact.file))\n"
        "engine.infer(np.zeros((128, 256), np.uint8)); engine.close()\n"
        "print('still here', file=sys.stderr)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, str(bundle.root)], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "still here\n")


def test_quiet_stderr_needs_no_stderr() -> None:
    code = "import os; os.close(2)\nfrom sigedge_runtime.engines._quiet import quiet_stderr\n"
    code += "with quiet_stderr():\n    print('fine')\n"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "fine\n"


def test_quiet_stderr_swallows_native_output_and_lets_errors_through(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), quiet_stderr():
        os.write(2, b"chatter")
        raise ZeroDivisionError
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
