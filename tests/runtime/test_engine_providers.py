"""Engines of hardware that is not here: declared, refused by a sentence, and run against a fake of it."""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_runtime import engines
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import engine_class, open_engine
from sigedge_runtime.engines import onnxruntime as providers
from sigedge_runtime.errors import EngineUnavailableError

BY_NAME_ONLY = {"onnxruntime-tensorrt", "litert-gpu", "litert-nnapi"}


@pytest.fixture
def load(bundle: Bundle) -> Callable[[str, str], engines.Engine]:
    def open_one(engine: str, name: str) -> engines.Engine:
        artifact = bundle.artifact(name)
        return open_engine(engine, artifact, bundle.path(artifact.file))

    return open_one


def test_the_list_of_engines_names_the_format_that_each_runs() -> None:
    assert all(engine_class(name).formats == {runs} for name, (runs, _) in engines._ENGINES.items())


def test_what_auto_may_not_take_is_declared() -> None:
    assert {name for name in engines.names() if not engine_class(name).automatic} == BY_NAME_ONLY


@pytest.mark.parametrize("engine", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_a_provider_that_is_not_built_in_is_refused_by_a_sentence(
    load: Callable[..., engines.Engine], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(
        EngineUnavailableError,
        match=f"The engine {engine} needs an ONNX Runtime that was built with .*ExecutionProvider, and the one here "
        "has CPUExecutionProvider; install onnxruntime-gpu",
    ):
        load(engine, "tiny-float32-onnx")
    assert not engines.available()[engine].available


class FakeProviders:
    """ONNX Runtime that says to have every provider, and runs all on the CPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, running: list[str]) -> None:
        import onnxruntime

        session = onnxruntime.InferenceSession
        self.asked: list[tuple[str, dict[str, Any]]] = []
        everything = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

        def start(path: str, options: Any, providers: list[tuple[str, dict[str, Any]]]) -> Any:
            self.asked, self.options = providers, options
            real = session(path, options, providers=["CPUExecutionProvider"])
            real.get_providers = lambda: running
            return real

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: everything)
        monkeypatch.setattr(onnxruntime, "InferenceSession", start)


def test_a_provider_that_does_not_start_is_told(
    load: Callable[..., engines.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeProviders(monkeypatch, ["CPUExecutionProvider"])
    with load("onnxruntime-cuda", "tiny-float32-onnx") as engine:
        assert engine.fallbacks == (
            "CUDAExecutionProvider did not start, so that CPUExecutionProvider runs tiny-float32-onnx.",
        )
    assert [name for name, _ in fake.asked] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    with load("onnxruntime-cuda", "tiny-int8-onnx") as engine:
        assert len(engine.fallbacks) == 2


def test_a_provider_that_runs_is_no_fallback(
    load: Callable[..., engines.Engine],
    monkeypatch: pytest.MonkeyPatch,
    expected: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
) -> None:
    FakeProviders(monkeypatch, ["CUDAExecutionProvider", "CPUExecutionProvider"])
    canvas = np.random.default_rng(0).integers(0, 256, (128, 256)).astype(np.uint8)
    with load("onnxruntime-cuda", "tiny-int8-onnx") as engine:
        assert engine.fallbacks == ()
        np.testing.assert_allclose(engine.infer(canvas), expected(canvas), atol=0.5)


def test_tensorrt_keeps_what_it_builds_and_sees_the_graph_as_it_is(
    load: Callable[..., engines.Engine], monkeypatch: pytest.MonkeyPatch, user_cache: Path
) -> None:
    import onnxruntime

    fake = FakeProviders(monkeypatch, ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"])
    with load("onnxruntime-tensorrt", "tiny-int8-onnx") as engine:
        assert engine.fallbacks == ()
    (name, options), *rest = fake.asked
    assert name == "TensorrtExecutionProvider" and [one for one, _ in rest] == [
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    assert options == {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(user_cache / "onnxruntime-tensorrt"),
    }
    assert fake.options.graph_optimization_level != onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


@pytest.mark.parametrize("name", ["cuda", "tensorrt"])
def test_a_providers_library_is_looked_for_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    engine = engine_class(f"onnxruntime-{name}")
    monkeypatch.setattr(providers, "module_folder", lambda _: tmp_path)
    assert not engine.installed()
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi" / f"libonnxruntime_providers_{name}.so").touch()
    assert engine.installed()
    monkeypatch.setattr(providers, "module_folder", lambda _: None)
    assert not engine.installed()


@pytest.mark.parametrize(("engine", "title"), [("litert-gpu", "GPU"), ("litert-nnapi", "NNAPI")])
def test_a_delegate_that_is_not_there_is_refused_by_a_sentence(
    load: Callable[..., engines.Engine], engine: str, title: str
) -> None:
    kind = engine_class(engine)
    with pytest.raises(
        EngineUnavailableError,
        match=f"{engine} needs the {title} delegate of this platform, which cannot be loaded .*set {kind.variable} to",
    ):
        load(engine, "tiny-float32-tflite")
    assert not engines.available()[engine].available


DELEGATE_IN_C = """
#include <stdint.h>
#include <stdlib.h>
/* TfLiteDelegate of tensorflow/lite/core/c/common.h; one that takes no operator. */
struct delegate { void *data; int (*prepare)(void *, struct delegate *); void *copy_from, *copy_to, *release;
                  int64_t flags; void *builder; };
static int prepare(void *context, struct delegate *self) { return 0; }
struct delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
    struct delegate *made = calloc(1, sizeof *made);
    made->prepare = prepare;
    return made;
}
void tflite_plugin_destroy_delegate(struct delegate *made) { free(made); }
"""


@pytest.fixture(scope="module")
def idle_delegate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real delegate library, which takes no operator."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a delegate with")
    folder = tmp_path_factory.mktemp("delegate")
    (folder / "idle.c").write_text(DELEGATE_IN_C)
    library = folder / "libidle_delegate.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "idle.c"], check=True)
    return library


@pytest.mark.parametrize("engine", ["litert-gpu", "litert-nnapi"])
def test_a_delegate_is_loaded_from_where_the_variable_points(
    load: Callable[..., engines.Engine],
    monkeypatch: pytest.MonkeyPatch,
    idle_delegate: Path,
    expected: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    engine: str,
) -> None:
    """LiteRT itself with a delegate that leaves everything to it, which must not pass for a GPU."""
    monkeypatch.setenv(engine_class(engine).variable, str(idle_delegate))
    assert engines.available()[engine].available
    canvas = np.random.default_rng(0).integers(0, 256, (128, 256)).astype(np.uint8)
    with load(engine, "tiny-float32-tflite") as opened:
        np.testing.assert_allclose(opened.infer(canvas), expected(canvas), atol=1e-4)
        assert opened.fallbacks == (
            f"{opened.accelerator} was to run tiny-float32-tflite, but 1 of 1 heavy operators run on the slower "
            "built-in kernels (FULLY_CONNECTED).",
        )


def test_a_library_that_is_no_delegate_is_refused(
    load: Callable[..., engines.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(engine_class("litert-gpu").variable, str(ctypes.util.find_library("c")))
    with pytest.raises(
        EngineUnavailableError, match=r"cannot be loaded .*undefined symbol: tflite_plugin_create_delegate"
    ):
        load("litert-gpu", "tiny-float32-tflite")
